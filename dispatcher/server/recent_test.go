package server

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/placement"
	"github.com/spillway-dev/spillway/policy"
)

// What is kept of a decision explains as the decision did.
func TestAccountsExplainAsTheirDecisions(t *testing.T) {
	p := &spillway.Platform{
		Pools:         []*spillway.Pool{{Name: "onprem", PriceVersion: "p1"}, {Name: "cloud", Kind: spillway.PoolLambda}},
		Namespaces:    []spillway.Namespace{{Name: "ns", Department: "dep", Quota: -1}},
		BurstPolicies: []spillway.BurstPolicy{{Order: []int{0, 1}}},
		Currency:      "USD",
	}
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "ns", Name: "f"}, Revision: "v1", Platform: p}
	plainOne := func() *dispatcher.Decision {
		d := &dispatcher.Decision{
			Call:    spillway.Call{ID: uuid.Must(uuid.NewV7()).String(), Function: f, Caller: "me"},
			Verdict: &policy.Verdict{ID: "verdict", Revision: "r"}, Admitted: 1e18, Answered: 1e18 + 5e6, Waited: 1500 * time.Microsecond,
			Reason: spillway.ReasonPreferred, Tries: 1,
		}
		d.Verdict.Denials[1] = "not for you"
		d.Filtered[1] = placement.FilterPolicy
		d.Attempts[0] = dispatcher.Attempt{Function: f, Reason: d.Reason, Cold: true, Placed: 1e18 + 1, Ended: 1e18 + 4e6}
		d.Attempts[0].Outcome = spillway.Outcome{Class: spillway.Executed, Cause: spillway.CauseTooLarge, FunctionError: spillway.FunctionUnhandled,
			Usage: spillway.Usage{DurationMicros: 1234, InitMicros: 99, BilledMillis: 2}}
		return d
	}
	for name, c := range map[string]struct {
		change func(*dispatcher.Decision)
		whole  bool
	}{
		"ran as preferred": {func(*dispatcher.Decision) {}, false},
		"weighted": {func(d *dispatcher.Decision) {
			d.Reason, d.Attempts[0].Reason = spillway.ReasonWeight, spillway.ReasonWeight
		}, false},
		"detail":       {func(d *dispatcher.Decision) { d.Attempts[0].Outcome.Detail = "Boom" }, true},
		"in a cloud":   {func(d *dispatcher.Decision) { d.Attempts[0].Reserved, d.Attempts[0].Settled = 7, 5 }, true},
		"limit":        {func(d *dispatcher.Decision) { d.Limit = spillway.Limit{Kind: spillway.LimitCapacity, Max: 1} }, true},
		"two attempts": {func(d *dispatcher.Decision) { d.Attempts[1], d.Tries = d.Attempts[0], 2 }, true},
		"unknown":      {func(d *dispatcher.Decision) { d.Attempts[0].Outcome.Class = spillway.Unknown }, true},
		"refused":      {func(d *dispatcher.Decision) { d.Refusal, d.Tries = spillway.ReasonDenied, 0 }, true},
		"overflow":     {func(d *dispatcher.Decision) { d.Reason = spillway.ReasonOverflowQuota }, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := plainOne()
			c.change(d)
			r := newRecentDecisions(3)
			r.add(d)
			if whole := accountOf(d).whole != nil; whole != c.whole {
				t.Errorf("kept whole: %t", whole)
			}
			want, _ := json.Marshal(dispatcher.Explain(d))
			got, _ := json.Marshal(dispatcher.Explain(r.find(d.Call.ID)))
			if string(got) != string(want) {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

func TestRecentDecisionsForgetTheOldest(t *testing.T) {
	const size = accountPage + 10
	r := newRecentDecisions(size)
	var ids []string
	for range size + 3 {
		d := &dispatcher.Decision{Call: spillway.Call{ID: uuid.Must(uuid.NewV7()).String()}, Refusal: spillway.ReasonDenied}
		ids = append(ids, d.Call.ID)
		r.add(d)
	}
	for i, id := range ids {
		d := r.find(id)
		if kept := d != nil; kept != (i >= 3) || kept && d.Call.ID != id {
			t.Fatalf("decision %d: kept %t", i, kept)
		}
	}
	if r.find("no id") != nil || len(r.places) != size {
		t.Fatal(len(r.places))
	}
}
