package unpack

import (
	"archive/tar"
	"archive/zip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"

	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

const (
	// MaxPacked bounds what Pack writes, in bytes.
	MaxPacked = maxUnpacked + pkgdigest.MaxFiles*2<<10
	// blockSize is how much is compressed at once, which whoever unpacks has in memory twice.
	blockSize = 256 << 10
)

// Pack writes what the zip file archive holds, of size bytes, in the form that takes the
// least time to send and unpack: a tar in S2 blocks. The same file gives the same bytes.
// Zip refuses what Pack refuses.
func Pack(to io.Writer, archive io.ReaderAt, size int64) error {
	reader, err := openZip(archive, size)
	if err != nil {
		return err
	}
	compressed := s2.NewWriter(to, s2.WriterBlockSize(blockSize), s2.WriterConcurrency(1), s2.WriterBetterCompression())
	packed := tar.NewWriter(compressed)
	left := min(maxUnpacked, mayUnpackTo(size))
	for _, entry := range reader.File {
		if left -= int64(min(entry.UncompressedSize64, maxUnpacked+1)); left < 0 {
			return errors.Join(errTooBig, compressed.Close())
		}
		if err := packEntry(packed, entry); err != nil {
			return errors.Join(fmt.Errorf("entry %q: %w", entry.Name, err), compressed.Close())
		}
	}
	return errors.Join(packed.Close(), compressed.Close())
}

// packEntry writes an entry, which has as many bytes as it says or is refused.
func packEntry(to *tar.Writer, entry *zip.File) error {
	name, isDir, err := judged(entry)
	if err != nil {
		return err
	}
	head := &tar.Header{Name: name, Mode: 0o444, Size: int64(entry.UncompressedSize64), Typeflag: tar.TypeReg}
	switch {
	case isDir:
		return to.WriteHeader(&tar.Header{Name: name + "/", Mode: 0o755, Typeflag: tar.TypeDir})
	case executable(entry.Mode()):
		head.Mode = 0o555
	}
	if err := to.WriteHeader(head); err != nil {
		return err
	}
	contents, err := entry.Open()
	if err != nil {
		return err
	}
	defer contents.Close()
	if _, err = io.Copy(to, contents); err == nil {
		err = to.Flush()
	}
	return err
}

// Packed unpacks into dir what Pack wrote, as it comes, to its end. It has the bounds of
// Zip, but for what the size of a zip file says of its contents: Pack has seen to that.
func Packed(from io.Reader, dir string) error {
	reader := s2.NewReader(from, s2.ReaderMaxBlockSize(blockSize), s2.ReaderAllocBlock(64<<10))
	if err := untar(reader, dir, maxUnpacked); err != nil {
		return err
	}
	if n, err := io.ReadFull(reader, make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return errors.Join(errors.New("something follows its end"), err)
	}
	return nil
}

func untar(from io.Reader, dir string, limit int64) error {
	target, err := newTree(dir)
	if err != nil {
		return err
	}
	defer target.close()
	target.left = limit
	reader := tar.NewReader(from)
	for count := 0; ; count++ {
		head, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case count == pkgdigest.MaxFiles:
			return fmt.Errorf("the package has more than %d entries", pkgdigest.MaxFiles)
		}
		if err := untarEntry(target, head, reader); err != nil {
			return fmt.Errorf("entry %.200q: %w", head.Name, err)
		}
	}
}

func untarEntry(target *tree, head *tar.Header, contents io.Reader) error {
	name, err := place(head.Name)
	if err != nil {
		return err
	}
	switch mode := head.FileInfo().Mode(); {
	case head.Typeflag == tar.TypeDir:
		return target.mkdir(name)
	case head.Typeflag != tar.TypeReg:
		return fmt.Errorf("it is of type %q; allowed: directories and regular files", head.Typeflag)
	default:
		return target.write(name, executable(mode), contents)
	}
}
