package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/report"
)

func narrow(t *testing.T, text string) {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		wide := 0
		for _, r := range line {
			if r >= 0x2e80 {
				wide++
			}
		}
		if utf8.RuneCountInString(line)+wide > 80 {
			t.Errorf("wider than 80 columns: %q", line)
		}
	}
}

func TestTableFits(t *testing.T) {
	large := crowd(2)
	large[0].onPrem, large[1].cloud = 3_000_000_000, 1_234_567_890
	large[0].name, large[0].department = strings.Repeat("name ", 30), "研究開発部門研究開発部門研究開発部門"
	for _, tenants := range [][]tenant{nil, three, crowd(1250), large} {
		v := view(skipping(result(tenants)))
		v.Meta.Trace = "/a/very/long/path/" + strings.Repeat("x", 90)
		text := string(written(t, report.Table, v))
		narrow(t, text)
		if again := string(written(t, report.Table, v)); again != text {
			t.Error("the same result gives another table")
		}
	}
}

// TestTableOrder: the dearest first, then the busiest, then by name.
func TestTableOrder(t *testing.T) {
	text := string(written(t, report.Table, view(result([]tenant{{name: "d"}, {name: "c"}, {name: "b", refusals: 1, refused: spillway.ReasonDenied}, {name: "a", cloud: 1}}))))
	if !regexp.MustCompile(`(?s)Departments.*\n  a .*\n  b .*\n  c .*\n  d `).MatchString(text) {
		t.Error(text)
	}
}

// TestTableAddsUp sums the shown amounts of departments.
func TestTableAddsUp(t *testing.T) {
	for _, tenants := range [][]tenant{three, crowd(7), crowd(300)} {
		text := string(written(t, report.Table, view(result(tenants))))
		_, part, _ := strings.Cut(text, "\nDepartments\n")
		part, _, _ = strings.Cut(part, "\n\n")
		var sum, cloud apd.Decimal
		lines := strings.Split(part, "\n")
		for _, line := range lines[1 : len(lines)-1] {
			cells := regexp.MustCompile(`\s{2,}`).Split(line, -1)
			add(t, &sum, cells[len(cells)-1])
			if !strings.HasPrefix(strings.TrimSpace(line), "owned, ") {
				add(t, &cloud, cells[len(cells)-2])
			}
		}
		last := strings.Fields(lines[len(lines)-1])
		if got := last[len(last)-1]; strings.ReplaceAll(got, ",", "") != sum.Text('f') {
			t.Errorf("rows add up to %s, not %s:\n%s", sum.Text('f'), got, part)
		}
		if got := last[len(last)-2]; strings.ReplaceAll(got, ",", "") != cloud.Text('f') {
			t.Errorf("cloud adds up to %s, not %s:\n%s", cloud.Text('f'), got, part)
		}
	}
}

func add(t *testing.T, sum *apd.Decimal, text string) {
	t.Helper()
	x, _, err := apd.NewFromString(strings.ReplaceAll(text, ",", ""))
	if err != nil {
		t.Fatal(err)
	}
	plus(sum, x)
}

func TestTableKeepsTheTerminal(t *testing.T) {
	v := view(result([]tenant{{name: "x\x1b[2J\nfake", department: "d\x1b]0;title\a\u202e", onPrem: 3}}))
	v.Meta.Warnings = []string{"w\x1b[31m\u2028"}
	v.Meta.Trace = "a\rb"
	if text := written(t, report.Table, v); bytes.ContainsAny(text, "\x1b\a\r\u2028\u202e") {
		t.Errorf("%q", text)
	}
}

