package report_test

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/report"
	"github.com/spillway-dev/spillway/simulator/trace"
)

var drawing = regexp.MustCompile(`(?s)<svg viewBox="0 0 720.*?</svg>`)

func TestHTMLGolden(t *testing.T) {
	for name, v := range map[string]*report.View{
		"three.html":   view(skipping(result(three))),
		"nothing.html": {Result: result(nil)},
		"refused.html": view(result([]tenant{{name: "lab", refusals: 5, refused: spillway.ReasonDenied}})),
	} {
		page := written(t, report.HTML, v)
		// Floats of drawings may differ in the last digit between processors.
		compare(t, name, drawing.ReplaceAll(page, []byte("<svg></svg>")))
		wellFormed(t, page)
	}
}

// void elements have no end.
var void = []string{"meta", "link", "br", "img", "hr", "input"}

// wellFormed checks that elements nest, and that the page needs nothing else.
func wellFormed(t *testing.T, page []byte) {
	t.Helper()
	for _, strange := range []string{"://", "xmlns", "<?xml"} {
		if bytes.Contains(page, []byte(strange)) {
			t.Errorf("the page has %q", strange)
		}
	}
	var open []string
	for z := html.NewTokenizer(bytes.NewReader(page)); ; {
		kind := z.Next()
		token := z.Token()
		switch kind {
		case html.ErrorToken:
			if z.Err() != io.EOF {
				t.Fatal(z.Err())
			}
			if len(open) > 0 {
				t.Errorf("not closed: %v", open)
			}
			return
		case html.StartTagToken, html.SelfClosingTagToken:
			selfContained(t, &token)
			if kind == html.StartTagToken && !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> ends %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func selfContained(t *testing.T, token *html.Token) {
	t.Helper()
	if slices.Contains([]string{"script", "link", "iframe", "object", "embed", "base", "form", "image", "img", "use", "a"}, token.Data) {
		t.Errorf("the page has a <%s>", token.Data)
	}
	for _, a := range token.Attr {
		if slices.Contains([]string{"href", "src", "xlink:href", "srcset", "action", "data", "xmlns"}, a.Key) || strings.HasPrefix(a.Key, "on") {
			t.Errorf("<%s %s=%q>", token.Data, a.Key, a.Val)
		}
		if a.Key == "style" && (strings.Contains(a.Val, "url") || strings.Contains(a.Val, "@import")) {
			t.Errorf("style %q refers to something else", a.Val)
		}
		if a.Key == "aria-label" && a.Val == "" {
			t.Error("a plot without a text")
		}
	}
}

const evil = `</title></svg><script>alert("1")</script><img src=x onerror=alert(1)>`

func TestHTMLEscapes(t *testing.T) {
	v := view(result([]tenant{{name: evil, department: evil, onPrem: 5000, cloud: 50}}))
	v.Result.Platform.Pools[0].Name = evil
	v.Result.Platform.Currency = evil
	v.Result.Platform.Revision = evil
	v.Optimum.Label = evil
	v.Meta.Trace, v.Meta.Command, v.Meta.Platform = evil, evil, evil
	v.Meta.Warnings = []string{evil}
	v.Meta.Skipped = []trace.Skip{{File: evil, Line: 3, Reason: evil, Rows: 1}}
	v.Meta.Models[0].Cold[0].Name = evil
	page := written(t, report.HTML, v)
	wellFormed(t, page)
	if n := bytes.Count(page, []byte("&lt;script&gt;")); n < 10 {
		t.Errorf("the name is on the page %d times", n)
	}
}

func TestHTMLOfManyTenants(t *testing.T) {
	r := result(crowd(1250))
	page := written(t, report.HTML, view(r))
	wellFormed(t, page)
	if len(page) > 2<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	for _, n := range r.Platform.Namespaces {
		if !bytes.Contains(page, []byte(n.Department)) {
			t.Fatalf("%s is missing", n.Department)
		}
	}
	if !bytes.Equal(page, written(t, report.HTML, view(result(crowd(1250))))) {
		t.Error("the same result gives another page")
	}
	more := written(t, report.HTML, view(result(crowd(2100))))
	wellFormed(t, more)
	if !bytes.Contains(more, []byte("<td>100 others</td>")) {
		t.Error("departments beyond those listed are not summed")
	}
}

// TestHTMLOfOddSeries draws what axes find hard.
func TestHTMLOfOddSeries(t *testing.T) {
	point := func(mib int64) simulator.Point {
		p := simulator.Point{Arrivals: mib}
		p.Use[spillway.ClassCloud].MiB = mib
		return p
	}
	long := make([]simulator.Point, 100_000)
	for i := range long {
		long[i] = point(int64(i%977) * 1e9)
	}
	for name, change := range map[string]func(*simulator.Result){
		"one step":      func(r *simulator.Result) { r.Series = r.Series[:1] },
		"no load":       func(r *simulator.Result) { r.Series = make([]simulator.Point, 3) },
		"large load":    func(r *simulator.Result) { r.Series = []simulator.Point{point(1 << 62), point(1)} },
		"long":          func(r *simulator.Result) { r.Series, r.Step, r.Length = long, time.Minute, 100_000*time.Minute },
		"a second":      func(r *simulator.Result) { r.Length, r.Step, r.Series = time.Second, time.Second, r.Series[:1] },
		"no length":     func(r *simulator.Result) { r.Length, r.Step, r.Series = 0, time.Second, r.Series[:1] },
		"no step":       func(r *simulator.Result) { r.Step = 0 },
		"no histograms": func(r *simulator.Result) { r.Waits, r.Latency, r.ColdStarts = nil, nil, nil },
		"no waits": func(r *simulator.Result) {
			r.Waits = new(simulator.Histogram)
			r.Waits.Add(0)
			r.Latency, r.ColdStarts = nil, nil
		},
		"unlimited": func(r *simulator.Result) { r.Platform.Pools[0].Capacity.MiB = spillway.Unlimited },
		"warm":      func(r *simulator.Result) { r.Warm = true },
	} {
		t.Run(name, func(t *testing.T) {
			r := result(three)
			change(r)
			page := written(t, report.HTML, view(r))
			wellFormed(t, page)
			if bytes.Contains(page, []byte("NaN")) || bytes.Contains(page, []byte("Inf")) {
				t.Error("a figure is not a number")
			}
			if len(page) > 500_000 {
				t.Errorf("the page has %d bytes", len(page))
			}
		})
	}
}
