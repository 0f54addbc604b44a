package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// meanings say what docs/reasons.md says.
var meanings = map[spillway.Reason]string{
	spillway.ReasonPreferred:        "the first pool of its burst policy's order had room",
	spillway.ReasonWeight:           "the weights of its burst policy chose the pool",
	spillway.ReasonCanary:           "as preferred, of a revision that takes a part of the calls",
	spillway.ReasonPinned:           "only one pool may run it",
	spillway.ReasonOverflowQuota:    "the on-prem quota of its namespace, or of one above it, was used up",
	spillway.ReasonOverflowCapacity: "the on-prem pool was full",
	spillway.ReasonOverflowWait:     "the on-prem pool had no place for as long as the call may wait before it bursts (onPremWaitBudget)",
	spillway.ReasonOverflowHealth:   "the on-prem pool was not healthy",
	spillway.ReasonReplaced:         "an earlier attempt was surely not executed (a throttle, a refused connection), so it was placed again",
	spillway.ReasonDenied:           "policy, residency, mode or a kill switch leaves no pool",
	spillway.ReasonBudgetExceeded:   "a money budget is used up, or no budget permits spending",
	spillway.ReasonDeadline:         "its deadline passed before it could start",
	spillway.ReasonQuotaExceeded:    "a limit of the quota tree, and it could not wait longer",
	spillway.ReasonNoCapacity:       "every permitted pool was full for as long as it could wait",
	spillway.ReasonUnavailable:      "a permitted pool or the ledger cannot take it now; nothing ran",
}

// accounted says where every call went.
func (s *sheet) accounted() string {
	return fmt.Sprintf("%s = %s placed + %s refused + %s skipped", plural(s.Calls, "call", "calls"), count(s.Placed), count(s.Refused), count(s.Skipped))
}

// notes are what the tables do not show, each a sentence.
func (s *sheet) notes() []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if s.Skipped > 0 {
		functions := int64(0)
		for _, n := range s.SkippedBy {
			if n > 0 {
				functions++
			}
		}
		say("Skipped: %s of %s that the configuration does not have.", plural(s.Skipped, "call", "calls"), plural(functions, "function", "functions"))
	}
	for _, i := range s.order {
		p := &s.pools[i]
		if what := troubles(&p.Usage); what != "" {
			say("%s: %s.", p.Name, what)
		}
	}
	if s.owned.IsZero() && s.ownsPools() {
		say("Owned pools have no price, so they cost nothing here.")
	}
	if s.Ended > s.Length {
		say("The last call was answered %s after the end of the trace.", span(s.Ended-s.Length))
	}
	if s.Warm {
		say("No instances were modelled: on-prem there are no cold starts, and nothing is kept.")
	}
	return all
}

func (s *sheet) ownsPools() bool {
	for i := range s.pools {
		if !s.pools[i].Kind.Cloud() {
			return true
		}
	}
	return false
}

// troubles are attempts that did not simply run.
func troubles(u *simulator.Usage) string {
	var parts []string
	for _, x := range []struct {
		n    int64
		what string
	}{
		{u.TimedOut, "timed out"},
		{u.Throttled, "refused by the provider and placed again or refused"},
		{u.Lost, "without an answer, charged as reserved"},
		{u.Reclaimed, "ended by reclaimed capacity and placed again"},
	} {
		if x.n > 0 {
			parts = append(parts, count(x.n)+" "+x.what)
		}
	}
	return strings.Join(parts, "; ")
}

// first returns so many lines of a list, the last of which says how many are left out.
func first(lines []string, most int) []string {
	if len(lines) <= most {
		return lines
	}
	left := int64(len(lines) - most + 1)
	return append(slices.Clone(lines[:most-1]), "and "+plural(left, "other", "others")+"; JSON has all")
}

// behaviour says how a pool was modelled.
func behaviour(p *spillway.Pool, m *simulator.PoolModel) string {
	var parts []string
	for _, c := range m.Cold {
		parts = append(parts, fmt.Sprintf("%s P50 %s P99 %s", c.Name, span(c.P50), span(c.P99)))
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing")
	}
	text := "cold start: " + strings.Join(parts, " + ")
	if m.Added > 0 {
		text += fmt.Sprintf("; %s on the way", span(m.Added))
	}
	if p.Kind.Cloud() {
		text += fmt.Sprintf("; kept %s", whole(m.IdleFor))
		if !m.InitBilled {
			text += "; cold starts not billed"
		}
	} else {
		text += fmt.Sprintf("; keep-alive %s %s", p.KeepAlivePolicy.Kind, whole(p.KeepAlive))
	}
	if n := len(m.Away); n > 0 {
		text += "; " + plural(int64(n), "outage", "outages")
	}
	if n := len(m.Capacity); n > 0 {
		text += "; " + plural(int64(n), "change of capacity", "changes of capacity")
	}
	return text
}

// models say how pools were modelled.
func (s *sheet) models() []field {
	var all []field
	models := s.view.Meta.Models
	for i := range models[:min(len(models), len(s.pools))] {
		all = append(all, field{"Pool " + s.pools[i].Name, behaviour(s.pools[i].Pool, &models[i])})
	}
	return all
}

// skip says what of the trace was not taken.
func skip(x *trace.Skip) string {
	text := x.Reason
	switch {
	case x.Calls > 0:
		text += fmt.Sprintf(": %s with %s", plural(x.Rows, "row", "rows"), plural(x.Calls, "call", "calls"))
	case x.Rows > 0:
		text += ": " + plural(x.Rows, "row", "rows")
	}
	if x.File == "" {
		return text
	}
	if x.Line > 0 {
		return fmt.Sprintf("%s (first at %s:%d)", text, x.File, x.Line)
	}
	return fmt.Sprintf("%s (first: %s)", text, x.File)
}

// field is a name and what belongs to it.
type field struct{ Name, Text string }

// origin says what was run on what.
func (s *sheet) origin() []field {
	m := &s.view.Meta
	fields := []field{
		{"Command", m.Command},
		{"Trace", m.Trace},
		{"", traceFigures(m.Summary)},
		{"Time", fmt.Sprintf("%s, for %s", stamp(s.Start), whole(s.Length))},
		{"Platform", m.Platform},
		{"Configuration", s.Platform.Revision},
		{"Prices", s.prices()},
		{"Seed", fmt.Sprint(m.Seed)},
		{"Program", m.Version},
	}
	kept := fields[:0]
	for _, f := range fields {
		if f.Text != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

func traceFigures(t *trace.Summary) string {
	if t == nil {
		return ""
	}
	text := fmt.Sprintf("%s: %s of %s, %s; mean %s/min, peak %s/min, at most %s at once; duration P50 %s, mean %s",
		t.Format, plural(int64(t.Functions), "function", "functions"), plural(int64(t.Tenants), "tenant", "tenants"), plural(t.Calls, "call", "calls"),
		short(t.MeanPerMinute), count(t.PeakPerMinute), count(t.PeakConcurrency), span(t.Duration.At(0.5)), span(t.MeanDuration))
	if !t.Verified {
		text += "; format read from its description only"
	}
	return text
}

func (s *sheet) prices() string {
	var parts []string
	for _, i := range s.order {
		if v := s.pools[i].PriceVersion; v != "" {
			parts = append(parts, s.pools[i].Name+" "+v)
		}
	}
	text := strings.Join(parts, ", ")
	if at := s.view.Meta.PricesAt; !at.IsZero() {
		text = strings.TrimPrefix(text+"; as of "+at.UTC().Format(time.DateOnly), "; ")
	}
	return text
}
