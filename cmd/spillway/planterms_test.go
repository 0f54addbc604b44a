package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/planning"
)

// TestCloudFor: of the pools of a price plan the first that serves and that a function
// may use is taken, and never one that is retired.
func TestCloudFor(t *testing.T) {
	const x86, arm = "lambda-x86-us-east-1", "lambda-arm-us-east-1"
	p := &spillway.Platform{Currency: "USD"}
	for i, pool := range []spillway.Pool{
		{Name: "own"},
		{Name: "old", Kind: spillway.PoolLambda, Retired: true, PriceVersion: x86 + "@1"},
		{Name: "idle", Kind: spillway.PoolLambda, PriceVersion: x86 + "@1"},
		{Name: "used", Kind: spillway.PoolLambda, PriceVersion: x86 + "@1"},
	} {
		pool.Index = i
		p.Pools = append(p.Pools, &pool)
	}
	f := &spillway.Function{Permitted: spillway.PoolSet(0).With(3)}
	f.Bindings[3] = spillway.Binding{MiB: 128, Rate: spillway.Rate{PerRequest: 1, PerGiBSecond: 1}}
	p.Functions = []*spillway.Function{f}
	for asked, want := range map[string]planning.Cloud{"": {Name: "used", Pool: 3}, x86: {Name: "used", Pool: 3}, arm: {Name: arm, Pool: 2, Imposed: true}} {
		c := &planning.Case{Run: simulator.Config{Platform: p, Functions: []int{0}}}
		got, err := (&planFlags{cloud: asked}).cloudFor(c, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
		if err != nil || got.Name != want.Name || got.Pool != want.Pool || got.Imposed != want.Imposed {
			t.Errorf("%q: %+v %v, want %+v", asked, got, err, want)
		}
	}
	f.Permitted = 0
	c := &planning.Case{Run: simulator.Config{Platform: p, Functions: []int{0}}}
	if _, err := (&planFlags{cloud: x86}).cloudFor(c, time.Now()); err == nil || !strings.Contains(err.Error(), "pool idle") {
		t.Errorf("no function may burst: %v", err)
	}
}

// TestPlanFilesAreOneDocument, which may have its beginning and its end marked.
func TestPlanFilesAreOneDocument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plan.yaml")
	const box = "name: box\ncpu: 1\nmemory: 512Mi\nhourly: 0.01\n"
	for text, want := range map[string]string{
		box: "", "---\n" + box: "", box + "...\n": "", "# a box\n---\n" + box + "# the end\n": "",
		box + "---\nname: bag\n": "more than one YAML document", "- {cpu: 1}\n---\n- {cpu: 2}\n": "more than one YAML document",
		box + "colour: red\n": "colour", "name: [": "plan.yaml",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readNodes(file)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || exitCode(err) != exitInput) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTermsNameTheirFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "terms.yaml")
	for text, want := range map[string]string{
		"freeCalls: -1": "terms.yaml: freeCalls: -1; allowed", "packages: [{name: s, calls: -2}]": "packages[0].calls: -2",
		"packages: [{name: s, most: -2}]": "packages[0].most: -2", "tiers: [{fromGiBSeconds: -3}]": "tiers[0].fromGiBSeconds: -3",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (&planFlags{terms: file}).burst(spillway.Rate{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
