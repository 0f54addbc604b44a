package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/spillway-dev/spillway/policy/rego"
)

// TestPoliciesAreReplacedWhole: what cannot be written leaves all as it was, and who
// watches sees each whole.
func TestPoliciesAreReplacedWhole(t *testing.T) {
	data := t.TempDir()
	dir := filepath.Join(data, "policy")
	rule := func(text string) string {
		return "package spillway.placement\n\nimport rego.v1\nimport data.spillway.lib\n\npermit := lib.pool_names if input.department != \"" + text + "\"\n"
	}
	holds := func(want map[string]string) {
		t.Helper()
		has, err := readPolicies(dir)
		if err != nil || !maps.Equal(has, want) {
			t.Errorf("there is %v (%v), want %v", has, err, want)
		}
		if all, err := os.ReadDir(data); err != nil || len(all) != 1 {
			t.Errorf("left behind: %v, %v", all, err)
		}
	}
	first := map[string]string{"a.rego": rule("a"), "b.rego": "package extra\n"}
	for _, files := range []map[string]string{{}, first} {
		if err := placePolicies(dir, files); err != nil {
			t.Fatal(err)
		}
		holds(files)
	}
	if err := placePolicies(dir, map[string]string{"a.rego": rule("other"), "no/such.rego": ""}); err == nil {
		t.Error("a file that cannot be written is written")
	}
	holds(first)

	a := wired(t, budgeted, t.TempDir())
	changed := make(chan string, 8)
	source, err := rego.Open(dir, a.loaded.Platform, func(revision string, err error) {
		if err != nil {
			t.Errorf("%s: %v", revision, err)
		}
		changed <- revision
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- source.Watch(ctx) }()
	for _, text := range []string{"b", "c"} { // the second in a directory that has taken the place of one that was watched
		if err := placePolicies(dir, map[string]string{"b.rego": rule(text)}); err != nil {
			t.Fatal(err)
		}
		want, err := rego.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		for got := range changed {
			if got == want.Revision() {
				break
			}
		}
	}
	cancel()
	if err := <-watched; err != nil {
		t.Error(err)
	}
}
