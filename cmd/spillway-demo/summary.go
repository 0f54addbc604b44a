package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"golang.org/x/term"
)

// summary is how a run went: what is printed, and with --json written.
type summary struct {
	Passed  bool            `json:"passed"`
	Seconds float64         `json:"seconds"`
	Sent    int             `json:"sent"`
	Kinds   map[string]int  `json:"answers"` // by how they ended
	Phases  []figures       `json:"phases"`
	Checks  []check         `json:"checks"`
	Clouds  []cloudFigures  `json:"clouds"`
	Report  json.RawMessage `json:"report"` // as spillway report -o json
	Samples []sample        `json:"samples"`

	evidence      *evidence
	dir, programs string
	reportText    string
}

// cloudFigures is a stand-in's own account.
type cloudFigures struct {
	Pool       string `json:"pool"`
	Executions int    `json:"executions"`
	Bill       string `json:"bill"`
	Currency   string `json:"currency"`
	Peak       int    `json:"peakConcurrency"`
	ColdStarts int    `json:"coldStarts"`
}

// sample is one call as `spillway explain` tells it.
type sample struct {
	Title       string          `json:"title"`
	Invocation  string          `json:"invocation"`
	Explanation json.RawMessage `json:"explanation"`
	text        string
}

// conclude holds every promise against the evidence.
func (s *summary) conclude(took time.Duration) {
	e := s.evidence
	s.Checks, s.Passed, s.Seconds = checkAll(e), true, took.Seconds()
	for _, c := range s.Checks {
		s.Passed = s.Passed && c.Pass
	}
	s.Sent, s.Kinds = e.sent, map[string]int{}
	for _, a := range e.answers {
		s.Kinds[a.Kind.String()]++
	}
	for _, c := range e.clouds {
		own := cloudFigures{Pool: c.pool, Executions: c.bill.Executions, Bill: c.bill.Total, Currency: c.bill.Currency, Peak: c.state.PeakConcurrency}
		for _, f := range c.state.Functions {
			own.ColdStarts += f.ColdStarts
		}
		s.Clouds = append(s.Clouds, own)
	}
}

// samples explains one call of each kind that people ask about.
func (w *world) samples(ctx context.Context, answers []answer) []sample {
	picks := []struct {
		title string
		match func(*answer) bool
	}{
		{"an overflow", func(a *answer) bool { return a.Kind == succeeded && strings.HasPrefix(a.Reason, "overflow_") }},
		{"a refusal at the budget", func(a *answer) bool { return a.Kind == refused && a.Reason == "budget_exceeded" }},
		{"an unknown outcome", func(a *answer) bool { return a.Kind == unknown }},
	}
	var all []sample
	for _, p := range picks {
		for i := range answers {
			if p.match(&answers[i]) {
				all = append(all, w.explain(ctx, p.title, answers[i].ID))
				break
			}
		}
	}
	return all
}

func (w *world) explain(ctx context.Context, title, id string) sample {
	s := sample{Title: title, Invocation: id}
	for _, form := range []string{"table", "json"} {
		text, err := w.stage.ask(ctx, "explain", id, "--admin", w.admin, "-o", form)
		switch {
		case err != nil:
			s.text = err.Error()
		case form == "json":
			s.Explanation = text
		default:
			s.text = strings.TrimRight(string(text), "\n")
		}
	}
	return s
}

// report is the bill as `spillway report` makes it from the ledger on disk.
func (s *stage) report(ctx context.Context) (text string, structured json.RawMessage, err error) {
	args := []string{"report", "--data", s.data, "--by", "department", "-o"}
	table, err := s.ask(ctx, append(args, "table")...)
	if err != nil {
		return "", nil, err
	}
	structured, err = s.ask(ctx, append(args, "json")...)
	return string(table), structured, err
}

// ask runs a spillway command to its end and returns what it prints.
func (s *stage) ask(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.program(), args...)
	var said strings.Builder
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("spillway %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return text, nil
}

