package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spillway-dev/spillway/billing/reconcile"
)

// print writes a row for each function of a cloud and what it comes to.
func (all *reconciled) print(w io.Writer) error {
	if all.Estimates == 0 {
		_, err := fmt.Fprintf(w, "no estimates since %s: every cloud call has its outcome\n", all.Since.Format("2006-01-02 15:04 MST"))
		return err
	}
	rows := [][]string{{"POOL", "CLOUD FUNCTION", "FUNCTION", "ESTIMATES", "RAN", "NEVER RAN", "LEFT", "ESTIMATED", "CHARGED", "WHY LEFT"}}
	for i := range all.Functions {
		f := &all.Functions[i]
		rows = append(rows, []string{
			f.Pool, orDash(f.Cloud), strings.Join(f.Functions, ", "), strconv.Itoa(f.Estimates), strconv.Itoa(f.Ran), strconv.Itoa(f.NeverRan),
			strconv.Itoa(left(&f.Counts)), f.Estimated.Text('f'), f.Charged.Text('f'), orDash(f.why()),
		})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	became, posted := "became", ""
	if all.DryRun {
		became, posted = "would become", "; nothing was posted"
	}
	_, err := fmt.Fprintf(w, "\n%s of %s %s %s %s of %s; %d never ran, %d left as estimates%s\n",
		counted(all.Ran+all.NeverRan, "estimate"), all.Estimated.Text('f'), all.Currency, became, counted(all.Ran, "charge"), all.Charged.Text('f'),
		all.NeverRan, left(&all.Counts), posted)
	return err
}

func left(c *reconcile.Counts) int { return c.Estimates - c.Ran - c.NeverRan }

// why says why estimates were left as they are, and what else is odd.
func (f *reconciledFunction) why() string {
	if f.Problem != "" {
		return f.Problem
	}
	var all []string
	for _, reason := range []struct {
		n    int
		says string
	}{
		{f.Waiting, "younger than the lag, or beside a call that is open or not settled here: try later"},
		{f.Unclear, "with more executions in the log than calls: who else calls the function?"},
		{f.Unproven, "without a trace, and no other call shows that the log is written: try after the next call"},
		{f.Unaccounted, "in the log that no call of this ledger is behind"},
	} {
		if reason.n > 0 {
			all = append(all, strconv.Itoa(reason.n)+" "+reason.says)
		}
	}
	return strings.Join(all, "; ")
}
