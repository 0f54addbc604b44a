package unpack

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	if info.Size() > MaxArchive {
		return fmt.Errorf("the archive has %d bytes; allowed: %d", info.Size(), MaxArchive)
	}
	return zipFrom(file, info.Size(), dir)
}

func zipFrom(archive io.ReaderAt, size int64, dir string) error {
	reader, err := zip.NewReader(archive, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are checked below
		return err
	}
	reader.RegisterDecompressor(zip.Deflate, flate.NewReader) // takes 40 % less time, and that is most of a cold start
	if len(reader.File) > pkgdigest.MaxFiles {
		return fmt.Errorf("the archive has %d entries; allowed: %d", len(reader.File), pkgdigest.MaxFiles)
	}
	target, err := newTree(dir)
	if err != nil {
		return err
	}
	defer target.close()
	target.left = min(target.left, 1<<20+maxRatio*size)
	for _, entry := range reader.File {
		if err := unzipEntry(target, entry); err != nil {
			return fmt.Errorf("entry %q: %w", entry.Name, err)
		}
	}
	return nil
}

func unzipEntry(target *tree, entry *zip.File) error {
	name := strings.TrimSuffix(entry.Name, "/")
	if !filepath.IsLocal(name) || strings.ContainsAny(name, "\\\x00") {
		return errors.New("its name leads out of the package")
	}
	mode := entry.Mode()
	if mode.IsDir() || strings.HasSuffix(entry.Name, "/") {
		return target.root.MkdirAll(filepath.FromSlash(name), 0o755)
	}
	if !mode.IsRegular() {
		return fmt.Errorf("it is a %v; allowed: directories and regular files", mode.Type())
	}
	contents, err := entry.Open()
	if err != nil {
		return err
	}
	defer contents.Close()
	return target.write(name, mode&fs.FileMode(0o100) != 0, contents)
}
