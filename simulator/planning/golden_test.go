package planning

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// found makes all findings of a small week.
func found(t *testing.T) *Document {
	t.Helper()
	c, sum := caseOf(t, generated(t, trace.Workload{Preset: trace.Mixed, Seed: 7, Days: 2, Functions: 12, Tenants: 4, CallsPerDay: 5_000}))
	f := &Findings{Case: c, Nodes: []planner.NodeType{small()}, Version: "test", Path: "week.csv", Summary: sum, Seed: 1, Aim: &planner.Aim{RefusedShare: 0.001, P95WaitMicros: 100_000}}
	var err error
	if f.Demand, err = MeasureDemand(t.Context(), c, time.Minute); err != nil {
		t.Fatal(err)
	}
	q := Question{Nodes: f.Nodes, Usable: 800, Burst: planner.Burst{PerRequest: c.Cloud.Rate.PerRequest, Tiers: []planner.Tier{{PerGiBSecond: c.Cloud.Rate.PerGiBSecond}}}, Split: true}
	if f.Answer, err = Solve(t.Context(), f.Demand, q); err != nil {
		t.Fatal(err)
	}
	owned, err := f.Owned()
	if err != nil {
		t.Fatal(err)
	}
	if f.Result, err = c.Verify(t.Context(), owned, f.Demand.Length()); err != nil {
		t.Fatal(err)
	}
	if f.Quotas, err = c.Quotas(t.Context(), f.Demand, f.Demand.TeamsLargest(3), *f.Aim); err != nil {
		t.Fatal(err)
	}
	doc, err := f.Document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestGolden(t *testing.T) {
	doc := found(t)
	var table bytes.Buffer
	if err := Table(&table, doc); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(table.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > lineWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	text, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(found(t), "", " ")
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("the same question has another answer: %v", err)
	}
	for name, got := range map[string][]byte{"plan.txt": table.Bytes(), "plan.json": text} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what it was; see it with go test -update and git diff:\n%s", name, got)
		}
	}
}
