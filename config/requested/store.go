// Package requested keeps requests for quota and what became of them: one
// QuotaRequest object per file, and the reports of their latest simulations by digest.
//
//	<dir>/qr-<number>.yaml
//	<dir>/reports/<64 hex digits>.json
//
// An approved request is an overlay of the configuration (config.QuotaOverlay). Its
// approval and revocation are prepared as a Candidate first, so that the loader can
// judge the whole configuration with it before it counts.
package requested

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml"
	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Store is a directory of requests. It is not safe for concurrent changes.
type Store struct {
	dir  string
	sync func(dir string) error
}

// Open returns the store in dir, which is made with the first request.
func Open(dir string) *Store { return &Store{dir, syncDir} }

// ErrUnknown is a request that the store does not have.
var ErrUnknown = errors.New("there is no such request; 'spillway quota history' lists all")

const maxRequests = 10_000

// Files on their way, which a server that was killed leaves behind.
const (
	nextFile  = ".next-*"
	traceFile = ".trace-*"
)

// A name is part of a path.
var nameForm = regexp.MustCompile(`^qr-([1-9][0-9]{0,8})$`)

// number is what follows qr- in a name, or 0.
func number(name string) int {
	m := nameForm.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // nine digits
	return n
}

// All returns all requests in the order in which they were made.
func (s *Store) All() ([]v1alpha1.QuotaRequest, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "qr-*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list quota requests: %w", err)
	}
	all := make([]v1alpha1.QuotaRequest, 0, len(files))
	for _, file := range files {
		name := filepath.Base(file)
		r, err := s.Read(name[:len(name)-len(".yaml")])
		if err != nil {
			return nil, err
		}
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b v1alpha1.QuotaRequest) int {
		return cmp.Compare(number(a.Metadata.Name), number(b.Metadata.Name))
	})
	return all, nil
}

// Read returns one request.
func (s *Store) Read(name string) (*v1alpha1.QuotaRequest, error) {
	if number(name) == 0 {
		return nil, fmt.Errorf("%.80q: %w", name, ErrUnknown)
	}
	text, err := os.ReadFile(s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrUnknown)
	}
	if err != nil {
		return nil, fmt.Errorf("read quota request: %w", err)
	}
	r, err := decode(text)
	if err == nil && r.Metadata.Name != name {
		err = fmt.Errorf("it says that it is %.80q", r.Metadata.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read quota request %s: %w; mend the file, or move it away", s.file(name), err)
	}
	return r, nil
}

// decode reads what encode wrote. Since limits hold that stand there, it takes nothing
// that it does not understand.
func decode(text []byte) (*v1alpha1.QuotaRequest, error) {
	if !json.Valid(text) { // somebody has written it anew
		var err error
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return nil, err
		}
	}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	r := &v1alpha1.QuotaRequest{}
	if err := strict.Decode(r); err != nil {
		return nil, err
	}
	switch {
	case r.APIVersion != v1alpha1.APIVersion || r.Kind != v1alpha1.KindQuotaRequest:
		return nil, fmt.Errorf("it is no %s of %s", v1alpha1.KindQuotaRequest, v1alpha1.APIVersion)
	case !slices.Contains(phases, r.Status.Phase):
		return nil, fmt.Errorf("status.phase %.40q is unknown", r.Status.Phase)
	case r.Spec.Quota == "" || len(r.Status.History) == 0:
		return nil, errors.New("it names no Quota, or has no history")
	case slices.ContainsFunc(r.Spec.Budgets, func(b v1alpha1.Budget) bool { return b.Amount == nil }):
		return nil, errors.New("a budget has no amount")
	}
	if _, err := json.Marshal(r); err != nil { // such as the time of a zone that is a day away
		return nil, fmt.Errorf("it says what cannot be written again: %w", err)
	}
	return r, nil
}

var phases = []string{v1alpha1.PhaseAsked, v1alpha1.PhaseSimulated, v1alpha1.PhaseApproved, v1alpha1.PhaseDenied, v1alpha1.PhaseRevoked}

// write keeps r, also after a crash.
func (s *Store) write(r *v1alpha1.QuotaRequest) error {
	text, err := json.MarshalIndent(r, "", "  ") // which is YAML, and keeps every text as it is
	if err == nil {
		_, err = decode(text) // or nothing could be loaded any more
	}
	if err != nil {
		return fmt.Errorf("write quota request: %w", err)
	}
	return s.replace(s.file(r.Metadata.Name), append(text, '\n'))
}

// replace puts text in the place of a file at once. After an error the file is as it
// was.
func (s *Store) replace(file string, text []byte) error {
	dir := filepath.Dir(file)
	if err := s.makeDir(dir); err != nil {
		return fmt.Errorf("make the directory of quota requests: %w", err)
	}
	before, err := os.ReadFile(file)
	isNew := errors.Is(err, fs.ErrNotExist)
	if err == nil || isNew {
		err = put(file, text)
	}
	if err != nil {
		return fmt.Errorf("keep quota request: %w", err)
	}
	if err = s.sync(dir); err == nil {
		return nil
	}
	back := func() error { return put(file, before) }
	if isNew {
		back = func() error { return os.Remove(file) }
	}
	if failed := back(); failed != nil {
		err = errors.Join(err, fmt.Errorf("what was refused holds from the next reload on: %w", failed))
	}
	return fmt.Errorf("keep quota request: %w", err)
}

// put writes a file whole or not at all.
func put(file string, text []byte) error {
	next, err := os.CreateTemp(filepath.Dir(file), nextFile)
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return nil
}

// makeDir makes dir and what leads to it, so that a crash does not take it away.
func (s *Store) makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(s.sync(s.dir), s.sync(filepath.Dir(s.dir)))
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

func (s *Store) file(name string) string { return filepath.Join(s.dir, name+".yaml") }
