// Package deployed keeps the functions that developers deployed to a running
// server: one Function object per file, in the form of any configuration, and
// their packages by digest.
//
//	<dir>/functions/<namespace>.<name>.yaml
//	<dir>/packages/<64 hex digits>.zip
//	<dir>/packages/<the same>-<its own digest>.packed   see Packs
//
// A change is first written aside as a Candidate, so that the loader can judge the
// whole configuration with it before it counts.
package deployed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/durable"
)

// Store is a directory of deployed functions. It is not safe for concurrent
// changes; packages may be put at any time.
type Store struct{ dir string }

// Open returns the store in dir, which is made with the first package.
func Open(dir string) *Store { return &Store{dir} }

// Files returns the files of all functions, sorted.
func (s *Store) Files() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(s.functions(), "[^.]*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list deployed functions: %w", err)
	}
	return files, nil
}

// makeDirs makes what paths lead through, so that a crash does not take it away.
func (s *Store) makeDirs() error {
	for _, dir := range []string{s.functions(), s.packages()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncDir(s.dir), durable.SyncDir(filepath.Dir(s.dir)))
}

func (s *Store) functions() string { return filepath.Join(s.dir, "functions") }

func (s *Store) file(key spillway.FunctionKey) string {
	return filepath.Join(s.functions(), key.Namespace+"."+key.Name+".yaml")
}

// Deploy prepares a new revision, other settings or another share of the calls.
func (s *Store) Deploy(key spillway.FunctionKey, r Request) (*Candidate, error) {
	if r.Digest != "" && !s.HasPackage(r.Digest) {
		return nil, problem("the package %s is not here; upload it first", r.Digest)
	}
	o, err := s.read(key)
	if errors.Is(err, ErrNotDeployed) {
		o, err = newObject(key), nil
	}
	if err != nil {
		return nil, err
	}
	return s.candidate(o, func() error { return o.deploy(r) })
}

// Rollback prepares to give all calls to another revision: to, or the one to go back
// to.
func (s *Store) Rollback(key spillway.FunctionKey, to string) (*Candidate, error) {
	o, err := s.read(key)
	if err != nil {
		return nil, err
	}
	return s.candidate(o, func() error { return o.rollback(to) })
}

// Delete prepares to take a function away with all its revisions.
func (s *Store) Delete(key spillway.FunctionKey) (*Candidate, error) {
	o, err := s.read(key)
	if err != nil {
		return nil, err
	}
	files, err := s.without(key)
	return &Candidate{Files: files, store: s, target: s.file(key), before: o.revisions}, err
}

// ErrNotDeployed is a function that the store does not have.
var ErrNotDeployed = errors.New("was not deployed here; 'spillway list' shows what there is, and functions of the configuration directory are changed in its files")

// A name is part of a path, so the loader's check would come too late.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (s *Store) read(key spillway.FunctionKey) (*object, error) {
	if !label.MatchString(key.Namespace) || !label.MatchString(key.Name) {
		return nil, problem("%q is not the name of a function; allowed: two DNS labels, namespace/name", key.String())
	}
	text, err := os.ReadFile(s.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s %w", key, ErrNotDeployed)
	}
	if err != nil {
		return nil, fmt.Errorf("read deployed function: %w", err)
	}
	o, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("read deployed function %s: %w", s.file(key), err)
	}
	return o, nil
}

// decode reads what encode wrote, or what somebody changed by hand since.
func decode(text []byte) (*object, error) {
	if !json.Valid(text) { // somebody has written it anew
		var err error
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return nil, err
		}
	}
	o := &object{}
	if err := json.Unmarshal(text, o); err != nil {
		return nil, err
	}
	for field, into := range map[string]any{"revisions": &o.revisions, "traffic": &o.traffic} {
		if raw, ok := o.Spec[field]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return nil, fmt.Errorf("spec.%s: %w", field, err)
			}
			delete(o.Spec, field)
		}
	}
	if slices.ContainsFunc(o.traffic, func(t v1alpha1.Traffic) bool { return t.Weight == nil }) || len(o.revisions) == 0 {
		return nil, errors.New("spec needs revisions, and every traffic a weight")
	}
	if o.Spec == nil {
		o.Spec = map[string]json.RawMessage{}
	}
	return o, nil
}

func (o *object) encode() ([]byte, error) {
	spec := map[string]any{"revisions": o.revisions, "traffic": o.traffic}
	for field, value := range o.Spec {
		spec[field] = value
	}
	text, err := json.MarshalIndent(struct { // which is YAML, and keeps every text as it is
		v1alpha1.Header
		Spec map[string]any `json:"spec"`
	}{o.Header, spec}, "", "  ")
	if err != nil {
		return nil, problem("the settings are not JSON: %v", err)
	}
	return append(text, '\n'), nil
}
