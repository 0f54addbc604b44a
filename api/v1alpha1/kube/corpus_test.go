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
	"github.com/spillway-dev/spillway/api/v1alpha1"
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
			if m.object.GetKind() == "PriceBook" {
				m.object.Object = quoted(m.object.Object).(map[string]any)
			}
			all = append(all, m)
		}
	}
	return all
}

// quoted writes numbers with a point as texts: a server takes no others for quantities.
func quoted(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = quoted(v[key])
		}
	case []any:
		for i := range v {
			v[i] = quoted(v[i])
		}
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return v
}

// malformedObjects gives a server what the loader refuses. What it refuses by rules
// it must refuse in the loader's words; what it takes the loader must refuse still.
func malformedObjects(t *testing.T, c client.Client) {
	namespaces := map[string]bool{}
	var same, own int
	var only []string
	for _, m := range corpus(t) {
		if ns := m.object.GetNamespace(); label.MatchString(ns) && !namespaces[ns] {
			namespace(t, c, ns)
			namespaces[ns] = true
		}
		for i, f := range m.faults {
			object := alone(m, i)
			err := apply(t.Context(), c, object.DeepCopy(), client.DryRunAll)
			causes := causesOf(err)
			checkWords(t, m, object, causes)
			switch {
			case slices.ContainsFunc(causes, func(cause fault) bool { return strings.HasSuffix(cause.words, plain(f.words)) }):
				same++
				continue
			case slices.ContainsFunc(causes, func(cause fault) bool { return about(cause, f) }):
				own++
				continue
			}
			line := fmt.Sprintf("%s: %s: %s", m.name, f.field, f.words)
			if err == nil && !refused(t, m.name, object) {
				line += " (alone it is taken)"
			}
			only = append(only, line)
		}
	}
	t.Logf("%d faults are refused by the server in the loader's words, %d in words of its own, %d by the loader alone", same, own, len(only))
	golden(t, "testdata/only-the-loader.txt", strings.Join(only, "\n")+"\n")
}

// standIns are good values of fields that an object must have; %d is the place in a list.
var standIns = map[string]any{"name": "good%d", "namespace": "shop", "pool": "good%d", "window": "month", "amount": "1", "weight": int64(0), "plan": "good%d",
	"version": "good%d", "source": "good", "kind": "owned", "from": "12:00", "to": "13:00", "rate": "1", "date": "2026-01-01", "percent": int64(1)}

// alone is an object with one of its faults only, as far as the others can be taken out.
func alone(m malformed, keep int) *unstructured.Unstructured {
	o := m.object.DeepCopy()
	kept := m.faults[keep]
	for i, f := range slices.Backward(m.faults) {
		if i != keep && f.field != "" && !within(kept.field, f.field) && !within(f.field, kept.field) {
			o.Object, _ = without(o.Object, steps(f.field), 0).(map[string]any)
		}
	}
	if !twins.MatchString(kept.words) {
		prune(o.Object, steps(kept.field))
	}
	return o
}