// TestMeanings holds the sentences to those of the documentation.
func TestMeanings(t *testing.T) {
	docs, err := os.ReadFile("../../docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	r := result(three)
	for _, reason := range spillway.Reasons() {
		r.Reasons[reason] = int64(reason)
	}
	text := strings.ReplaceAll(string(docs), "`", "")
	page := string(written(t, report.HTML, view(r)))
	for _, row := range regexp.MustCompile(`(?m)^\| (\w+) \|(?: \d+ \|)? (.*) \|$`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(page, ": "+row[1]+"</td><td class=\"text\">"+strings.ReplaceAll(row[2], "'", "&#39;")+"</td>") {
			t.Errorf("%s is not said to mean %q", row[1], row[2])
		}
		text = strings.Replace(text, row[0], "", 1)
	}
	for _, reason := range spillway.Reasons() {
		if strings.Contains(text, "| "+reason.String()+" |") {
			t.Errorf("%s was not looked for", reason)
		}
	}
}

func TestCSVIsNoFormula(t *testing.T) {
	v := view(result([]tenant{{name: "=cmd|' /C calc'!A0", department: "\t@SUM(1)", onPrem: 1}, {name: "+1", department: "a,\"b\nc"}, {name: "＝1"}}))
	for _, write := range []func(io.Writer, *report.View) error{report.CSV, report.FunctionsCSV, report.SeriesCSV} {
		rows, err := csv.NewReader(bytes.NewReader(written(t, write, v))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if strings.ContainsAny(cell, "\n\t\r") || cell != "" && strings.ContainsRune("=+@|%＝＋－＠", []rune(cell)[0]) {
					t.Errorf("cell %q", cell)
				}
			}
		}
	}
}

// TestJSONIsExact compares sums of what tenants pay with those of pools.
func TestJSONIsExact(t *testing.T) {
	var doc struct {
		Calls struct{ All, Placed, Refused, Skipped int64 }
		Pools []struct{ Usage struct{ Cost apd.Decimal } }
		Cost  struct{ Cloud, Owned, Total apd.Decimal }

		Tenants     []struct{ Cost apd.Decimal }
		Departments []struct{ Cost apd.Decimal }
		Functions   []struct{ Namespace string }
	}
	if err := json.Unmarshal(written(t, report.JSON, view(skipping(result(crowd(40))))), &doc); err != nil {
		t.Fatal(err)
	}
	var pools, tenants, departments apd.Decimal
	for i := range doc.Pools {
		plus(&pools, &doc.Pools[i].Usage.Cost)
	}
	for i := range doc.Tenants {
		plus(&tenants, &doc.Tenants[i].Cost)
	}
	for i := range doc.Departments {
		plus(&departments, &doc.Departments[i].Cost)
	}
	if pools.Cmp(&tenants) != 0 || pools.Cmp(&departments) != 0 || len(doc.Tenants) != 40 || len(doc.Functions) != 40 {
		t.Errorf("pools %s, tenants %s, departments %s", pools.String(), tenants.String(), departments.String())
	}
	if c := doc.Calls; c.All != c.Placed+c.Refused+c.Skipped || c.Skipped != 42 {
		t.Errorf("calls %+v", c)
	}
}

// TestLists bounds what people have to read, and leaves nothing out silently.
func TestLists(t *testing.T) {
	v := view(result(three))
	v.Meta.Warnings = nil
	for i := range 5000 {
		v.Meta.Warnings = append(v.Meta.Warnings, fmt.Sprintf("warning %d.", i))
	}
	table, page, doc := string(written(t, report.Table, v)), string(written(t, report.HTML, v)), string(written(t, report.JSON, v))
	if !strings.Contains(table, "  warning 18.\n  and 4,981 others; JSON has all\n") {
		t.Error(table)
	}
	if !strings.Contains(page, "<li>warning 198.</li><li>and 4,801 others; JSON has all</li></ul>") {
		t.Error("the page does not say what it leaves out")
	}
	if !strings.Contains(doc, `"warning 4999."`) {
		t.Error("JSON leaves out a warning")
	}
}

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

var errFull = errors.New("disk is full")

func TestFailingWriter(t *testing.T) {
	v := view(result(three))
	for name, write := range map[string]func(io.Writer, *report.View) error{"table": report.Table, "json": report.JSON, "csv": report.CSV, "functions": report.FunctionsCSV, "series": report.SeriesCSV, "html": report.HTML} {
		if err := write(&full{10}, v); !errors.Is(err, errFull) {
			t.Errorf("%s: %v", name, err)
		}
		if err := write(io.Discard, &report.View{}); err == nil {
			t.Errorf("%s of nothing", name)
		}
	}
}
