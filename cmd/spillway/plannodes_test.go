package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/planner"
)

func TestNodeType(t *testing.T) {
	n, err := parseNodeType("name=big, cpu=1500m,memory=2Gi,hourly=0.45,min=1,max=4,owned=2,avoidable=0.1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := n.nodeType("here", "USD")
	want := planner.NodeType{Name: "big", MilliCPU: 1500, MiB: 2048, Hourly: 450_000_000, Min: 1, Max: 4, Owned: 2, Avoidable: 100_000_000}
	if err != nil || got != want {
		t.Fatalf("%+v %v, want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"":                                      `"" is not a field`,
		"cpu":                                   "cpu=: ",
		"cpu=1":                                 "1 of cpu and 0 of memory are no node",
		"cpu=1,memory=1Gi,hourly=0.1,hourly=1":  "hourly is there twice",
		"cpu=0,memory=1Gi,hourly=1":             "0 of cpu and 1Gi of memory are no node",
		"cpu=1,memory=1Ki,hourly=1":             "1 of cpu and 1Ki of memory are no node",
		"cpu=1,memory=1Gi,hourly=1,avoidable=2": "avoidable 2.00 is more than all of the node",
		"cpu=1,memory=1Gi,hourly=1,min=2,max=1": "min 2, max 1",
		"cpu=1,memory=1Gi,hourly=1,owned=-1":    "owned -1",
		"cpu=1,memory=1Gi,hourly=1,owned=1.5":   "owned=1.5: not a whole number",
		"cpu=1,memory=1Gi,hourly=1e3":           "hourly=1e3: ",
		"cpu=1,memory=1Gi":                      "exactly one of hourly and cost",
	} {
		n, err := parseNodeType(text)
		if err == nil {
			_, err = n.nodeType("here", "USD")
		}
		if exitCode(err) != exitInput || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestNodeCostIsAmortised(t *testing.T) {
	file := filepath.Join(t.TempDir(), "nodes.yaml")
	text := "- {cpu: 62, memory: 250Gi, cost: {purchase: 9000, salvage: 900, lifeMonths: 60, powerKW: 0.45, pue: 1.5, tariffPerKWh: 0.12, rackPerMonth: 40, maintenancePercentPerYear: 5, otherPerMonth: 60}}"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	nodes, err := readNodes(file)
	if err != nil || len(nodes) != 1 {
		t.Fatalf("%+v %v", nodes, err)
	}
	got, err := nodes[0].nodeType("here", "USD")
	if err != nil {
		t.Fatal(err)
	}
	same, err := exampleNodeType("USD") // what the price book has of this server
	if err != nil || got.Hourly != same.Hourly || got.MiB != same.MiB || got.MilliCPU != same.MilliCPU || got.Hourly != 454_287_672 {
		t.Fatalf("%+v and %+v, %v", got, same, err)
	}
	if _, err := exampleNodeType("EUR"); exitCode(err) != exitInput {
		t.Fatal(err)
	}
}

func FuzzNodeType(f *testing.F) {
	f.Add("cpu=62,memory=250Gi,hourly=0.45")
	f.Add("name=a,cpu=500m,memory=1G,hourly=1,min=1,max=2,owned=1,avoidable=0.5")
	f.Add("cpu=9223372036854775807,memory=8Ei,hourly=9223372036")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseNodeType(text)
		if err != nil {
			return
		}
		got, err := n.nodeType("here", "USD")
		if err == nil && (got.MiB < 1 || got.MilliCPU < 1 || got.Hourly < got.Avoidable || min(got.Min, got.Max, got.Owned, int64(got.Avoidable)) < 0) {
			t.Fatalf("%q is %+v", text, got)
		}
	})
}

func FuzzPlanFiles(f *testing.F) {
	f.Add("name: box\ncpu: \"1\"\nmemory: 512Mi\nhourly: \"0.01\"\n")
	f.Add("- {cpu: 62, memory: 250Gi, cost: {purchase: 9000, lifeMonths: 60}}\n")
	f.Add("freeCalls: 2\ntiers: [{fromGiBSeconds: 0, perGiBSecond: \"0.00002\"}]\npackages: [{name: s, fee: \"1\", giBSeconds: 5}]\n")
	f.Add("a: &a [*a]")
	file := filepath.Join(f.TempDir(), "plan.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if nodes, err := readNodes(file); err == nil {
			for i := range nodes {
				_, _ = nodes[i].nodeType("here", "USD") // must not panic
			}
		}
		flags := planFlags{terms: file}
		_, _ = flags.burst(spillway.Rate{}) // must not panic
	})
}
