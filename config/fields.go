package config

import (
	"reflect"
	"strings"
	"sync"
)

// fieldIndex is the position of each field of a struct type by the name that
// people write, and those names in order.
type fieldIndex struct {
	names []string
	index map[string][]int
}

var fieldCache sync.Map // reflect.Type → *fieldIndex

func fieldsOf(t reflect.Type) *fieldIndex {
	if f, ok := fieldCache.Load(t); ok {
		return f.(*fieldIndex)
	}
	f := &fieldIndex{index: map[string][]int{}}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous || name == "" {
			continue
		}
		f.names = append(f.names, name)
		f.index[name] = field.Index
	}
	fieldCache.Store(t, f)
	return f
}

func fieldNames(t reflect.Type) []string { return fieldsOf(t).names }

func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	index, ok := fieldsOf(v.Type()).index[name]
	if !ok {
		return reflect.Value{}, false
	}
	return v.FieldByIndex(index), true
}
