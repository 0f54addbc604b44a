package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/internal/safetext"
)

// printDrift writes a line for each finding, one more for each further difference,
// and what was not compared once, with all that it is about.
func printDrift(w io.Writer, r clouddrift.Report) error {
	rows := [][]string{{"STATUS", "POOL", "FUNCTION", "REVISION", "IN THE CLOUD", "WHAT"}}
	for _, f := range r.Findings {
		row := []string{string(f.Status), f.Pool, "(account)", "-", "-", orDash(f.Problem)}
		if f.Function != "" {
			row[2], row[3], row[4] = f.Function, f.Revision, cloudName(f)
		}
		for _, d := range f.Differences {
			row[5] = fmt.Sprintf("%s: expected %s, found %s; %s", d.Field, d.Expected, d.Found, d.Why)
			rows = append(rows, row)
			row = []string{"", "", "", "", "", ""}
		}
		if len(f.Differences) == 0 {
			rows = append(rows, row)
		}
	}
	if err := table(w, rows); err != nil {
		return err
	}
	for _, line := range noteLines(r.Findings) {
		if _, err := fmt.Fprintln(w, safetext.Line(line)); err != nil {
			return err
		}
	}
	c := r.Counts
	_, err := fmt.Fprintf(w, "\n%d ok, %d drift, %d missing, %d unreachable\n", c.OK, c.Drift, c.Missing, c.Unreachable)
	return err
}

// cloudName is a function as the cloud knows it, with the version if an alias hides it.
func cloudName(f clouddrift.Finding) string {
	name := f.Name
	if f.Qualifier != "" {
		name += ":" + f.Qualifier
	}
	if f.Version != "" && f.Version != f.Qualifier {
		name += " (" + f.Version + ")"
	}
	return name
}

// noteLines joins the notes that say the same, in the order of the first of each.
func noteLines(findings []clouddrift.Finding) []string {
	var texts []string
	about := map[string][]string{}
	for _, f := range findings {
		subject := "the account of " + f.Pool
		if f.Function != "" {
			subject = f.Function + " in " + f.Pool
		}
		for _, n := range f.Notes {
			text := n.Field + ": " + n.Text
			if about[text] == nil {
				texts = append(texts, text)
			}
			if !slices.Contains(about[text], subject) {
				about[text] = append(about[text], subject)
			}
		}
	}
	lines := make([]string, 0, len(texts)+1)
	for i, text := range texts {
		if i == 0 {
			lines = append(lines, "")
		}
		lines = append(lines, fmt.Sprintf("note on %s: %s", strings.Join(about[text], ", "), text))
	}
	return lines
}
