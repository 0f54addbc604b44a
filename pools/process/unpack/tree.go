// Package unpack makes directories of function packages: whatever a package holds, it
// stays below its directory and within bounds.
package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// Publish lets every user read what is below dir, whatever our umask took away.
func Publish(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if info.Mode()&0o100 != 0 {
			mode = 0o555
		}
		if entry.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	})
}

// Copy copies the files of a directory package, which may be as large as a zip file unpacked.
func Copy(from, to string) error {
	source, err := os.OpenRoot(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := newTree(to)
	if err != nil {
		return err
	}
	defer target.close()
	return pkgdigest.Files(source.FS(), func(path string, info fs.FileInfo) error {
		file, err := source.Open(filepath.FromSlash(path))
		if err != nil {
			return err
		}
		defer file.Close()
		return target.write(path, info.Mode()&0o100 != 0, file)
	})
}

// tree writes files below one directory, whatever their names say, up to a size.
type tree struct {
	root *os.Root
	left int64 // bytes it may still take
}

func newTree(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &tree{root, maxUnpacked}, nil
}

func (t *tree) close() { t.root.Close() }

var errTooBig = errors.New("its contents are over the limit")

// write makes the file path with the contents of from.
func (t *tree) write(path string, executable bool, from io.Reader) error {
	name := filepath.FromSlash(path)
	if err := t.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	file, err := t.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, io.LimitReader(from, t.left+1))
	t.left -= n
	if err == nil && t.left < 0 {
		err = fmt.Errorf("%w: allowed are %d MiB", errTooBig, maxUnpacked>>20)
	}
	return errors.Join(err, file.Close())
}