// within reports whether a field is another or in it.
func within(field, outer string) bool {
	rest, ok := strings.CutPrefix(field, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// twins are faults of two elements of a list.
var twins = regexp.MustCompile("twice|already|earlier|overlaps|as large as")

func steps(field string) []string { return strings.Split(strings.ReplaceAll(field, "[", ".["), ".") }

func place(step string) int {
	i, err := strconv.Atoi(strings.Trim(step, "[]"))
	if err != nil {
		return -1
	}
	return i
}

// without takes a field out of a value, or puts a good one in its place.
func without(v any, path []string, at int) any {
	if len(path) == 0 {
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if inner := without(v[path[0]], path[1:], at); inner != nil {
			v[path[0]] = inner
		} else if good, ok := standIns[path[0]]; ok && (path[0] != "window" || v["amount"] != nil) {
			v[path[0]] = good
			if path[0] == "to" && v["rate"] != nil {
				v[path[0]] = "USD" // of an exchange rate, not of a window
			}
			if text, ok := good.(string); ok && strings.Contains(text, "%d") {
				v[path[0]] = fmt.Sprintf(text, at)
			}
		} else {
			delete(v, path[0])
		}
		return v
	case []any:
		if i := place(path[0]); i >= 0 && i < len(v) {
			if inner := without(v[i], path[1:], i); inner != nil {
				v[i] = inner
				return v
			}
			return slices.Delete(v, i, i+1)
		}
	}
	return v
}

// prune leaves of independent lists of objects, and of variables, only what leads to a
// field.
func prune(object map[string]any, path []string) {
	spec, _ := object["spec"].(map[string]any)
	if len(path) < 2 || spec == nil {
		return
	}
	for _, key := range []string{"cloud", "plans", "exchangeRates", "windows", "budgets"} {
		list, ok := spec[key].([]any)
		switch i := place(path[min(2, len(path)-1)]); {
		case !ok:
		case path[1] != key && key != "windows" && key != "budgets":
			delete(spec, key)
		case path[1] == key && i >= 0 && i < len(list):
			spec[key] = []any{list[i]}
		}
	}
	if env, ok := spec["env"].(map[string]any); ok && path[1] == "env" && len(path) == 3 {
		spec["env"] = map[string]any{path[2]: env[path[2]]}
	}
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

var (
	indices = regexp.MustCompile(`\[[^\]]*\]`)
	// structural faults are those that a server finds before it looks at values.
	structural = regexp.MustCompile("twice|already|earlier revision|unknown field|is a list|is text|not supported|is required|is missing|is a mapping|is a whole number|is the number|is a truth|has [0-9]+ entries|not a duration")
)

// about reports whether a server speaks of the field of a fault, or of one around it or
// in it.
func about(cause, f fault) bool {
	field, of := indices.ReplaceAllString(cause.field, ""), indices.ReplaceAllString(f.field, "")
	if field != "" && field != "<nil>" {
		return strings.HasPrefix(of, field) || strings.HasPrefix(field, of)
	}
	if strings.HasPrefix(f.field, "metadata.") {
		return true // which is part of the address of an object
	}
	list, _, _ := strings.Cut(f.field, "[")
	return structural.MatchString(f.words) && strings.Contains(cause.words, "."+list)
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

var durations = regexp.MustCompile(`\b[0-9][0-9.]*(ns|us|ms|s|m|h)([0-9.]+(ms|s|m|h))*\b`)

// alike are words with durations as they would be written shortest.
func alike(words string) string {
	return durations.ReplaceAllStringFunc(plain(words), func(text string) string {
		var d v1alpha1.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil {
			return text
		}
		return d.String()
	})
}

// checkWords compares what rules say of an object with what the loader says of it, or of
// the whole that it was made from. Where rules say several things of a field, one must be
// the loader's.
func checkWords(t *testing.T, m malformed, o *unstructured.Unstructured, causes []fault) {
	t.Helper()
	var said []string
	good := map[string]bool{}
	for _, cause := range causes {
		if strings.Contains(cause.words, "failed rule") || strings.Contains(cause.words, "evaluat") {
			t.Errorf("%s: %s: %s", m.name, cause.field, cause.words)
		}
		if !strings.Contains(cause.words, "; allowed: ") {
			continue
		}
		if len(said) == 0 {
			said = loaderSays(t, o)
			for _, f := range m.faults {
				said = append(said, f.words)
			}
		}
		good[cause.field] = good[cause.field] || slices.ContainsFunc(said, func(words string) bool { return strings.HasSuffix(alike(cause.words), alike(words)) })
	}
	for _, cause := range causes {
		if ok, ours := good[cause.field]; ours && !ok {
			t.Errorf("%s: %s: the server says\n\t%s\nthe loader\n\t%s", m.name, cause.field, cause.words, strings.Join(said, "\n\t"))
		}
	}
}

// loaderSays is what the loader says of an object of a cluster, without the fields.
func loaderSays(t *testing.T, o *unstructured.Unstructured) []string {
	t.Helper()
	text, err := o.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	typed := kindOf(t, o.GetKind())
	if err := json.Unmarshal(text, typed); err != nil {
		return []string{err.Error()}
	}
	_, faults, err := new(config.Cluster).Load("", []config.Object{typed}, testDay, config.Checks{Machine: spillway.Resources{Slots: 8, MilliCPU: 4000, MiB: 4096}, WithoutCode: true})
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, f := range faults {
		said = append(said, f.Problem+"; allowed: "+f.Allowed)
	}
	return said
}

// refused reports whether the loader finds a fault in an object that a server took, and
// that is alone.
func refused(t *testing.T, name string, o *unstructured.Unstructured) bool {
	t.Helper()
	said := loaderSays(t, o)
	if len(said) == 1 && !strings.Contains(said[0], "; allowed: ") {
		t.Errorf("%s: the server took what clients cannot read: %s", name, said[0])
	}
	return len(said) > 0
}

var testDay = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)
