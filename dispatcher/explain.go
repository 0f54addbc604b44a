package dispatcher

import (
	"fmt"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
	"github.com/spillway-dev/spillway/policy"
)

// Explanation is a Decision in words: the body of a refusal, the answer of
// `spillway explain` and, through Summary, the X-Spillway-Decision header.
type Explanation struct {
	Invocation string          `json:"invocation"`
	Function   string          `json:"function"` // namespace/name
	Revision   string          `json:"revision"`
	Caller     string          `json:"caller,omitempty"`
	Admitted   time.Time       `json:"admitted"`
	Answered   *time.Time      `json:"answered,omitempty"`
	Outcome    string          `json:"outcome"` // executed, unknown, refused, not_executed, open, would_run
	Pool       string          `json:"pool,omitempty"`
	Reason     spillway.Reason `json:"reason"` // of the placement, or of the refusal
	Limit      *LimitText      `json:"limit,omitempty"`
	WaitedMs   float64         `json:"waitedMs"`
	Department string          `json:"department,omitempty"`
	QuotaPath  []string        `json:"quotaPath,omitempty"` // leaf first
	Policy     PolicyText      `json:"policy"`
	Pools      []PoolText      `json:"pools"`
	Attempts   []AttemptText   `json:"attempts,omitempty"`
	Currency   string          `json:"currency,omitempty"`
	Note       string          `json:"note,omitempty"` // set if this is not the whole record
}

// LimitText is the exact limit that decided.
type LimitText struct {
	Kind   spillway.LimitKind `json:"kind"`
	Name   string             `json:"name,omitempty"`
	Class  string             `json:"class,omitempty"`
	Used   int64              `json:"used"`
	Need   int64              `json:"need"`
	Max    int64              `json:"max"`
	Unit   string             `json:"unit,omitempty"`
	Reads  string             `json:"reads"`
	Window string             `json:"window,omitempty"`
}

// PolicyText says which verdict was used.
type PolicyText struct {
	Verdict  string `json:"verdict,omitempty"`
	Revision string `json:"revision,omitempty"`
	Failed   string `json:"failed,omitempty"`
}

// PoolText says what became of one pool at the last placement.
type PoolText struct {
	Name      string `json:"name"`
	Permitted bool   `json:"permitted"`
	Filter    string `json:"filter,omitempty"` // why it was not used; empty if used or not reached
	Detail    string `json:"detail,omitempty"`
}

// AttemptText is one attempt.
type AttemptText struct {
	Attempt      int             `json:"attempt"`
	Pool         string          `json:"pool"`
	Reason       spillway.Reason `json:"reason"`
	Cold         bool            `json:"cold,omitempty"`
	Outcome      string          `json:"outcome,omitempty"`
	Cause        string          `json:"cause,omitempty"`
	Detail       string          `json:"detail,omitempty"`
	DurationMs   float64         `json:"durationMs,omitempty"`
	InitMs       float64         `json:"initMs,omitempty"`
	BilledMs     int64           `json:"billedMs,omitempty"`
	Reserved     string          `json:"reserved,omitempty"`
	Settled      string          `json:"settled,omitempty"`
	Cost         string          `json:"cost,omitempty"` // exact, once its ledger line is known
	PriceVersion string          `json:"priceVersion,omitempty"`
}

// Explain puts d in words.
func Explain(d *Decision) *Explanation {
	f := d.Call.Function
	p := f.Platform
	ns := &p.Namespaces[f.Namespace]
	x := &Explanation{
		Invocation: d.Call.ID, Function: f.FunctionKey.String(), Revision: f.Revision, Caller: d.Call.Caller,
		Admitted: d.Admitted.Time(), Outcome: d.outcome(), Reason: d.Reason, Department: ns.Department,
		WaitedMs: float64(d.Waited.Microseconds()) / 1e3, Policy: policyText(d.Verdict), Currency: p.Currency,
		Limit: limitText(d.Limit),
	}
	if d.Answered != 0 {
		at := d.Answered.Time()
		x.Answered = &at
	}
	if d.Refusal != spillway.ReasonNone {
		x.Reason = d.Refusal
	}
	if d.Pool >= 0 {
		x.Pool = p.Pools[d.Pool].Name
	}
	for q := ns.Quota; q >= 0; q = p.Quotas[q].Parent {
		x.QuotaPath = append(x.QuotaPath, p.Quotas[q].Name)
	}
	for _, i := range p.BurstPolicies[f.Policy].Order {
		x.Pools = append(x.Pools, d.poolText(p, i))
	}
	for i := range d.Attempts[:d.Tries] {
		x.Attempts = append(x.Attempts, attemptText(p, &d.Attempts[i], d.Earlier+i+1))
	}
	return x
}

