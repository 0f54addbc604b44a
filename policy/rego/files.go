package rego

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spillway-dev/spillway/policy/library"
)

// maxFiles bounds what is read from a policy directory, in bytes.
const maxFiles = 16 << 20

// file is one file to compile. Path is for messages, name for digests.
type file struct {
	path, name, text string
	library          bool // embedded, not the author's
}

// files is the readable content of a policy directory, each sorted by name.
type files struct {
	modules []file // *.rego
	tests   []file // *_test.rego
	data    []file // data.json, data.yaml, data.yml
}

// readDir reads dir; "" is the empty directory. Names that begin with a dot are
// passed over (a mounted ConfigMap has some), other files too unless they are
// Rego or data; subdirectories are refused because no rule may be overlooked.
func readDir(dir string) (files, error) {
	if dir == "" {
		return files{}, nil
	}
	return readFS(os.DirFS(dir), dir)
}

func readFS(fsys fs.FS, dir string) (files, error) {
	var all files
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return all, fmt.Errorf("reading the policy directory %s: %w", dir, bare(err))
	}
	var faults LoadError
	left := int64(maxFiles)
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, ".") {
			continue
		}
		path := filepath.Join(dir, name)
		into := all.listFor(name)
		info, err := fs.Stat(fsys, name)
		switch {
		case err != nil && into == nil:
		case err != nil:
			faults.add(path, 0, 0, "cannot be read: %v", bare(err))
		case info.IsDir():
			faults.add(path, 0, 0, "subdirectories are not read; move its files up or the directory out")
		case into == nil:
		default:
			text, err := readLimited(fsys, name, &left)
			if err != nil {
				faults.add(path, 0, 0, "cannot be read: %v", bare(err))
				continue
			}
			*into = append(*into, file{path: path, name: name, text: text})
		}
	}
	return all, faults.orNil()
}

// listFor returns where a file of this name belongs, or nil.
func (a *files) listFor(name string) *[]file {
	switch {
	case strings.HasSuffix(name, "_test.rego"):
		return &a.tests
	case strings.HasSuffix(name, ".rego"):
		return &a.modules
	case name == "data.json" || name == "data.yaml" || name == "data.yml":
		return &a.data
	}
	return nil
}

func readLimited(fsys fs.FS, name string, left *int64) (string, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, *left+1))
	if err != nil {
		return "", err
	}
	if *left -= int64(len(text)); *left < 0 {
		return "", fmt.Errorf("the directory holds more than %d MiB", maxFiles>>20)
	}
	return string(text), nil
}

// bare takes the path out of err, which the message gives already.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// withLibrary returns the modules to compile for a: its own and the library's,
// with the default policy when it has no module.
func (a files) withLibrary() []file {
	modules := append(slices.Clone(a.modules), libraryFile(library.Rules))
	if len(a.modules) == 0 {
		modules = append(modules, libraryFile(library.Placement))
	}
	return modules
}

func libraryFile(name string) file {
	text, err := library.Files.ReadFile(name)
	if err != nil {
		panic("rego: the embedded library lacks " + name)
	}
	path := "(library)/" + name
	return file{path: path, name: path, text: string(text), library: true}
}

// digest names the contents: equal files give an equal digest wherever they lie.
func digest(lists ...[]file) string {
	h := sha256.New()
	for _, list := range lists {
		for _, f := range list {
			writeText(h, f.name)
			writeText(h, f.text)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// writeText writes s with its length before it, so that no two sequences of
// texts write the same bytes.
func writeText(w io.Writer, s string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(s)))
	_, _ = w.Write(length[:])
	_, _ = io.WriteString(w, s) // a hash does not fail
}
