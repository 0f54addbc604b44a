package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/report"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// changed is three with search moved to the cloud, billing served and lab gone.
var changed = []tenant{
	{name: "archive", department: "Retail", onPrem: 10},
	three[0],
	{name: "search", department: "Retail", onPrem: 12_000, cloud: 8_117, wait: 3 * time.Millisecond},
	{name: "billing", department: "Finance", onPrem: 7_900, wait: 20 * time.Millisecond},
}

func differences(t *testing.T, a, b *simulator.Result) (table string, doc map[string]any) {
	t.Helper()
	d, err := report.Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var text, body bytes.Buffer
	if err := d.Table(&text, "today", "with 2 nodes"); err != nil {
		t.Fatal(err)
	}
	if err := d.JSON(&body, "today", "with 2 nodes"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if nothing := strings.Contains(text.String(), "Nothing changes: "); d.Nothing() != nothing || doc["nothingChanges"] != nothing {
		t.Errorf("table, JSON and Nothing disagree: %s", text.String())
	}
	narrow(t, text.String())
	return text.String(), doc
}

func TestDiffGolden(t *testing.T) {
	d, err := report.Diff(result(three), result(changed))
	if err != nil {
		t.Fatal(err)
	}
	var text, body bytes.Buffer
	if err := d.Table(&text, "today", "with 2 nodes"); err != nil {
		t.Fatal(err)
	}
	if err := d.JSON(&body, "today", "with 2 nodes"); err != nil {
		t.Fatal(err)
	}
	compare(t, "diff.txt", text.Bytes())
	compare(t, "diff.json", body.Bytes())
}

func TestDiffOfEqual(t *testing.T) {
	for _, tenants := range [][]tenant{nil, three, crowd(50)} {
		text, doc := differences(t, result(tenants), result(tenants))
		if !strings.Contains(text, "Nothing changes: ") || len(doc["tenants"].([]any)) != 0 {
			t.Error(text)
		}
	}
}

// TestDiffSees changes one thing at a time.
func TestDiffSees(t *testing.T) {
	for name, change := range map[string]func(*simulator.Result){
		"a longer wait":     func(r *simulator.Result) { r.Tenants[1].Waits.Add(time.Minute) },
		"all waits":         func(r *simulator.Result) { r.Waits.Add(time.Hour) },
		"owned cost":        func(r *simulator.Result) { r.OwnedCost.Coeff.SetInt64(7) },
		"a reason":          func(r *simulator.Result) { r.Tenants[0].Reasons[spillway.ReasonPinned]++ },
		"cold starts":       func(r *simulator.Result) { r.Tenants[0].ByPool[0].Cold++ },
		"skipped calls":     func(r *simulator.Result) { r.Skipped++ },
		"cost of a tenant":  func(r *simulator.Result) { r.Tenants[2].Cost.Coeff.SetInt64(1) },
		"another namespace": func(r *simulator.Result) { r.Platform.Namespaces[1].Name = "find" },
	} {
		t.Run(name, func(t *testing.T) {
			b := result(three)
			change(b)
			if text, _ := differences(t, result(three), b); strings.Contains(text, "Nothing changes: ") {
				t.Error("the change is not seen")
			}
		})
	}
}

func TestDiffOrder(t *testing.T) {
	_, doc := differences(t, result(three), result(changed))
	var names []string
	for _, x := range doc["tenants"].([]any) {
		names = append(names, x.(map[string]any)["namespace"].(string))
	}
	if got := strings.Join(names, " "); got != "search billing archive lab" {
		t.Errorf("tenants %s", got)
	}
	if doc["tenantsUnchanged"] != 1.0 {
		t.Errorf("unchanged %v", doc["tenantsUnchanged"])
	}
}

// TestDiffOfUnchangedCost: rounding makes no change.
func TestDiffOfUnchangedCost(t *testing.T) {
	text, _ := differences(t, result(three), result(changed))
	if !regexp.MustCompile(`owned +0\.116667 +0\.116667 +0\.000000\n`).MatchString(text) {
		t.Errorf("owned capacity costs the same:\n%s", text)
	}
}

func TestDiffOfMany(t *testing.T) {
	more := crowd(1250)
	for i := range more {
		more[i].cloud, more[i].onPrem = more[i].onPrem, more[i].cloud
	}
	text, doc := differences(t, result(crowd(1250)), result(more))
	if !strings.Contains(text, "1,235 others") || len(doc["tenants"].([]any)) != 1250 {
		t.Error(text)
	}
}

func TestDiffRefuses(t *testing.T) {
	b := result(three)
	b.Platform.Currency = "CNY"
	for _, pair := range [][2]*simulator.Result{{result(three), b}, {nil, b}, {b, nil}, {{}, b}} {
		if _, err := report.Diff(pair[0], pair[1]); err == nil {
			t.Error("compared what cannot be compared")
		}
	}
}

// TestDiffOfPayers: another department pays, and that is a change.
func TestDiffOfPayers(t *testing.T) {
	b := result(three)
	b.Platform.Namespaces[0].Department = "Finance"
	text, _ := differences(t, result(three), b)
	if strings.Contains(text, "Nothing changes: ") || !strings.Contains(text, "checkout is paid for by Finance, before by Retail.") {
		t.Error(text)
	}
}

// TestDiffBeside: what warns of one result, of both, and of the trace is said.
func TestDiffBeside(t *testing.T) {
	both := "durations are an assumption"
	a := &report.Meta{Warnings: []string{both, "3 functions are left out"}, Skipped: []trace.Skip{{Reason: "a cut row", File: "day1.csv", Line: 7, Rows: 2}}}
	b := &report.Meta{Warnings: []string{"a quota is empty", both}, Skipped: a.Skipped}
	for _, other := range []*simulator.Result{result(three), result(changed)} {
		d, err := report.Diff(result(three), other)
		if err != nil {
			t.Fatal(err)
		}
		d.Beside(a, b)
		var text, body bytes.Buffer
		if err := errors.Join(d.Table(&text, "today", "tomorrow"), d.JSON(&body, "today", "tomorrow")); err != nil {
			t.Fatal(err)
		}
		narrow(t, text.String())
		for _, want := range []string{both, "A: 3 functions are left out", "B: a quota is empty", "a cut row"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("no %q in\n%s", want, text.String())
			}
		}
		var doc struct {
			Warnings []string
			Rows     []struct{ Rows int64 } `json:"traceRowsSkipped"`
		}
		if err := json.Unmarshal(body.Bytes(), &doc); err != nil || len(doc.Warnings) != 3 || len(doc.Rows) != 1 || doc.Rows[0].Rows != 2 {
			t.Errorf("%+v %v", doc, err)
		}
	}
}
