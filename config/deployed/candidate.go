package deployed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Candidate is the store as it would be after a change. Commit or Discard ends it.
type Candidate struct {
	Files []string // of all functions
	File  string   // the changed one, written aside; empty if it goes away

	Revisions []v1alpha1.Revision // of the changed function, oldest first
	Traffic   []v1alpha1.Traffic

	store  *Store
	target string
	before []v1alpha1.Revision
}

// without returns all files but that of key.
func (s *Store) without(key spillway.FunctionKey) ([]string, error) {
	files, err := s.Files()
	return slices.DeleteFunc(files, func(f string) bool { return f == s.file(key) }), err
}

func (s *Store) candidate(o *object, change func() error) (*Candidate, error) {
	before := slices.Clone(o.revisions)
	if err := change(); err != nil {
		return nil, err
	}
	files, err := s.without(o.key())
	if err != nil {
		return nil, err
	}
	text, err := o.encode()
	if err != nil {
		return nil, err
	}
	if err := s.makeDirs(); err != nil {
		return nil, fmt.Errorf("make the directory of deployed functions: %w", err)
	}
	file, err := writeAside(s.functions(), text)
	if err != nil {
		return nil, fmt.Errorf("write deployed function: %w", err)
	}
	return &Candidate{
		Files: append(files, file), File: file, Revisions: o.revisions, Traffic: o.traffic,
		store: s, target: s.file(o.key()), before: before,
	}, nil
}

// writeAside makes a file in dir that Files does not list, and syncs it.
func writeAside(dir string, text []byte) (string, error) {
	file, err := os.CreateTemp(dir, ".next-*.yaml")
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", errors.Join(err, os.Remove(file.Name()))
	}
	return file.Name(), nil
}

// Commit makes the change the one that counts, also after a crash. After an error the
// store is as it was, unless the disk failed between the two.
func (c *Candidate) Commit() error {
	for _, v := range c.before {
		if err := c.store.inUse(v.Package.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep the change: %w", err)
		}
	}
	var err error
	if c.File == "" {
		err = os.Remove(c.target)
	} else {
		err = os.Rename(c.File, c.target)
	}
	if err != nil {
		return fmt.Errorf("keep the change: %w", err)
	}
	if err := syncDir(filepath.Dir(c.target)); err != nil {
		return fmt.Errorf("keep the change, which serves from the next reload on: %w", err)
	}
	return nil
}

// Discard leaves the store as it was.
func (c *Candidate) Discard() error {
	if c.File == "" {
		return nil
	}
	if err := os.Remove(c.File); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil // it was kept
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // some filesystems cannot
		return err
	}
	return nil
}
