// Package pkgdigest names the contents of a function package.
package pkgdigest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxFiles bounds the files of one package.
const MaxFiles = 100_000

// Digest returns "sha256:" and 64 hex digits for the package at path.
//
// For a zip file, or any regular file, they are the SHA-256 of its bytes. For a
// directory they are the SHA-256 of one line per file, in lexical order of the
// paths as fs.WalkDir visits them:
//
//	<x or -> <path, quoted as by Go's %q, with slashes> <size> <SHA-256 of the contents in hex>\n
//
// where x marks a file that its owner may execute. Directories without files,
// owners and times do not count. Anything but directories and regular files is
// an error, symbolic links too.
func Digest(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("digest of package: %w", err)
	}
	sum := sha256.New()
	switch {
	case info.Mode().IsRegular():
		err = copyFile(sum, path)
	case info.IsDir():
		err = writeTree(sum, path)
	default:
		err = fmt.Errorf("is neither a directory nor a file")
	}
	if err != nil {
		return "", fmt.Errorf("digest of package %s: %w", path, err)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

func copyFile(w io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(w, file)
	return err
}

func writeTree(w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return Files(root.FS(), func(path string, info fs.FileInfo) error {
		file, err := root.Open(filepath.FromSlash(path))
		if err != nil {
			return err
		}
		defer file.Close()
		sum := sha256.New()
		size, err := io.Copy(sum, file)
		if err != nil {
			return err
		}
		mark := '-'
		if info.Mode()&0o100 != 0 {
			mark = 'x'
		}
		_, err = fmt.Fprintf(w, "%c %q %d %x\n", mark, path, size, sum.Sum(nil))
		return err
	})
}

// Files calls visit for each regular file of a directory package in the order
// that Digest uses. It fails at the first thing that a package may not hold.
func Files(tree fs.FS, visit func(path string, info fs.FileInfo) error) error {
	count := 0
	return fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if !entry.Type().IsRegular() {
			return fmt.Errorf("%s is a %v; allowed: directories and regular files", path, entry.Type())
		}
		if count++; count > MaxFiles {
			return fmt.Errorf("more than %d files", MaxFiles)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return visit(path, info)
	})
}
