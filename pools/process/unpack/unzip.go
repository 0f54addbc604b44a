package unpack

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/klauspost/compress/flate"

	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// Bounds of a package, MaxArchive of what is accepted as one. Lambda takes 250 MiB unzipped.
const (
	MaxArchive  = 256 << 20 // bytes of a zip file
	maxUnpacked = 512 << 20 // bytes of all files together
	maxRatio    = 200       // unpacked size over archive size, beyond the first MiB
)

// Zip unpacks the archive at path into dir. Names that lead elsewhere, links,
// devices, repeated names and bombs are errors.
func Zip(path, dir string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return zipFrom(file, info.Size(), dir)
}

func zipFrom(archive io.ReaderAt, size int64, dir string) error {
	reader, err := openZip(archive, size)
	if err != nil {
		return err
	}
	target, err := newTree(dir)
	if err != nil {
		return err
	}
	defer target.close()
	target.left = min(target.left, mayUnpackTo(size))
	for _, entry := range reader.File {
		if err := unzipEntry(target, entry); err != nil {
			return fmt.Errorf("entry %q: %w", entry.Name, err)
		}
	}
	return nil
}

func openZip(archive io.ReaderAt, size int64) (*zip.Reader, error) {
	if size > MaxArchive {
		return nil, fmt.Errorf("the archive has %d bytes; allowed: %d", size, MaxArchive)
	}
	reader, err := zip.NewReader(archive, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are checked with each entry
		return nil, err
	}
	reader.RegisterDecompressor(zip.Deflate, flate.NewReader) // takes 40 % less time
	if len(reader.File) > pkgdigest.MaxFiles {
		return nil, fmt.Errorf("the archive has %d entries; allowed: %d", len(reader.File), pkgdigest.MaxFiles)
	}
	return reader, nil
}

// mayUnpackTo bounds the contents of a zip file by its size.
func mayUnpackTo(size int64) int64 { return 1<<20 + maxRatio*size }

// judged is what an entry is, if it may be in a package.
func judged(entry *zip.File) (name string, isDir bool, err error) {
	if name, err = place(entry.Name); err != nil {
		return "", false, err
	}
	mode := entry.Mode()
	if mode.IsDir() || strings.HasSuffix(entry.Name, "/") {
		return name, true, nil
	}
	return name, false, permitted(mode)
}

func unzipEntry(target *tree, entry *zip.File) error {
	name, isDir, err := judged(entry)
	if err != nil {
		return err
	}
	if isDir {
		return target.mkdir(name)
	}
	contents, err := entry.Open()
	if err != nil {
		return err
	}
	defer contents.Close()
	return target.write(name, executable(entry.Mode()), contents)
}

func executable(mode fs.FileMode) bool { return mode&0o100 != 0 }
