package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

func metrics(t *testing.T) map[string]metric {
	t.Helper()
	all, err := registered(root)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]metric{}
	for _, m := range all {
		byName[m.name] = m
		if m.kind == histogram {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				byName[m.name+suffix] = m
			}
		}
	}
	return byName
}

// TestCurrent fails when the code registers other metrics than the dashboard and the
// documentation show.
func TestCurrent(t *testing.T) {
	want, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s is not what the metrics of the code make of it (%v); run: go generate ./manifests/dashboard", name, err)
		}
	}
}

// TestFound holds what is found in the code to a few metrics of each way to register.
func TestFound(t *testing.T) {
	found := metrics(t)
	for _, want := range []metric{
		{name: "spillway_dispatcher_placements_total", kind: counter, labels: []string{"namespace", "pool", "reason"}},
		{name: "spillway_dispatcher_wait_duration_seconds", kind: histogram},
		{name: "spillway_revision_calls_total", kind: counter, labels: []string{"namespace", "function", "revision", "pool", "outcome"}},
		{name: "spillway_pool_slots", kind: gauge, labels: []string{"pool"}},
		{name: "spillway_http_connections", kind: gauge},
		{name: "spillway_policy_failures_total", kind: counter},
		{name: "spillway_config_last_load_successful", kind: gauge},
	} {
		got := found[want.name]
		if got.help == "" || got.kind != want.kind || !slices.Equal(got.labels, want.labels) {
			t.Errorf("%s is found as %+v", want.name, got)
		}
	}
}

var (
	named    = regexp.MustCompile(`\b(spillway_[a-z0-9_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\b(?:by|on|ignoring|without)\s*\(([^)]*)\)`)
)

// faults are names and labels in an expression that no code registers.
func faults(found map[string]metric, expr string) []string {
	var all []string
	known := map[string]bool{"le": true}
	for _, use := range named.FindAllStringSubmatch(expr, -1) {
		m, ok := found[use[1]]
		if !ok {
			all = append(all, "no code registers "+use[1])
		}
		for _, l := range m.labels {
			known[l] = true
		}
		for _, l := range matcher.FindAllStringSubmatch(use[2], -1) {
			if !slices.Contains(m.labels, l[1]) {
				all = append(all, use[1]+" has no label "+l[1])
			}
		}
	}
	for _, group := range grouping.FindAllStringSubmatch(expr, -1) {
		for l := range strings.SplitSeq(group[1], ",") {
			if l = strings.TrimSpace(l); l != "" && !known[l] {
				all = append(all, "no metric of the expression has the label "+l)
			}
		}
	}
	return all
}

func TestFaults(t *testing.T) {
	found := metrics(t)
	for expr, want := range map[string]int{
		`sum by (pool) (rate(spillway_dispatcher_placements_total{reason="weight"}[5m]))`:                   0,
		`spillway_dispatcher_placement_total`:                                                               1,
		`sum by (tenant) (spillway_pool_slots{pool="a",zone=~"b"})`:                                         2,
		`histogram_quantile(0.9, sum by (le) (rate(spillway_dispatcher_wait_duration_seconds_bucket[5m])))`: 0,
		`spillway_pool_slots_bucket`:                                                                        1,
	} {
		if got := faults(found, expr); len(got) != want {
			t.Errorf("%s: %q, want %d faults", expr, got, want)
		}
	}
}

// TestRules fails when an alert, or a panel, names what no code registers.
func TestRules(t *testing.T) {
	found := metrics(t)
	text, err := os.ReadFile("../components/monitoring/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Spec struct {
			Groups []struct {
				Rules []struct {
					Alert, Expr string
					Labels      map[string]string
					Annotations map[string]string
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	alerts := 0
	for _, g := range rules.Spec.Groups {
		for _, r := range g.Rules {
			alerts++
			for _, fault := range faults(found, r.Expr) {
				t.Errorf("alert %s: %s", r.Alert, fault)
			}
			if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("alert %s says not how bad it is, or not what to do", r.Alert)
			}
		}
	}
	if alerts < 10 {
		t.Errorf("only %d alerts were read", alerts)
	}
}

func TestPanels(t *testing.T) {
	found := metrics(t)
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, p := range shown.Panels {
		for _, target := range p.Targets {
			for _, fault := range faults(found, target.Expr) {
				t.Errorf("panel %s: %s", p.Title, fault)
			}
			for _, use := range named.FindAllStringSubmatch(target.Expr, -1) {
				used[found[use[1]].name] = true
			}
		}
	}
	for _, v := range shown.Templating.List {
		for _, fault := range faults(found, v.Query) {
			t.Errorf("a variable of the dashboard: %s", fault)
		}
	}
	for _, m := range found {
		if !used[m.name] {
			t.Errorf("no panel shows %s", m.name)
		}
	}
}
