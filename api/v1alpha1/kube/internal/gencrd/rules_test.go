package main

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestEveryTextIsChecked: a quantity, duration or date that a server took and clients
// cannot read would stop them from reading all objects of the kind.
func TestEveryTextIsChecked(t *testing.T) {
	quantities := 0
	for plural := range kinds {
		text, err := os.ReadFile(filepath.Join("../../../../../manifests/base/crds", "spillway.dev_"+plural+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var crd map[string]any
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		root, err := schemaOf(crd)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := find(root, "spec")
		if err != nil {
			t.Fatal(err)
		}
		walk(spec, plural+".spec", func(path string, s schema) {
			if s[quantityMark] != true {
				return
			}
			quantities++
			if s["type"] != nil || s["pattern"] == nil && s["x-kubernetes-validations"] == nil {
				t.Errorf("%s: any text is taken", path)
			}
		})
	}
	if quantities < 40 {
		t.Errorf("%d quantities", quantities)
	}
}

func walk(s schema, path string, visit func(string, schema)) {
	visit(path, s)
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		walk(p.(map[string]any), path+"."+name, visit)
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := s[key].(map[string]any); ok {
			walk(inner, path+"[]", visit)
		}
	}
}

// TestComplete adds rules where they belong, and none where there is no such field.
func TestComplete(t *testing.T) {
	plain := []byte("spec: {versions: [{schema: {openAPIV3Schema: {properties: {a: {type: string}}}}}]}\n")
	out, err := complete(plain, label("a"))
	if err != nil {
		t.Fatal(err)
	}
	var crd map[string]any
	if err := yaml.Unmarshal(out, &crd); err != nil {
		t.Fatal(err)
	}
	root, _ := schemaOf(crd)
	a, err := find(root, "a")
	if rules, _ := a["x-kubernetes-validations"].([]any); err != nil || len(rules) != 1 || a["maxLength"] != 256.0 {
		t.Errorf("%v %v", a, err)
	}
	if _, err := complete(plain, label("b.c[]")); err == nil {
		t.Error("a rule for a field that is not there")
	}
}
