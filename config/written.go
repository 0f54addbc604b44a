package config

import (
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// Written says where the fields of a file were written, and collects its faults.
type Written struct {
	source source
	faults []Fault
}

// Decode fills v, a pointer to a struct with json tags, from the YAML text of a file
// with one document, as strictly as objects are read: what it cannot use is among
// Faults. An empty file leaves v alone.
func Decode(file string, text []byte, v any) *Written {
	w := &Written{}
	w.source = source{file: file, paths: map[string]string{}, faults: &w.faults}
	docs, fault := parse(file, text)
	if fault != nil {
		w.faults = append(w.faults, *fault)
		return w
	}
	found := false
	for _, doc := range docs {
		switch doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
			continue
		}
		w.source.mark("", doc.Body)
		if found {
			w.source.fault("", "a second document", "one document in the file")
			break
		}
		found = true
		d := &decoder{source: &w.source, anchors: map[string]ast.Node{}, visits: new(int)}
		d.node(doc.Body, reflect.ValueOf(v).Elem(), "")
	}
	return w
}

// Fault notes a fault of the field at path, such as "pools.a.away[0].from", at the
// place of the nearest field around it that was written. One is kept for a field.
func (w *Written) Fault(path, problem, allowed string) { w.source.fault(path, problem, allowed) }

// Faults returns all faults in the order of the file; nil if there are none.
func (w *Written) Faults() Faults {
	sortFaults(w.faults)
	return w.faults
}
