package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Object is an object as a cluster keeps it. It never changes: a change is another
// Object.
type Object interface {
	// Written returns a copy as people write it in a file: a pointer to a Function,
	// Pool, Quota, BurstPolicy or PriceBook of package v1alpha1, whose kind is set. The
	// loader fills in defaults there.
	Written() any
}

// keeper is an Object that had revisions before: by name, what their code was.
type keeper interface{ Kept() map[string]string }

// aged is an Object whose time of creation is known. Of two objects that cannot both
// hold, the younger has the fault.
type aged interface{ Made() time.Time }

// Cluster loads the objects of a cluster again and again. A Function with faults is
// taken as it was when it last had none, and left out if it never was; faults of any
// other object refuse all. It is not safe for concurrent use.
type Cluster struct {
	good   map[spillway.FunctionKey]Object
	others []any
}

// Begin takes functions among objects as those that were good last.
func (c *Cluster) Begin(objects []Object) { c.good, _ = c.sort(objects) }

// Good are the objects of the last Loaded: functions with faults as they were before.
func (c *Cluster) Good() []Object {
	var all []Object
	for _, o := range slices.Concat(c.others, inOrder(c.good)) {
		if o, ok := o.(Object); ok {
			all = append(all, o)
		}
	}
	return all
}

// Load is the function Load for objects besides those of the files in dir, which may be
// empty. Faults name an object of the cluster as its file, such as "Function shop/pay",
// without a line. Faults beside a Loaded are those of functions that it has not as they
// are written.
func (c *Cluster) Load(dir string, objects []Object, now time.Time, checks Checks) (*Loaded, Faults, error) {
	functions, others := c.sort(objects)
	files := checks.Given
	present, tried := maps.Clone(functions), map[spillway.FunctionKey]bool{}
	var faults Faults
	for {
		checks.Given = slices.Concat(files, others, inOrder(present))
		loaded, err := Load(dir, now, checks)
		var found Faults
		switch {
		case err == nil:
			c.good, c.others = present, others
			sortFaults(faults)
			loaded.FunctionFaults = faults
			return loaded, faults, nil
		case !errors.As(err, &found):
			return nil, nil, err
		}
		if first := len(tried) == 0; !c.replace(present, found, tried, &faults) {
			if first {
				return nil, found, nil
			}
			return nil, append(faults, found...), nil
		}
	}
}

func (c *Cluster) sort(objects []Object) (functions map[spillway.FunctionKey]Object, others []any) {
	functions = map[spillway.FunctionKey]Object{}
	for _, o := range objects {
		if f, ok := o.Written().(*v1alpha1.Function); ok {
			functions[spillway.FunctionKey{Namespace: f.Metadata.Namespace, Name: f.Metadata.Name}] = o
			continue
		}
		others = append(others, o)
	}
	return functions, others
}

func inOrder(functions map[spillway.FunctionKey]Object) []any {
	keys := slices.SortedFunc(maps.Keys(functions), compareKeys)
	all := make([]any, len(keys))
	for i, key := range keys {
		all[i] = functions[key]
	}
	return all
}

// replace puts what was good last time, or nothing, in place of functions with faults.
// It reports whether that can help: not if anything else has faults.
func (c *Cluster) replace(present map[spillway.FunctionKey]Object, found Faults, tried map[spillway.FunctionKey]bool, faults *Faults) bool {
	files := make(map[string]spillway.FunctionKey, len(present))
	for key := range present {
		files[clusterFile(v1alpha1.KindFunction, key)] = key
	}
	for _, f := range found {
		if _, ours := files[f.File]; !ours {
			return false
		}
	}
	changed := map[spillway.FunctionKey]bool{}
	for _, f := range found {
		key := files[f.File]
		if !tried[key] {
			*faults = append(*faults, f)
		}
		changed[key] = true
	}
	for key := range changed {
		good := c.good[key]
		if good == nil || tried[key] {
			delete(present, key)
		} else {
			present[key] = good
		}
		tried[key] = true
	}
	return true
}

// clusterFile is what stands for the file of an object of a cluster.
func clusterFile(kind string, key spillway.FunctionKey) string {
	if key.Namespace == "" {
		return kind + " " + key.Name
	}
	return kind + " " + key.String()
}

// giveObject adds an object of a cluster, with the fields that it has as written.
func (l *loading) giveObject(o Object) {
	written := o.Written()
	header, ok := headerOf(written)
	s := &source{cluster: true, faults: (*[]Fault)(&l.faults), paths: l.paths}
	if !ok {
		s.file = "(given)"
		s.fault("", fmt.Sprintf("a %T cannot be given", written), "an object of package v1alpha1")
		return
	}
	s.file = clusterFile(header.Kind, spillway.FunctionKey{Namespace: header.Metadata.Namespace, Name: header.Metadata.Name})
	s.markValue("", reflect.ValueOf(written).Elem())
	if a, ok := o.(aged); ok {
		s.made = a.Made()
	}
	if f, ok := written.(*v1alpha1.Function); ok {
		s.checkKept(f, o)
	}
	l.add(s, written)
}

// checkKept checks that revisions have the code that they had before.
func (s *source) checkKept(f *v1alpha1.Function, o Object) {
	k, ok := o.(keeper)
	if !ok {
		return
	}
	before := k.Kept()
	for i, r := range f.Spec.Revisions {
		if had := before[r.Name]; had != "" && r.Name != "" && had != cmp.Or(r.Image, r.Package.Digest) {
			s.fault(index("spec.revisions", i), fmt.Sprintf("%s had other code before, %s", quoteShort(r.Name), quoteShort(had)), "a new name: revisions do not change")
		}
	}
}

func headerOf(o any) (v1alpha1.Header, bool) {
	switch o := o.(type) {
	case *v1alpha1.Function:
		return o.Header, true
	case *v1alpha1.Pool:
		return o.Header, true
	case *v1alpha1.Quota:
		return o.Header, true
	case *v1alpha1.BurstPolicy:
		return o.Header, true
	case *v1alpha1.PriceBook:
		return o.Header, true
	}
	return v1alpha1.Header{}, false
}

// markValue marks every field that is not zero as written, without a place.
func (s *source) markValue(path string, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	s.markAt(path, 0, 0)
	switch v.Kind() {
	case reflect.Struct:
		fields := fieldsOf(v.Type())
		for _, name := range fields.names {
			if f := v.FieldByIndex(fields.index[name]); !f.IsZero() {
				s.markValue(join(path, name), f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			s.markValue(index(path, i), v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			s.markValue(join(path, key.String()), v.MapIndex(key))
		}
	}
}

// checkUploaded checks the package of a function in a cluster: a digest names what was
// uploaded.
func (l *loading) checkUploaded(s *source, at string, p *v1alpha1.Package) {
	const allowed = "sha256: and 64 hex digits"
	switch {
	case p.Path != "":
		s.fault(at+".path", "means nothing in a cluster", "digest alone, of a package that was uploaded")
	case p.Digest == "":
		s.fault(at+".digest", "is required", allowed)
	case !digestForm.MatchString(p.Digest):
		s.fault(at+".digest", quoteShort(p.Digest)+" is not a digest", allowed)
	case l.checks.Package != nil:
		path, ok := l.checks.Package(p.Digest)
		if !ok {
			s.note(Fault{File: s.file, Field: at + ".digest", Problem: "there is no such package here", Allowed: "one that was uploaded, which 'spillway package push' does", missing: true})
			return
		}
		p.Path = path
	}
}
