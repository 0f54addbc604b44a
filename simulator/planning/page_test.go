package planning

import (
	"bytes"
	"strings"
	"testing"
)

// TestPrefaceSaysWhatTheTableSays: both are made from the same sentences and rows.
func TestPrefaceSaysWhatTheTableSays(t *testing.T) {
	doc := found(t)
	var table bytes.Buffer
	if err := Table(&table, doc); err != nil {
		t.Fatal(err)
	}
	left := " " + strings.Join(strings.Fields(table.String()), " ") + " "
	take := func(text string) {
		text = strings.Join(strings.Fields(text), " ")
		if !strings.Contains(left, text) {
			t.Errorf("the table has no %q", text)
		}
		left = strings.Replace(left, text, " ", 1)
	}
	p := doc.Preface()
	take(p.Sentence)
	heads := map[string]bool{}
	for _, s := range p.Sections {
		heads[s.Head] = true
		for _, text := range append(s.Lead, s.Text...) {
			take(text)
		}
		for _, row := range s.Rows {
			take(strings.Join(row, " "))
		}
	}
	for _, note := range p.Notes {
		take("Note: " + note)
	}
	if left = strings.TrimSpace(left); left != "" {
		t.Errorf("the page leaves out %q", left)
	}
	for _, want := range []string{"Cost", "Sensitivity", "Planned and replayed", "Quotas of teams", "What was planned for"} {
		if !heads[want] {
			t.Errorf("no section %q in %v", want, heads)
		}
	}
	best := p.Curve.Points[p.Curve.Best]
	if want := float64(doc.Plan.Total) / 1e9; best.GiB != float64(doc.Plan.OwnedMiB)/1024 || best.Nodes+best.Bursts < want*0.999 || best.Nodes+best.Bursts > want*1.001 {
		t.Errorf("%+v is not the plan", best)
	}
}
