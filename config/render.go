package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Effective returns every object with its defaults and the digests found, in the
// order PriceBook, Pools, BurstPolicies, Quotas, Functions, Server, each sorted by
// name. They marshal to JSON as they are written. The caller must not change them.
func (l *Loaded) Effective() []any { return l.effective }

// Render writes the effective configuration as "yaml", which can be loaded
// again, or as "json", one array. Paths in it are as they were written, so they
// are relative to the directory that was loaded.
func (l *Loaded) Render(format string) ([]byte, error) {
	if format == "json" {
		return json.MarshalIndent(l.effective, "", "  ")
	}
	var out bytes.Buffer
	for i, o := range l.effective {
		if i > 0 {
			out.WriteString("---\n")
		}
		text, err := json.Marshal(o)
		if err == nil {
			text, err = yaml.JSONToYAML(text)
		}
		if err != nil {
			return nil, fmt.Errorf("write configuration as YAML: %w", err)
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

func (l *loading) keepEffective() {
	l.result.effective = slices.Concat(
		effective(l.all.books), effective(l.all.pools), effective(l.all.policies),
		effective(l.all.quotas), effective(l.all.functions), effective(l.all.servers))
}

func effective[T any](entries []entry[T]) []any {
	all := make([]any, len(entries))
	for i, e := range entries {
		all[i] = e.object
	}
	return all
}

// revision returns the digest of all objects that a Platform is made of. Where
// the files and packages lie does not count; the content of packages does.
func (l *loading) revision() string {
	sum := sha256.New()
	for _, o := range l.result.effective {
		switch o := o.(type) {
		case *v1alpha1.Server:
			continue
		case *v1alpha1.Function:
			write(sum.Write, withoutPaths(*o))
		default:
			write(sum.Write, o)
		}
	}
	if len(l.checks.NamespaceUIDs) > 0 { // a namespace that was made anew is another
		for _, ns := range l.result.Platform.Namespaces {
			write(sum.Write, ns.UID)
		}
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

func write(to func([]byte) (int, error), o any) {
	text, err := json.Marshal(o)
	if err != nil {
		panic("config: an object of our own does not marshal: " + err.Error())
	}
	_, _ = to(append(text, '\n'))
}

func withoutPaths(f v1alpha1.Function) v1alpha1.Function {
	f.Spec.Revisions = slices.Clone(f.Spec.Revisions)
	for i := range f.Spec.Revisions {
		f.Spec.Revisions[i].Package.Path = ""
	}
	return f
}
