package config

import (
	"reflect"

	"github.com/goccy/go-yaml/ast"
)

// Written says where the fields of a file were written. It is not safe for concurrent
// use.
type Written struct{ source source }

// Decode fills v, a pointer to a struct with json tags, from the YAML text of a file
// with one document, as strictly as objects are read. An empty file leaves v alone.
func Decode(file string, text []byte, v any) (*Written, Faults) {
	var faults []Fault
	w := &Written{source{file: file, paths: map[string]string{}, faults: &faults}}
	docs, fault := parse(file, text)
	if fault != nil {
		return w, Faults{*fault}
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
	return w, faults
}

// At is a fault of the field at path, such as "pools.a.away[0].from", at the place of
// the nearest field around it that was written.
func (w *Written) At(path, problem, allowed string) Fault {
	at := w.source.locate(path)
	return Fault{File: w.source.file, Line: int(at.line), Col: int(at.col), Field: path, Problem: problem, Allowed: allowed}
}
