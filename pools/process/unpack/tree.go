// Package unpack makes directories of function packages: whatever a package holds, it
// stays below its directory and within bounds. What it writes every user can read, and
// nobody but its owner change.
package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

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
	root   *os.Root
	left   int64           // bytes it may still take
	made   map[string]bool // directories, by their paths with slashes
	in     *os.Root        // where the last file is
	inPath string
	buffer []byte
}

// writeSize is how many bytes are written at once.
const writeSize = 256 << 10

func newTree(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	t := &tree{root: root, left: maxUnpacked, made: map[string]bool{".": true}, in: root, inPath: ".", buffer: make([]byte, writeSize)}
	return t, root.Chmod(".", 0o755)
}

func (t *tree) close() {
	t.leave()
	t.root.Close()
}

func (t *tree) leave() {
	if t.in != t.root {
		t.in.Close()
	}
	t.in, t.inPath = t.root, "."
}

var errTooBig = errors.New("its contents are over the limit")

// mkdir makes the directory at a clean path, and those above it, unless it has made them.
// The umask does not count.
func (t *tree) mkdir(dir string) error {
	if t.made[dir] {
		return nil
	}
	if err := t.mkdir(path.Dir(dir)); err != nil {
		return err
	}
	name := filepath.FromSlash(dir)
	if err := t.root.Mkdir(name, 0o755); err != nil {
		return err
	}
	t.made[dir] = true
	return t.root.Chmod(name, 0o755)
}

// enter returns the directory at a clean path. Files of one mostly come in a row.
func (t *tree) enter(dir string) (*os.Root, error) {
	if dir == t.inPath {
		return t.in, nil
	}
	if err := t.mkdir(dir); err != nil {
		return nil, err
	}
	t.leave()
	if dir == "." {
		return t.in, nil
	}
	in, err := t.root.OpenRoot(filepath.FromSlash(dir))
	if err == nil {
		t.in, t.inPath = in, dir
	}
	return in, err
}

// write makes the file at a path with the contents of from.
func (t *tree) write(name string, executable bool, from io.Reader) error {
	name = path.Clean(name)
	in, err := t.enter(path.Dir(name))
	if err != nil {
		return err
	}
	file, err := in.OpenFile(path.Base(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o444)
	if executable {
		mode = 0o555
	}
	n, err := io.CopyBuffer(writer{file}, io.LimitReader(from, t.left+1), t.buffer)
	t.left -= n
	if err == nil && t.left < 0 {
		err = fmt.Errorf("%w: allowed are %d MiB", errTooBig, maxUnpacked>>20)
	}
	if err == nil {
		err = file.Chmod(mode) // whatever our umask takes away
	}
	return errors.Join(err, file.Close())
}

// writer hides what else a file can do, so that the buffer is used.
type writer struct{ io.Writer }

// place reads the name of an archive's entry: the path that it is to have.
func place(name string) (string, error) {
	clean := strings.TrimSuffix(name, "/")
	if !filepath.IsLocal(clean) || strings.ContainsAny(clean, "\\\x00") {
		return "", errors.New("its name leads out of the package")
	}
	return path.Clean(clean), nil
}

// permitted refuses what is neither a directory nor a file.
func permitted(mode fs.FileMode) error {
	if !mode.IsDir() && !mode.IsRegular() {
		return fmt.Errorf("it is a %v; allowed: directories and regular files", mode.Type())
	}
	return nil
}