func (d *Decision) outcome() string {
	switch {
	case d.Refusal != spillway.ReasonNone:
		return "refused"
	case d.Answered == 0 && d.Tries == 0 && d.Pool >= 0:
		return "would_run" // a preview
	case d.Answered == 0 || d.Tries == 0:
		return "open"
	default:
		return d.Class().String()
	}
}

func policyText(v *policy.Verdict) PolicyText {
	if v == nil {
		return PolicyText{Failed: "no verdict"}
	}
	return PolicyText{Verdict: v.ID, Revision: v.Revision, Failed: v.Failed}
}

func limitText(l spillway.Limit) *LimitText {
	if l.Kind == spillway.LimitNone {
		return nil
	}
	t := &LimitText{Kind: l.Kind, Name: l.Name, Class: l.Class.String(), Used: l.Used, Need: l.Need, Max: l.Max, Reads: l.String()}
	switch l.Kind {
	case spillway.LimitBudget, spillway.LimitNoBudget:
		t.Unit = "nano"
		if l.Kind == spillway.LimitBudget {
			t.Window = l.Window.String()
		}
	default:
		if l.Dim != spillway.DimNone {
			t.Unit = l.Dim.String()
		}
	}
	return t
}

func (d *Decision) poolText(p *spillway.Platform, i int) PoolText {
	f := d.Call.Function
	t := PoolText{Name: p.Pools[i].Name, Filter: d.Filtered[i].String()}
	switch d.Filtered[i] {
	case placement.FilterExcluded:
		if t.Detail = f.Excluded[i].String(); t.Detail == "" {
			t.Detail = "streamed: its body is no event that a cloud takes"
		}
	case placement.FilterPolicy:
		if d.Verdict != nil {
			t.Detail = d.Verdict.Denials[i]
		}
	case placement.FilterPermission:
		t.Detail = spillway.Limit{Kind: spillway.LimitPermission}.String()
	default:
		t.Permitted = true
	}
	return t
}

func attemptText(p *spillway.Platform, a *Attempt, n int) AttemptText {
	u := &a.Outcome.Usage
	t := AttemptText{
		Attempt: n, Pool: p.Pools[a.Pool].Name, Reason: a.Reason, Cold: a.Cold || u.InitMicros > 0,
		Cause: a.Outcome.Cause.String(), Detail: a.Outcome.Detail,
		DurationMs: float64(u.DurationMicros) / 1e3, InitMs: float64(u.InitMicros) / 1e3, BilledMs: u.BilledMillis,
		PriceVersion: p.Pools[a.Pool].PriceVersion,
	}
	if a.Ended != 0 {
		t.Outcome = a.Outcome.Class.String()
	}
	if a.Reserved > 0 {
		t.Reserved, t.Settled = a.Reserved.String(), a.Settled.String()
	}
	return t
}

// Summary is the explanation in one line of ASCII, for a header.
func (x *Explanation) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "outcome=%s reason=%s", x.Outcome, x.Reason)
	if x.Pool != "" {
		fmt.Fprintf(&b, " pool=%s", x.Pool)
	}
	if x.Limit != nil {
		fmt.Fprintf(&b, " limit=%q", x.Limit.Reads)
	}
	if x.WaitedMs > 0 {
		fmt.Fprintf(&b, " waited=%.1fms", x.WaitedMs)
	}
	if n := len(x.Attempts); n > 1 {
		fmt.Fprintf(&b, " attempts=%d", n)
	}
	if x.Policy.Verdict != "" {
		fmt.Fprintf(&b, " verdict=%s", x.Policy.Verdict)
	}
	if x.Policy.Failed != "" {
		fmt.Fprintf(&b, " policy_failed=%q", x.Policy.Failed)
	}
	return b.String()
}
