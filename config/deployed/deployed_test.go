package deployed

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

var hello = spillway.FunctionKey{Namespace: "shop", Name: "hello"}

func put(t *testing.T, s *Store, text string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(text))
	digest := "sha256:" + hex.EncodeToString(sum[:])
	if err := s.PutPackage(digest, strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return digest
}

// split is how a candidate shares calls, in the order of its revisions.
func split(c *Candidate) string {
	var all []string
	for _, v := range c.Revisions {
		w := int64(0)
		for _, t := range c.Traffic {
			if t.Revision == v.Name {
				w = *t.Weight
			}
		}
		all = append(all, fmt.Sprintf("%s=%d", v.Name, w))
	}
	return strings.Join(all, " ")
}

func commit(t *testing.T, c *Candidate, err error) *Candidate {
	t.Helper()
	if err == nil {
		err = c.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func percent(n int64) *int64 { return &n }

func TestLifeOfAFunction(t *testing.T) {
	s := Open(t.TempDir())
	a, b, c := put(t, s, "a"), put(t, s, "b"), put(t, s, "c")
	for _, step := range []struct {
		do   func() (*Candidate, error)
		want string
	}{
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: a}) }, "r1=100"},
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: b, Canary: percent(10)}) }, "r1=90 r2=10"},
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Canary: percent(0)}) }, "r1=100 r2=0"},
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Canary: percent(30)}) }, "r1=70 r2=30"},
		{func() (*Candidate, error) { return s.Rollback(hello, "") }, "r1=100 r2=0"},
		{func() (*Candidate, error) { return s.Rollback(hello, "r2") }, "r1=0 r2=100"},
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: a, Revision: "blue"}) }, "r1=0 r2=0 blue=100"},
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: a}) }, "r1=0 r2=0 blue=100"}, // is there
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: c, Canary: percent(5)}) }, "r1=0 r2=0 blue=95 r3=5"},
		{func() (*Candidate, error) { return s.Rollback(hello, "") }, "r1=0 r2=0 blue=100 r3=0"},
		{func() (*Candidate, error) { return s.Rollback(hello, "") }, "r1=0 r2=100 blue=0 r3=0"},
		// blue and r3 were withdrawn: a canary that fails goes to what was beside it, and
		// what comes after one that was taken back goes to what was there before.
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: b, Canary: percent(5)}) }, "r1=0 r2=95 blue=0 r3=0 r4=5"},
		{func() (*Candidate, error) { return s.Rollback(hello, "") }, "r1=0 r2=100 blue=0 r3=0 r4=0"},
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: b}) }, "r1=0 r2=0 blue=0 r3=0 r4=100"}, // again
		{func() (*Candidate, error) { return s.Rollback(hello, "") }, "r1=0 r2=100 blue=0 r3=0 r4=0"},
		{func() (*Candidate, error) { return s.Deploy(hello, Request{Digest: a}) }, "r1=0 r2=0 blue=0 r3=0 r4=0 r5=100"},
		{func() (*Candidate, error) { return s.Rollback(hello, "") }, "r1=0 r2=100 blue=0 r3=0 r4=0 r5=0"},
	} {
		c, err := step.do()
		if got := split(commit(t, c, err)); got != step.want {
			t.Fatalf("calls are split %s, want %s", got, step.want)
		}
	}
	commit(t, must(s.Delete(hello)), nil)
	if _, err := s.Rollback(hello, ""); !errors.Is(err, ErrNotDeployed) {
		t.Errorf("roll back what was deleted: %v", err)
	}
}

func must(c *Candidate, err error) *Candidate {
	if err != nil {
		panic(err)
	}
	return c
}