// print writes the summary for people.
func (s *summary) print(w *os.File, kept bool) error {
	var b strings.Builder
	columns, _, err := term.GetSize(int(w.Fd()))
	if err != nil {
		columns = 0 // not a terminal: nothing is folded
	}
	s.printChecks(&b, columns)
	fmt.Fprintf(&b, "\n%s\n%s\n", caption.Render("The bill, by department"), strings.TrimRight(s.reportText, "\n"))
	for _, sample := range s.Samples {
		fmt.Fprintf(&b, "\n%s\n%s\n", caption.Render("Explained by 'spillway explain': "+sample.Title), sample.text)
	}
	s.printNext(&b, kept)
	verdict := good.Bold(true).Render(fmt.Sprintf("PASS: all %d checks", len(s.Checks)))
	if !s.Passed {
		failed := 0
		for _, c := range s.Checks {
			if !c.Pass {
				failed++
			}
		}
		verdict = wrong.Bold(true).Render(fmt.Sprintf("FAIL: %d of %d checks", failed, len(s.Checks)))
	}
	fmt.Fprintf(&b, "\n%s, %s calls in %.1f s\n", verdict, count(s.Sent), s.Seconds)
	_, err = lipgloss.Fprint(w, b.String())
	return err
}

// besideName is the column at which the numbers of a check begin.
const besideName = 55

// folded breaks text so that it stays right of the names, if columns are known and
// enough.
func folded(text string, columns int) string {
	if columns < 40 {
		return text
	}
	if columns < besideName+30 {
		return "\n" + indented(text, columns)
	}
	return strings.ReplaceAll(lipgloss.Wrap(text, columns-besideName, " "), "\n", "\n"+strings.Repeat(" ", besideName))
}

// tinted colours each line of text by itself: as one block, all would be made as wide
// as the widest.
func tinted(style lipgloss.Style, text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = style.Render(line)
	}
	return strings.Join(lines, "\n")
}

// indented is text below a name, broken if columns are known and enough.
func indented(text string, columns int) string {
	const by = "          "
	if columns >= 40 {
		text = strings.ReplaceAll(lipgloss.Wrap(text, columns-len(by), " "), "\n", "\n"+by)
	}
	return by + text
}

func (s *summary) printChecks(b *strings.Builder, columns int) {
	fmt.Fprintf(b, "\n%s\n", caption.Render("What was promised, and what those who executed the calls saw"))
	for i, c := range s.Checks {
		mark := good.Render("PASS")
		if !c.Pass {
			mark = wrong.Render("FAIL")
		}
		fmt.Fprintf(b, "%s  %2d  %-44s %s\n", mark, i+1, c.Name, tinted(dim, folded(c.Detail, columns)))
		misses := c.Misses
		if more := c.Missed - len(c.Misses); more > 0 {
			misses = append(slices.Clone(misses), fmt.Sprintf("and %s more", count(more)))
		}
		for _, m := range misses {
			fmt.Fprintf(b, "%s\n", tinted(wrong, indented(m, columns)))
		}
	}
}

// printNext says where to look further.
func (s *summary) printNext(b *strings.Builder, kept bool) {
	fmt.Fprintf(b, "\n%s\n", caption.Render("Look further"))
	if !kept && s.Passed {
		fmt.Fprintln(b, "make demo DEMO_FLAGS=--keep      # keeps the run's files, logs and ledger")
		fmt.Fprintln(b, "less examples/demo/README.md      # the same platform, by hand")
		return
	}
	program, data := filepath.Join(s.programs, "spillway"), filepath.Join(s.dir, "data")
	for _, args := range []string{"report --by function --data " + data, "report --by pool --data " + data,
		"explain " + s.anyInvocation() + " --data " + data, "validate " + filepath.Join(s.dir, "conf")} {
		fmt.Fprintln(b, program, args)
	}
	fmt.Fprintf(b, "head -3 %s\n", filepath.Join(s.dir, "executions", "scf-bill.jsonl"))
}

func (s *summary) anyInvocation() string {
	if len(s.Samples) > 0 {
		return s.Samples[0].Invocation
	}
	return "INVOCATION"
}

// writeJSON writes the summary to a file, or to stdout for "-"; "" writes nothing.
func (s *summary) writeJSON(path string, stdout io.Writer) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	text = append(text, '\n')
	if path == "-" {
		_, err = stdout.Write(text)
	} else {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}
