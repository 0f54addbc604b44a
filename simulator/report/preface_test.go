package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/simulator/report"
)

func planned() *report.Preface {
	return &report.Preface{
		Title: "Plan for <week>.csv", Sentence: "Own 2 × box & burst 1 %.", Replay: "Replay of the plan",
		Facts: [][2]string{{"USD, this plan", "12.50"}}, Notes: []string{"A node is the pool <own>."},
		Sections: []report.Section{
			{Head: "Cost", Rows: [][]string{{"Cost in USD", "of the trace"}, {"this plan", "12.50"}, {"  nodes", "10.00"}}, Text: []string{"Cost / bound: 1.01."}},
			{Head: "Quotas", Lead: []string{"Slots that a team needs:\u202e"}},
		},
		Curve: &report.Curve{Currency: "USD", Best: 1, Points: []report.CurvePoint{{Bursts: 30}, {GiB: 2, Nodes: 10, Bursts: 2.5}, {GiB: 4, Nodes: 20}}},
	}
}

func TestHTMLPreface(t *testing.T) {
	v := view(result(three))
	v.Preface = planned()
	body := written(t, report.HTML, v)
	wellFormed(t, body)
	text := string(body)
	at := 0
	for _, want := range []string{
		"<title>Plan for &lt;week&gt;.csv</title>", "Own 2 × box &amp; burst 1 %.", "<b>12.50</b><span>USD, this plan</span>", "A node is the pool &lt;own&gt;.",
		"<h2>Cost</h2>", "Cost by what is owned", "The plan has 2.00 GiB for 12.5 USD.", ">of the trace</th>", "<td>\u2002\u2002nodes</td>", "<p>Cost / bound: 1.01.</p>",
		"<h2>Quotas</h2>", "<p>Slots that a team needs:", "<h2>Replay of the plan</h2>", "calls = ", "wait P95", "<h2>Demand</h2>", "Load-duration curve",
	} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("no %q, or not in its place", want)
		}
		at += i
	}
	if strings.Contains(text, "\u202e") || strings.Contains(text, "Simulation of") {
		t.Error("what may not be on the page is")
	}
	if again := written(t, report.HTML, v); !bytes.Equal(body, again) {
		t.Error("the same page is another the second time")
	}
}

// TestHTMLPrefaceWithoutCurve: one choice is no curve, and nothing costs nothing.
func TestHTMLPrefaceWithoutCurve(t *testing.T) {
	for points, drawn := range map[int]bool{0: false, 1: false, 2: true} {
		v := view(result(three))
		v.Preface = planned()
		v.Preface.Curve = &report.Curve{Currency: "USD", Points: make([]report.CurvePoint, points)}
		body := written(t, report.HTML, v)
		wellFormed(t, body)
		if bytes.Contains(body, []byte("Cost by what is owned")) != drawn || bytes.Contains(body, []byte("NaN")) {
			t.Errorf("%d points: drawn is not %v", points, drawn)
		}
	}
}
