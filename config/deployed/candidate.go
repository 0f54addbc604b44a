package deployed

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/durable"
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
	file, err := durable.Aside(s.functions(), ".next-*.yaml", func(w io.Writer) error { // a name that Files does not list
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write deployed function: %w", err)
	}
	return &Candidate{
		Files: append(files, file), File: file, Revisions: o.revisions, Traffic: o.traffic,
		store: s, target: s.file(o.key()), before: before,
	}, nil
}

// Commit makes the change the one that counts, also after a crash. After an error the
// store is as it was, unless the disk failed between the two.
func (c *Candidate) Commit() error {
	for _, v := range c.before {
		if err := c.store.inUse(v.Package.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keep the change: %w", err)
		}
	}
	switch err := c.commit(); {
	case errors.Is(err, durable.ErrUnsynced):
		return fmt.Errorf("keep the change, which serves from the next reload on: %w", err)
	case err != nil:
		return fmt.Errorf("keep the change: %w", err)
	}
	return nil
}

func (c *Candidate) commit() error {
	if c.File == "" {
		return durable.Remove(c.target)
	}
	return durable.Rename(c.File, c.target)
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
