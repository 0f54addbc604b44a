package config

import (
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// place is where a field was written.
type place struct {
	path      string
	line, col int32
}

// source is where one object was written, and the faults found in it.
type source struct {
	file    string
	cluster bool      // an object of a cluster: there is no file
	made    time.Time // of an object of a cluster, if that is known
	places  []place

	byPath  map[string]place // of the first indexed places; made when needed
	indexed int

	paths  map[string]string // one copy of each path, shared by all objects
	faults *[]Fault
	bad    map[string]bool // paths with a fault; a field is reported once
}

// mark keeps the place of path.
func (s *source) mark(path string, n ast.Node) {
	tk := first(n)
	if tk == nil {
		return
	}
	s.markAt(path, tk.Position.Line, tk.Position.Column)
}

func (s *source) markAt(path string, line, col int) {
	if same, ok := s.paths[path]; ok {
		path = same
	} else {
		s.paths[path] = path
	}
	s.places = append(s.places, place{path, int32(line), int32(col)})
}

// written reports whether path was written in the object.
func (s *source) written(path string) bool {
	_, ok := s.place(path)
	return ok
}

// fault notes a fault of the field at path, at the place of the nearest field
// around it that was written. One fault is kept for a field, and none below it.
func (s *source) fault(path, problem, allowed string) {
	at := s.locate(path)
	s.note(Fault{File: s.file, Line: int(at.line), Col: int(at.col), Field: path, Problem: problem, Allowed: allowed})
}

func (s *source) faultAt(p *token.Position, path, problem, allowed string) {
	s.note(Fault{File: s.file, Line: p.Line, Col: p.Column, Field: path, Problem: problem, Allowed: allowed})
}

func (s *source) note(f Fault) {
	if s.faulty(f.Field) {
		return
	}
	if s.bad == nil {
		s.bad = map[string]bool{}
	}
	s.bad[f.Field] = true
	*s.faults = append(*s.faults, f)
}

// faulty reports whether a fault was noted for path or a field around it.
func (s *source) faulty(path string) bool {
	for len(s.bad) > 0 {
		if s.bad[path] {
			return true
		}
		if path == "" {
			break
		}
		path = outer(path)
	}
	return false
}

func (s *source) locate(path string) place {
	for {
		if p, ok := s.place(path); ok {
			return p
		}
		if path == "" {
			return place{} // an object that nobody wrote
		}
		path = outer(path)
	}
}

// place looks first at the latest mark, which is the one that decoding asks for.
func (s *source) place(path string) (place, bool) {
	if n := len(s.places); n > 0 && s.places[n-1].path == path {
		return s.places[n-1], true
	}
	if s.indexed < len(s.places) {
		if s.byPath == nil {
			s.byPath = make(map[string]place, len(s.places))
		}
		for _, p := range s.places[s.indexed:] {
			s.byPath[p.path] = p
		}
		s.indexed = len(s.places)
	}
	p, ok := s.byPath[path]
	return p, ok
}

// outer returns the path of the field around path: spec.cloud[0].pool is in
// spec.cloud[0], which is in spec.cloud.
func outer(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// first returns the token at which a value begins.
func first(n ast.Node) *token.Token {
	if n == nil || reflect.ValueOf(n).IsNil() {
		return nil
	}
	if pairs, ok := mapping(n); ok && len(pairs) > 0 {
		if m, ok := n.(*ast.MappingNode); !ok || !m.IsFlowStyle {
			return pairs[0].Key.GetToken()
		}
	}
	tk := n.GetToken()
	if tk == nil || tk.Position == nil {
		return nil
	}
	return tk
}

// entry is one object and its source.
type entry[T any] struct {
	*source
	*v1alpha1.Header
	object *T
}

// objects is everything that was written in a directory.
type objects struct {
	functions []entry[v1alpha1.Function]
	pools     []entry[v1alpha1.Pool]
	quotas    []entry[v1alpha1.Quota]
	policies  []entry[v1alpha1.BurstPolicy]
	books     []entry[v1alpha1.PriceBook]
	servers   []entry[v1alpha1.Server]
}
