package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/config/requested"
)

// printQuotaRequest writes all that matters of one request.
func printQuotaRequest(w io.Writer, v *quotaRequestView) error {
	name, simulation := v.Metadata.Name, v.Status.Simulation
	rows := [][]string{
		{"request", name + " for Quota " + v.Spec.Quota + ", " + phaseText(v)},
		{"asked by", v.Spec.Requester + ": " + oneLine(v.Spec.Reason)},
		{"limits", changeText(v)},
	}
	if v.Spec.Until != nil {
		rows = append(rows, []string{"until", v.Spec.Until.Format(time.RFC3339)})
	}
	if simulation != nil {
		rows = append(rows, []string{"would be", simulation.Summary}, []string{"as of", callsText(simulation)}, []string{"report", simulation.Report})
	}
	if e := v.Status.History[len(v.Status.History)-1]; e.Comment != "" {
		rows = append(rows, []string{"comment", e.By + ": " + oneLine(e.Comment)})
	}
	switch {
	case requested.Undecided(&v.QuotaRequest) && len(v.Approvers) == 0:
		rows = append(rows, []string{"next", "nobody may approve it: write approvers: [IDENTITY] into the spec of Quota " + v.Spec.Quota + " or of one above it"})
	case requested.Undecided(&v.QuotaRequest) && simulation == nil:
		rows = append(rows, []string{"next", "spillway quota simulate " + name})
	case requested.Undecided(&v.QuotaRequest):
		rows = append(rows, []string{"next", "spillway quota approve " + name + " --report " + simulation.Report[:min(len(simulation.Report), len("sha256:")+shortReport)] + ", or deny; by " + strings.Join(v.Approvers, ", ")})
	}
	return table(w, rows)
}

// phaseText is the phase, and whether limits hold that were approved.
func phaseText(v *quotaRequestView) string {
	switch {
	case v.Applies:
		return v.Status.Phase + ", holds"
	case v.Why != "":
		return v.Status.Phase + ", does not hold: " + v.Why
	}
	return v.Status.Phase
}

func callsText(f *v1alpha1.QuotaSimulation) string {
	text := counted(int(f.Calls), "call") + " of " + f.Trace
	if f.Skipped > 0 {
		text += fmt.Sprintf("; %d of other functions left out", f.Skipped)
	}
	return text
}

// changeText says what a request changes: of a Quota as it was when it was approved,
// or as it is.
func changeText(v *quotaRequestView) string {
	before := v.Limits
	for _, e := range v.Status.History {
		if e.What == v1alpha1.PhaseApproved {
			before = e.Before
		}
	}
	return changes(before, &v1alpha1.QuotaLimits{Nominal: v.Spec.Nominal, Budgets: v.Spec.Budgets})
}

// changes lists the limits of next beside those of before.
func changes(before, next *v1alpha1.QuotaLimits) string {
	was := map[string]string{}
	if before != nil {
		for _, l := range limitTexts(before) {
			was[l[0]] = l[1]
		}
	}
	var all []string
	for _, l := range limitTexts(next) {
		old, ok := was[l[0]]
		if !ok {
			old = "not limited"
		}
		if old == l[1] {
			all = append(all, l[0]+" "+l[1])
		} else {
			all = append(all, l[0]+" "+old+" → "+l[1])
		}
	}
	return strings.Join(all, ", ")
}

// askedText is what a request asks for.
func askedText(s *v1alpha1.QuotaRequestSpec) string {
	asked := &v1alpha1.QuotaLimits{Nominal: s.Nominal, Budgets: s.Budgets}
	return changes(asked, asked)
}

// limitTexts are limits by name, in order.
func limitTexts(l *v1alpha1.QuotaLimits) (all [][2]string) {
	for _, side := range []struct {
		name string
		of   *v1alpha1.Capacity
	}{{"on-prem", l.Nominal.OnPrem}, {"cloud", l.Nominal.Cloud}, {"offline", l.Nominal.Offline}} {
		if side.of == nil {
			continue
		}
		if side.of.Slots != nil {
			all = append(all, [2]string{side.name + " slots", fmt.Sprint(*side.of.Slots)})
		}
		if side.of.CPU != nil {
			all = append(all, [2]string{side.name + " cpu", side.of.CPU.String()})
		}
		if side.of.Memory != nil {
			all = append(all, [2]string{side.name + " memory", side.of.Memory.String()})
		}
	}
	for _, window := range []string{"hour", "day", "month"} {
		for _, b := range l.Budgets {
			if b.Window == window && b.Amount != nil {
				all = append(all, [2]string{"budget a " + window, budgetText(b)})
			}
		}
	}
	return all
}

// budgetText is a budget with what is not as usual: what happens at its end, and whose
// days it counts.
func budgetText(b v1alpha1.Budget) string {
	text := b.Amount.String() + " " + b.Currency
	if b.AtLimit != "" && b.AtLimit != "reject" {
		text += ", then " + b.AtLimit
	}
	if b.TimeZone != "" && b.TimeZone != "UTC" {
		text += ", by " + b.TimeZone
	}
	return text
}

// printQuotaHistory writes a line for each event, in the order of time.
func printQuotaHistory(w io.Writer, all []quotaRequestView) error {
	type event struct {
		v1alpha1.QuotaEvent
		of *quotaRequestView
	}
	var events []event
	for i := range all {
		for _, e := range all[i].Status.History {
			events = append(events, event{e, &all[i]})
		}
	}
	if len(events) == 0 {
		_, err := fmt.Fprintln(w, "nobody has asked for quota yet: 'spillway quota request' does")
		return err
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.At.Compare(b.At) })
	rows := [][]string{{"AT (UTC)", "REQUEST", "QUOTA", "WHAT", "BY", ""}}
	for _, e := range events {
		rows = append(rows, []string{momentText(e.At), e.of.Metadata.Name, e.of.Spec.Quota, e.What, e.By, eventText(e.of, &e.QuotaEvent)})
	}
	return table(w, rows)
}

// eventText is what an event says, in a line.
func eventText(v *quotaRequestView, e *v1alpha1.QuotaEvent) string {
	var parts []string
	switch {
	case e.What == v1alpha1.PhaseAsked:
		parts = append(parts, askedText(&v.Spec), oneLine(v.Spec.Reason))
	case e.What == v1alpha1.PhaseSimulated:
		parts = append(parts, e.Summary)
	case e.After != nil:
		parts = append(parts, changes(e.Before, e.After))
	}
	if e.Comment != "" {
		parts = append(parts, oneLine(e.Comment))
	}
	return strings.Join(parts, "; ")
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// printQuotaNotes names what waits to be decided, and approvals that do not hold.
func printQuotaNotes(w io.Writer, all []quotaRequestView) error {
	rows := [][]string{{"REQUEST", "QUOTA", "", "BY", "LIMITS"}}
	for i := range all {
		v := &all[i]
		conflict := v.Status.Phase == v1alpha1.PhaseApproved && !v.Applies && (v.Spec.Until == nil || time.Now().Before(*v.Spec.Until))
		if requested.Undecided(&v.QuotaRequest) || conflict {
			rows = append(rows, []string{v.Metadata.Name, v.Spec.Quota, phaseText(v), v.Spec.Requester, changeText(v)})
		}
	}
	if len(rows) == 1 {
		return nil
	}
	fmt.Fprintln(w)
	return table(w, rows)
}
