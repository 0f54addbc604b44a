package main

import (
	"fmt"
	"strings"
)

// schema is an OpenAPI schema as it is in a file.
type schema map[string]any

func schemaOf(crd map[string]any) (schema, error) {
	spec, _ := crd["spec"].(map[string]any)
	versions, _ := spec["versions"].([]any)
	if len(versions) != 1 {
		return nil, fmt.Errorf("%d versions", len(versions))
	}
	version, _ := versions[0].(map[string]any)
	outer, _ := version["schema"].(map[string]any)
	root, ok := outer["openAPIV3Schema"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("no schema")
	}
	return root, nil
}

// find returns the schema at a path such as spec.cloud[].pool; {} stands for the values
// of a map.
func find(root schema, path string) (schema, error) {
	at := root
	for part := range strings.SplitSeq(strings.NewReplacer("[]", ".[]", "{}", ".{}").Replace(path), ".") {
		var next any
		switch part {
		case "":
			continue
		case "[]":
			next = at["items"]
		case "{}":
			next = at["additionalProperties"]
		default:
			properties, _ := at["properties"].(map[string]any)
			next = properties[part]
		}
		inner, ok := next.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("no %s in %s", part, path)
		}
		at = inner
	}
	return at, nil
}

// quantityMark is what markers leave on types that are texts or whole numbers.
const quantityMark = "x-kubernetes-int-or-string"

// untype takes the type from quantities, which are texts or numbers.
func untype(s schema) {
	if s[quantityMark] == true {
		delete(s, "type")
	}
	properties, _ := s["properties"].(map[string]any)
	for _, p := range properties {
		untype(p.(map[string]any))
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := s[key].(map[string]any); ok {
			untype(inner)
		}
	}
}

// allow adds a CEL rule.
func (s schema) allow(r rule) {
	one := map[string]any{"rule": r.cel}
	if r.computed {
		one["messageExpression"] = r.words
	} else {
		one["message"] = r.words
	}
	if r.field != "" {
		one["fieldPath"] = r.field
	}
	all, _ := s["x-kubernetes-validations"].([]any)
	s["x-kubernetes-validations"] = append(all, one)
}
