package config

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

// someObjects draws objects that are good together.
func someObjects(t *rapid.T) []string {
	objects := []string{
		object("Pool", "lambda", "{kind: lambda, region: us-east-1}"),
		object("Pool", "onprem", fmt.Sprintf("{kind: process, region: here, capacity: {slots: %d, cpu: 8, memory: 8Gi}}", rapid.IntRange(1, 9).Draw(t, "slots"))),
		object("Pool", "scf", "{kind: scf, region: ap-guangzhou}"),
		object("PriceBook", "prices", "{exchangeRates: [{from: CNY, to: USD, rate: '0.14', date: 2026-01-01, source: s}]}"),
		object("BurstPolicy", "default", somePolicy(t)),
		object("Quota", "root", "{department: all, nominal: {onPrem: {slots: 9}}, budgets: [{window: day, amount: 5}]}"),
	}
	quotas := rapid.IntRange(0, 4).Draw(t, "quotas")
	for i := range quotas {
		parent := "root"
		if i > 0 && rapid.Bool().Draw(t, "nested") {
			parent = fmt.Sprintf("q%d", rapid.IntRange(0, i-1).Draw(t, "parent"))
		}
		objects = append(objects, object("Quota", fmt.Sprintf("q%d", i), fmt.Sprintf("{parent: %s, namespaces: [n%d], nominal: {onPrem: {slots: 9}}, borrowingLimit: {onPrem: {slots: %d}}, lendingLimit: {onPrem: {slots: %d}}}",
			parent, i, rapid.IntRange(0, 9).Draw(t, "borrows"), rapid.IntRange(8, 9).Draw(t, "lends"))))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "functions") {
		objects = append(objects, function(fmt.Sprintf("f%d", i), fmt.Sprintf("burst: %s, timeout: %ds, cloud: [{pool: lambda}, {pool: scf, function: fn}]",
			rapid.SampledFrom([]string{"allow", "deny"}).Draw(t, "burst"), rapid.IntRange(1, 60).Draw(t, "timeout"))))
	}
	weight := rapid.IntRange(0, 100).Draw(t, "weight")
	return append(objects, fmt.Sprintf(`apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: split, namespace: shop}
spec:
  revisions: [{name: v9, package: {path: ../fn}}, {name: v1, package: {path: ../fn}, qualifier: next}, {name: v5, package: {path: ../fn}}]
  traffic: [{revision: v1, weight: %d}, {revision: v9, weight: %d}]
  contract: %s
---
`, weight, 100-weight, rapid.SampledFrom([]string{"lambda", "http"}).Draw(t, "contract")))
}

// somePolicy draws a burst policy with some of what it may say.
func somePolicy(t *rapid.T) string {
	parts := []string{fmt.Sprintf("onPremWaitBudget: %dms", rapid.IntRange(0, 500).Draw(t, "wait"))}
	for _, part := range []string{
		"weights: {onprem: 3, scf: 1, lambda: 0}",
		"maxBurstShare: {percent: 10, of: gibSeconds}",
		"maxBurstSpend: {window: month, amount: 7, currency: CNY}",
		"hysteresis: {closeAfter: 90s}",
		"regions: [ap-guangzhou]",
		"windows: [{from: '20:00', to: '24:00', days: [sun, mon]}, {from: '22:00', to: '06:00', timeZone: Asia/Shanghai}]",
		"killSwitch: true",
		"shadow: true",
	} {
		if rapid.Bool().Draw(t, "written") {
			parts = append(parts, part)
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// TestFilesDoNotMatter writes the same objects in any order over any files, and
// the effective configuration of the result; all of it must compile alike.
func TestFilesDoNotMatter(t *testing.T) {
	unpack(t, &txtar.Archive{})
	run := 0
	load := func(t *rapid.T, files map[string]string) *Loaded {
		run++
		dir := fmt.Sprintf("conf%d", run)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, err := Load(dir, testDay, testChecks)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	rapid.Check(t, func(t *rapid.T) {
		objects := someObjects(t)
		one := load(t, map[string]string{"a.yaml": strings.Join(objects, "")})
		shuffle := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		shuffle.Shuffle(len(objects), func(i, j int) { objects[i], objects[j] = objects[j], objects[i] })
		split := map[string]string{}
		for _, o := range objects {
			split[fmt.Sprintf("%d.yml", shuffle.IntN(3))] += o
		}
		many := load(t, split)
		text, err := one.Render("yaml")
		if err != nil {
			t.Fatal(err)
		}
		again := load(t, map[string]string{"full.yaml": string(text)})
		for i, f := range one.Platform.Functions {
			if f.Index != i || f.Platform != one.Platform {
				t.Fatalf("function %d, %s of %s, has index %d", i, f.Revision, f, f.Index)
			}
		}
		for _, other := range []*Loaded{many, again} {
			if one.Platform.Revision != other.Platform.Revision || !reflect.DeepEqual(one.Platform, other.Platform) {
				t.Fatalf("revision %s and %s of\n%s", one.Platform.Revision, other.Platform.Revision, text)
			}
		}
	})
}

// TestRevisionFollowsTheContent changes one thing at a time.
func TestRevisionFollowsTheContent(t *testing.T) {
	seen := map[string]string{}
	for _, spec := range []string{"burst: deny", "timeout: 4s", "env: {A: b}", "env: {A: c}", "minWarm: 1"} {
		r := mustLoad(t, function("f", spec)).Platform.Revision
		if other, ok := seen[r]; ok {
			t.Errorf("%q and %q have the same revision", spec, other)
		}
		seen[r] = spec
	}
	r := mustLoad(t, function("f", "burst: deny")+object("Server", "s", "{drainTimeout: 1s}")).Platform.Revision
	if seen[r] != "burst: deny" {
		t.Error("the server is no part of the platform, but changes its revision")
	}
	// The same functions with other code.
	if err := os.WriteFile("fn/bootstrap", []byte("#!/bin/sh\nexit 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Load("conf", testDay, testChecks)
	if err != nil || l.Platform.Revision == r {
		t.Errorf("other code has the same revision, %v", err)
	}
}
