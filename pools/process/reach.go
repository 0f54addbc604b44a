package process

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// makeDir makes dir with exactly mode, and its parents.
func makeDir(dir string, mode fs.FileMode) error {
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

// reachable reports whether every user may pass through dir and all its parents.
func reachable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode()&0o001 == 0 {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

// outside makes the directory that stands in for dir when functions cannot reach
// it, in the first temporary directory that they can reach.
func outside(dir string) (string, error) {
	for _, parent := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if reachable(parent) {
			return standIn(parent, dir)
		}
	}
	return "", fmt.Errorf("functions of their own users can reach neither %s nor a temporary directory: let others pass (chmod o+x) or choose another data directory", dir)
}

// standIn makes a directory in parent that is ours and writable by nobody else.
func standIn(parent, dir string) (string, error) {
	sum := sha256.Sum256([]byte(dir))
	path := filepath.Join(parent, fmt.Sprintf("spillway-%x", sum[:8]))
	if err := os.Mkdir(path, 0o711); err != nil && !os.IsExist(err) {
		return "", err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s is not a directory of this server: remove it", path)
	}
	return path, os.Chmod(path, 0o711)
}
