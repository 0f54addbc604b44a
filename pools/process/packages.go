package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/singleflight"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
	"github.com/spillway-dev/spillway/pools/process/unpack"
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
		if err := unpack.Copy(p.Path, stage); err != nil {
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
		if err := unpack.Zip(p.Path, stage); err != nil {
			return fmt.Errorf("unpack package %s: %w", p.Path, err)
		}
	}
	return os.Rename(stage, dir)
}
