package kube_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
)

var update = flag.Bool("update", false, "write the results into testdata")

// malformed is one object of the loader's corpus, and what the loader says of it.
type malformed struct {
	name   string // of the case
	object *unstructured.Unstructured
	faults []fault
}

type fault struct{ field, words string }

var (
	faultLine  = regexp.MustCompile(`^(\S+\.ya?ml):(\d+):\d+: (?:([a-z]\S*): )?(.*)$`)
	suggestion = regexp.MustCompile(`, did you mean "[^"]*"\?`)
	label      = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// notInClusters are faults of files, which objects of a cluster do not have.
var notInClusters = []string{"does not exist", "there is no file ", "is neither a directory", "is a file but not", "does not match the content",
	"duplicate key", "tags such as", "merge keys", "has no value", "alias *", "aliases", "already written in", "one Pool too many", "keys must be plain", "unknown kind", "a second document", "package.path", "metadata.labels", "apiVersion"}

func corpus(t *testing.T) []malformed {
	t.Helper()
	cases, err := filepath.Glob("../../../config/testdata/malformed/*.txtar")
	if err != nil || len(cases) < 100 {
		t.Fatal(len(cases), err)
	}
	var all []malformed
	for _, path := range cases {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]string{}
		for _, f := range a.Files {
			said[f.Name] = string(f.Data)
		}
		for _, f := range a.Files {
			if strings.HasSuffix(f.Name, ".yaml") {
				all = append(all, malformedIn(strings.TrimSuffix(filepath.Base(path), ".txtar"), f, said["faults"])...)
			}
		}
	}
	return all
}

// malformedIn are the objects of a file that have faults by themselves and that a
// cluster could be given.
func malformedIn(name string, f txtar.File, said string) []malformed {
	var all []malformed
	line := 1
	for _, doc := range strings.SplitAfter(string(f.Data), "\n---\n") {
		first := line
		line += strings.Count(doc, "\n")
		m := malformed{name: name, object: &unstructured.Unstructured{}}
		for l := range strings.Lines(said) {
			parts := faultLine.FindStringSubmatch(strings.TrimSuffix(l, "\n"))
			if parts == nil || parts[1] != f.Name {
				continue
			}
			at, _ := strconv.Atoi(parts[2])
			foreign := slices.ContainsFunc(notInClusters, func(s string) bool { return strings.Contains(l, s) })
			if at >= first && at < line && !foreign {
				m.faults = append(m.faults, fault{parts[3], parts[4]})
			}
		}
		if err := yaml.Unmarshal([]byte(doc), &m.object.Object); err != nil || len(m.faults) == 0 {
			continue
		}
		switch m.object.GetKind() {
		case "Function", "Pool", "Quota", "BurstPolicy", "PriceBook":
			inCluster(m.object)
			all = append(all, m)
		}
	}
	return all
}

// TestMalformedObjects gives a server what the loader refuses. What it refuses by rules
// it must refuse in the loader's words; what it takes the loader must refuse still.
func TestMalformedObjects(t *testing.T) {
	c := server(t)
	namespaces := map[string]bool{}
	var same, own int
	var only []string
	for _, m := range corpus(t) {
		if ns := m.object.GetNamespace(); label.MatchString(ns) && !namespaces[ns] {
			namespace(t, c, ns)
			namespaces[ns] = true
		}
		checkWords(t, m, causesOf(apply(t.Context(), c, m.object.DeepCopy(), client.DryRunAll)))
		for i, f := range m.faults {
			err := apply(t.Context(), c, alone(m, i), client.DryRunAll)
			causes := causesOf(err)
			switch {
			case slices.ContainsFunc(causes, func(cause fault) bool { return strings.HasSuffix(cause.words, plain(f.words)) }):
				same++
			case slices.ContainsFunc(causes, func(cause fault) bool { return about(cause, f) }):
				own++
			default:
				only = append(only, fmt.Sprintf("%s: %s: %s", m.name, f.field, f.words))
			}
			if err == nil {
				checkLoader(t, m.name, alone(m, i), f)
			}
		}
	}
	t.Logf("%d faults are refused by the server in the loader's words, %d in words of its own, %d by the loader alone", same, own, len(only))
	golden(t, "testdata/only-the-loader.txt", strings.Join(only, "\n")+"\n")
}

