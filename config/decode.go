package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Bounds on decoding: the values of one file after aliases are expanded, and the
// faults of one object.
const (
	maxVisits       = 200_000
	maxObjectFaults = 1000
)

// decoder fills one object from one document and keeps the place of every field.
type decoder struct {
	*source
	refused map[string]string // field path without indices → why it cannot be set
	anchors map[string]ast.Node
	visits  *int
}

// node fills v from n. path names v in faults.
func (d *decoder) node(n ast.Node, v reflect.Value, path string) {
	if *d.visits++; *d.visits > maxVisits || len(d.bad) > maxObjectFaults {
		if *d.visits == maxVisits+1 {
			d.fault("", fmt.Sprintf("the file has more than %d values once aliases are expanded", maxVisits), "split it")
		}
		return
	}
	d.mark(path, n)
	n = d.resolve(n, path)
	if n == nil {
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if _, null := n.(*ast.NullNode); null {
		d.fault(path, "has no value", "a value, or no such line")
		return
	}
	if scalar, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, scalar, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Map:
		d.stringMap(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// resolve follows anchors and aliases; nil means that a fault was noted.
func (d *decoder) resolve(n ast.Node, path string) ast.Node {
	for range maxRun {
		switch t := n.(type) {
		case *ast.AnchorNode:
			d.anchors[t.Name.GetToken().Value] = t.Value
			n = t.Value
		case *ast.AliasNode:
			name := t.Value.GetToken().Value
			if n = d.anchors[name]; n == nil {
				d.fault(path, fmt.Sprintf("alias *%s has no anchor before it in this document", name), "")
				return nil
			}
		case *ast.TagNode:
			d.fault(path, "tags such as "+quoteShort(t.GetToken().Value)+" are not used here", "plain values")
			return nil
		case nil:
			d.fault(path, "has no value", "a value, or no such line")
			return nil
		default:
			return n
		}
	}
	d.fault(path, "aliases lead in a circle", "")
	return nil
}

func (d *decoder) structure(n ast.Node, v reflect.Value, path string) {
	pairs, ok := mapping(n)
	if !ok {
		d.wrongType(n, path, "fields: "+alternatives(fieldNames(v.Type())))
		return
	}
	for key, value := range d.keys(pairs, path) {
		at := join(path, key)
		if f, ok := fieldNamed(v, key); ok {
			d.node(value.Value, f, at)
			continue
		}
		names := fieldNames(v.Type())
		why, refused := d.refused[withoutIndices(at)]
		if !refused {
			why = "unknown field" + d.suggest(key, names)
		}
		d.faultAt(value.Key.GetToken().Position, at, why, alternatives(names))
	}
}

func (d *decoder) stringMap(n ast.Node, v reflect.Value, path string) {
	pairs, ok := mapping(n)
	if !ok {
		d.wrongType(n, path, "a mapping of names to values")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for key, pair := range d.keys(pairs, path) {
		value := reflect.New(v.Type().Elem()).Elem()
		d.node(pair.Value, value, join(path, key))
		v.SetMapIndex(reflect.ValueOf(key), value)
	}
}

// keys yields the pairs in order, once each, and notes keys that cannot be used.
func (d *decoder) keys(pairs []*ast.MappingValueNode, path string) func(func(string, *ast.MappingValueNode) bool) {
	return func(yield func(string, *ast.MappingValueNode) bool) {
		seen := make(map[string]*token.Position, len(pairs))
		for _, pair := range pairs {
			key, problem := keyText(pair.Key)
			at := join(path, key)
			position := pair.Key.GetToken().Position
			if first := seen[key]; first != nil && problem == "" {
				problem = fmt.Sprintf("duplicate key, first at line %d, column %d", first.Line, first.Column)
			}
			if problem != "" {
				d.faultAt(position, at, problem, "")
				continue
			}
			seen[key] = position
			if !yield(key, pair) {
				return
			}
		}
	}
}

func keyText(key ast.MapKeyNode) (text, problem string) {
	switch k := key.(type) {
	case *ast.StringNode:
		return k.Value, ""
	case *ast.MergeKeyNode:
		return "<<", "merge keys are not used here"
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return key.GetToken().Value, ""
	}
	return "?", "keys must be plain text"
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	items, ok := listOf(n, standsAlone[path])
	if !ok {
		d.wrongType(n, path, "a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		d.node(item, v.Index(i), path+"["+strconv.Itoa(i)+"]")
	}
}

// listOf returns the items of a list. Where one may stand alone, a mapping is one.
func listOf(n ast.Node, alone bool) (items []ast.Node, ok bool) {
	if seq, ok := n.(*ast.SequenceNode); ok {
		return seq.Values, true
	}
	_, one := mapping(n)
	return []ast.Node{n}, alone && one
}

// wrongType does not repeat text: it may be a secret in the wrong place.
func (d *decoder) wrongType(n ast.Node, path, allowed string) {
	d.fault(path, "is "+typeName(n), allowed)
}

// text fills quantities, durations and the like from the characters written, so
// that a number never passes through a float.
func (d *decoder) text(n ast.Node, v encoding.TextUnmarshaler, path string) {
	allowed := ""
	if s, ok := v.(interface{ Syntax() string }); ok {
		allowed = s.Syntax()
	}
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
	default:
		d.wrongType(n, path, allowed)
		return
	}
	written := n.GetToken().Value
	if err := v.UnmarshalText([]byte(written)); err != nil {
		d.fault(path, quoteShort(written)+": "+err.Error(), allowed)
	}
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		switch s := n.(type) {
		case *ast.StringNode:
			v.SetString(s.Value)
		case *ast.LiteralNode:
			v.SetString(s.Value.Value)
		default:
			d.wrongType(n, path, "text; write numbers and words such as true in quotes")
		}
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.wrongType(n, path, "true or false")
			return
		}
		v.SetBool(b.Value)
	case reflect.Int64:
		d.integer(n, v, path)
	default:
		panic("config: no decoder for " + v.Type().String())
	}
}

func (d *decoder) integer(n ast.Node, v reflect.Value, path string) {
	if _, ok := n.(*ast.IntegerNode); !ok {
		d.wrongType(n, path, "a whole number")
		return
	}
	written := n.GetToken().Value
	i, err := strconv.ParseInt(written, 10, 64)
	if err != nil {
		d.fault(path, quoteShort(written)+" is not a whole number that fits 64 bits", "a whole number in decimal digits")
		return
	}
	v.SetInt(i)
}

func typeName(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.BoolNode:
		return "a truth value"
	case *ast.IntegerNode:
		return "a whole number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + quoteShort(n.GetToken().Value)
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	}
	return "not a value that can be used here"
}

func mapping(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// withoutIndices turns spec.cloud[3].pool into spec.cloud[].pool.
func withoutIndices(path string) string {
	var b strings.Builder
	for len(path) > 0 {
		open := strings.IndexByte(path, '[')
		if open < 0 {
			break
		}
		shut := strings.IndexByte(path, ']')
		if shut < open {
			break
		}
		b.WriteString(path[:open] + "[]")
		path = path[shut+1:]
	}
	return b.String() + path
}
