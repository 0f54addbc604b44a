// Command gencrd adds to the custom resource definitions that controller-gen wrote what
// comments on types do not say well: bounds, and rules that refuse with the words of the
// loader. Run it with `go generate ./api/v1alpha1/kube`.
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		log.Fatalf("gencrd: %v", err)
	}
}

func run(dir string) error {
	for plural, rules := range kinds {
		file := filepath.Join(dir, "spillway.dev_"+plural+".yaml")
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if text, err = complete(text, rules); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// complete returns a definition with rules.
func complete(text []byte, rules []rule) ([]byte, error) {
	var crd map[string]any
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return nil, err
	}
	root, err := schemaOf(crd)
	if err != nil {
		return nil, err
	}
	untype(root)
	for _, r := range rules {
		at, err := find(root, r.path)
		if err != nil {
			return nil, err
		}
		for key, value := range r.bounds {
			at[key] = value
		}
		if r.cel != "" {
			at.allow(r)
		}
	}
	out, err := yaml.Marshal(crd)
	return append([]byte("---\n"), out...), err
}