// standIns are good values of fields that an object must have.
var standIns = map[string]any{"name": "good", "pool": "good", "window": "month", "amount": "1", "weight": int64(0), "plan": "good", "version": "good", "source": "good",
	"from": "12:00", "to": "13:00", "rate": "1", "date": "2026-01-01", "percent": int64(1)}

// alone is an object with one of its faults only, as far as the others can be taken out.
func alone(m malformed, keep int) *unstructured.Unstructured {
	o := m.object.DeepCopy()
	kept := m.faults[keep].field
	for i, f := range slices.Backward(m.faults) {
		if i != keep && f.field != "" && !strings.HasPrefix(kept, f.field) && !strings.HasPrefix(f.field, kept) {
			o.Object, _ = without(o.Object, strings.Split(strings.ReplaceAll(f.field, "[", ".["), ".")).(map[string]any)
		}
	}
	return o
}

// without takes a field out of a value, or puts a good one in its place.
func without(v any, path []string) any {
	if len(path) == 0 {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if inner := without(v[path[0]], path[1:]); inner != nil {
			v[path[0]] = inner
		} else if good, ok := standIns[path[0]]; ok {
			v[path[0]] = good
		} else {
			delete(v, path[0])
		}
		return v
	case []any:
		if i, err := strconv.Atoi(strings.Trim(path[0], "[]")); err == nil && i < len(v) {
			if inner := without(v[i], path[1:]); inner != nil {
				v[i] = inner
				return v
			}
			return slices.Delete(v, i, i+1)
		}
	}
	return v
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != got {
		t.Errorf("%v; only the loader refuses\n%s", err, got)
	}
}

func plain(words string) string { return suggestion.ReplaceAllString(words, "") }

// about reports whether a server speaks of the field of a fault, or of one around it.
func about(cause, f fault) bool {
	field := strings.TrimPrefix(cause.field, ".")
	return field == f.field || field != "" && strings.HasPrefix(f.field, field) || strings.Contains(cause.words, "."+f.field)
}

func causesOf(err error) []fault {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		return nil
	}
	if status.ErrStatus.Details == nil || len(status.ErrStatus.Details.Causes) == 0 {
		return []fault{{"", status.ErrStatus.Message}}
	}
	var all []fault
	for _, cause := range status.ErrStatus.Details.Causes {
		all = append(all, fault{cause.Field, cause.Message})
	}
	return all
}

// checkWords compares what rules say with what the loader says of the object.
func checkWords(t *testing.T, m malformed, causes []fault) {
	t.Helper()
	for _, cause := range causes {
		ours := strings.Contains(cause.words, "; allowed: ") || strings.Contains(cause.words, "failed rule") || strings.Contains(cause.words, "evaluat")
		if ours && !slices.ContainsFunc(m.faults, func(f fault) bool { return strings.HasSuffix(cause.words, plain(f.words)) }) {
			t.Errorf("%s: %s: the server says\n\t%s\nthe loader\n\t%s", m.name, cause.field, cause.words, fmt.Sprint(m.faults))
		}
	}
}

// checkLoader loads an object that a server took, and expects the fault; of what objects
// say of each other, some fault.
func checkLoader(t *testing.T, name string, o *unstructured.Unstructured, f fault) {
	t.Helper()
	text, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	typed := kindOf(t, o.GetKind())
	if err := json.Unmarshal(text, typed); err != nil {
		t.Errorf("%s: the server took what clients cannot read: %v", name, err)
		return
	}
	loaded, faults, err := new(config.Cluster).Load("", []config.Object{typed}, time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC),
		config.Checks{Machine: spillway.Resources{Slots: 8, MilliCPU: 4000, MiB: 4096}, WithoutCode: true})
	if err != nil || loaded != nil && len(faults) == 0 {
		t.Logf("%s: needs other objects to be at fault: %s: %s (%v)", name, f.field, f.words, err)
	}
}