func TestSettingsStay(t *testing.T) {
	s := Open(t.TempDir())
	a := put(t, s, "a")
	set := func(text string) map[string]json.RawMessage {
		m := map[string]json.RawMessage{}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	commit(t, must(s.Deploy(hello, Request{Digest: a, Set: set(`{"resources":{"memory":"64Mi","cpu":"1"},"env":{"A":"1","B":"2"}}`)})), nil)
	commit(t, must(s.Deploy(hello, Request{Digest: a, Set: set(`{"resources":{"memory":"128Mi"},"env":{"A":"3"}}`)})), nil)
	o, err := s.read(hello)
	if err != nil {
		t.Fatal(err)
	}
	if r, e := string(o.Spec["resources"]), string(o.Spec["env"]); strings.Join(strings.Fields(r), "") != `{"cpu":"1","memory":"128Mi"}` || !strings.Contains(e, `"A"`) || strings.Contains(e, "B") {
		t.Errorf("resources %s, env %s", r, e)
	}
	commit(t, must(s.Deploy(hello, Request{Spec: set(`{"timeout":"5s"}`)})), nil)
	if o, err = s.read(hello); err != nil || len(o.Spec) != 1 || len(o.revisions) != 1 {
		t.Errorf("after a whole spec there are %v and %d revisions (%v)", o.Spec, len(o.revisions), err)
	}
}

// TestCandidatesDoNotCount until they are committed, also for one that comes next.
func TestCandidatesDoNotCount(t *testing.T) {
	s := Open(t.TempDir())
	a := put(t, s, "a")
	c := must(s.Deploy(hello, Request{Digest: a}))
	if files, err := s.Files(); len(files) != 0 || err != nil {
		t.Errorf("%v (%v)", files, err)
	}
	if len(c.Files) != 1 || c.Files[0] != c.File {
		t.Errorf("the candidate has %v", c.Files)
	}
	if err := c.Discard(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(s.functions())
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v (%v)", entries, err)
	}
}

func TestPackages(t *testing.T) {
	s := Open(t.TempDir())
	a := put(t, s, "a")
	put(t, s, "a")
	for _, digest := range []string{"", "sha256:", "sha256:../../etc/passwd", strings.ToUpper(a), a[:70] + "0"} {
		if s.HasPackage(digest) {
			t.Errorf("has %q", digest)
		}
		if err := s.PutPackage(digest, strings.NewReader("a")); err == nil {
			t.Errorf("took %q", digest)
		}
		if _, err := s.Deploy(hello, Request{Digest: digest, Revision: "x"}); err == nil {
			t.Errorf("deployed %q", digest)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(s.packages(), "*")); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	commit(t, must(s.Deploy(hello, Request{Digest: a})), nil)
	b := put(t, s, "b")
	for _, step := range []struct {
		after      time.Duration
		hasA, hasB bool
	}{{0, true, true}, {2 * unusedFor, true, false}} {
		if err := s.Sweep(time.Now().Add(step.after)); err != nil || s.HasPackage(a) != step.hasA || s.HasPackage(b) != step.hasB {
			t.Errorf("after %s: a %t, b %t (%v)", step.after, s.HasPackage(a), s.HasPackage(b), err)
		}
	}
}

// TestPackagesStayAnHour after the last that anybody had to do with them, and not
// after they came.
func TestPackagesStayAnHour(t *testing.T) {
	s := Open(t.TempDir())
	old := func(digest string) {
		long := time.Now().Add(-2 * unusedFor)
		if err := os.Chtimes(filepath.Join(s.functions(), packagePath(digest)), long, long); err != nil {
			t.Fatal(err)
		}
	}
	a, b := put(t, s, "a"), put(t, s, "b")
	commit(t, must(s.Deploy(hello, Request{Digest: a})), nil)
	old(a)
	old(b)
	if !s.HasPackage(b) { // as a client asks that will not upload it again
		t.Fatal("b went")
	}
	commit(t, must(s.Delete(hello)), nil) // instances of it may still be starting
	if err := s.Sweep(time.Now()); err != nil || !s.HasPackage(a) || !s.HasPackage(b) {
		t.Errorf("a %t, b %t (%v)", s.HasPackage(a), s.HasPackage(b), err)
	}
	old(a)
	if err := s.Sweep(time.Now()); err != nil || s.HasPackage(a) {
		t.Errorf("a stays for ever (%v)", err)
	}
}

func TestNamesArePathsToNowhereElse(t *testing.T) {
	s := Open(t.TempDir())
	a := put(t, s, "a")
	for _, key := range []spillway.FunctionKey{{Namespace: "..", Name: "x"}, {Namespace: "a/../..", Name: "x"}, {Namespace: "a", Name: ""}, {Namespace: "a.b", Name: "c"}, {Namespace: "A", Name: "c"}} {
		var p Problem
		if _, err := s.Deploy(key, Request{Digest: a}); !errors.As(err, &p) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestWeightsAreAlwaysWhole makes many changes and looks at what holds after each.
func TestWeightsAreAlwaysWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newObject(hello)
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			r := Request{}
			if rapid.Bool().Draw(t, "package") || len(o.revisions) == 0 {
				r.Digest = "sha256:" + strings.Repeat(rapid.SampledFrom([]string{"0", "1", "2"}).Draw(t, "digest"), 64)
			}
			if rapid.Bool().Draw(t, "canary") {
				r.Canary = percent(rapid.Int64Range(0, 100).Draw(t, "percent"))
			}
			err := o.deploy(r)
			if rapid.IntRange(0, 3).Draw(t, "back") == 0 && len(o.revisions) > 0 && err == nil {
				err = o.rollback("")
			}
			var p Problem
			if err != nil && !errors.As(err, &p) {
				t.Fatal(err)
			}
			if err != nil { // as the store does, which reads it again
				return
			}
			sum := int64(0)
			for _, w := range o.traffic {
				if o.weight(w.Revision) != *w.Weight || !strings.Contains(" "+o.names()+",", " "+w.Revision+",") {
					t.Fatalf("%s takes %d, and there are %s", w.Revision, *w.Weight, o.names())
				}
				sum += *w.Weight
			}
			if sum != 100 || len(o.revisions) > keepRevisions {
				t.Fatalf("weights add up to %d, %d revisions", sum, len(o.revisions))
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("apiVersion: spillway.dev/v1alpha1\nkind: Function\nmetadata: {name: a, namespace: b}\nspec: {revisions: [{name: r1, package: {path: x}}], traffic: [{revision: r1, weight: 100}]}\n"))
	f.Add([]byte("spec: {revisions: [], traffic: [{}]}"))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := decode(text)
		if err != nil {
			return
		}
		again, err := o.encode()
		if err != nil {
			t.Fatal(err)
		}
		if p, err := decode(again); err != nil || p.names() != o.names() {
			t.Fatalf("%q was read, and %q is not (%v)", text, again, err)
		}
	})
}

// TestTextIsKept as it was deployed, for the store and for the loader, also where YAML
// would read something else.
func TestTextIsKept(t *testing.T) {
	s := Open(t.TempDir())
	a := put(t, s, "a")
	env := map[string]string{"A": ".inf", "B": "1\t", "C": "a:\tb", "D": "null", "E": "x\ty", "F": "# no"}
	text, err := json.Marshal(env)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, must(s.Deploy(hello, Request{Digest: a, Set: map[string]json.RawMessage{"env": text}})), nil)
	o, err := s.read(hello)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(o.Spec["env"], &back); err != nil || !maps.Equal(back, env) {
		t.Errorf("%q (%v)", back, err)
	}
}
