package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/singleflight"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// packages is a cache of unpacked packages, by digest. Entries are complete: they
// are made aside, verified, and renamed into place. They belong to the server,
// are readable by all and writable by none.
type packages struct {
	dir    string
	flight singleflight.Group
}

func openPackages(dir string) (*packages, error) {
	if err := makeDir(dir, 0o711); err != nil {
		return nil, err
	}
	stale, err := filepath.Glob(filepath.Join(dir, ".stage-*"))
	if err != nil {
		return nil, err
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
	}
	return &packages{dir: dir}, nil
}

// unpacked returns the directory with the contents of p, made when first asked for.
func (c *packages) unpacked(p spillway.Package) (string, error) {
	name, ok := strings.CutPrefix(p.Digest, "sha256:")
	if !ok || len(name) != 64 || strings.Trim(name, "0123456789abcdef") != "" {
		return "", fmt.Errorf("package %s has the digest %q; allowed: sha256: and 64 hex digits", p.Path, p.Digest)
	}
	dir := filepath.Join(c.dir, name)
	if isDir(dir) {
		return dir, nil
	}
	_, err, _ := c.flight.Do(name, func() (any, error) {
		if isDir(dir) {
			return nil, nil
		}
		return nil, c.unpack(p, dir)
	})
	return dir, err
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

// unpack makes dir from p. A zip file is verified before it is unpacked, a
// directory after it was copied, so that what runs is what was verified.
func (c *packages) unpack(p spillway.Package, dir string) (err error) {
	stage, err := os.MkdirTemp(c.dir, ".stage-")
	if err != nil {
		return fmt.Errorf("unpack package %s: %w", p.Path, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	info, err := os.Stat(p.Path)
	if err != nil {
		return fmt.Errorf("unpack package: %w", err)
	}
	from := p.Path
	if info.IsDir() {
		if err := copyTree(p.Path, stage); err != nil {
			return fmt.Errorf("copy package %s: %w", p.Path, err)
		}
		from = stage
	}
	actual, err := pkgdigest.Digest(from)
	if err != nil {
		return err
	}
	if actual != p.Digest {
		return fmt.Errorf("package %s has the digest %s, not the pinned %s: restore the package or pin its new digest", p.Path, actual, p.Digest)
	}
	if !info.IsDir() {
		if err := unzip(p.Path, stage); err != nil {
			return fmt.Errorf("unpack package %s: %w", p.Path, err)
		}
	}
	if err := publish(stage); err != nil {
		return fmt.Errorf("unpack package %s: %w", p.Path, err)
	}
	return os.Rename(stage, dir)
}

// publish lets every user read what is below dir, whatever our umask took away.
func publish(dir string) error {
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

// copyTree copies the files of a directory package.
func copyTree(from, to string) error {
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
