package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

// shelf is a ledger in memory.
type shelf struct{ estimates, lines, posted []billing.Entry }

func (s *shelf) Unsettled(_ context.Context, from time.Time) (u ledger.Unsettled, _ error) {
	for _, e := range s.estimates {
		if !e.Admitted.Before(from) {
			u.Estimates = append(u.Estimates, e)
		}
	}
	slices.SortStableFunc(u.Estimates, func(a, b billing.Entry) int { return a.Admitted.Compare(b.Admitted) })
	return u, nil
}

func (s *shelf) Lines(context.Context, sqlite.Filter) iter.Seq2[billing.Entry, error] {
	return func(yield func(billing.Entry, error) bool) {
		for _, e := range slices.Concat(s.lines, s.estimates) {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (s *shelf) Correct(_ context.Context, lines []billing.Entry) error {
	s.posted = append(s.posted, lines...)
	return nil
}

// kept is a cloud's log of one pool; nil cannot be read.
type kept []spillway.Usage

func (k kept) Executions(context.Context, string, time.Time, time.Time) ([]spillway.Usage, error) {
	if k == nil {
		return nil, errors.New("no permission")
	}
	return k, nil
}

// TestReconcileOneExecution has one execution in the log and two estimates that it
// could be behind, of which one is not told of with the other. It is charged once,
// and to nobody where the two have different payers.
func TestReconcileOneExecution(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	sent := now.Add(-3 * time.Hour)
	ran := spillway.Usage{Started: spillway.InstantOf(sent.Add(time.Second)), DurationMicros: 5000, BilledMillis: 5, MemoryMiB: 128, ProviderID: "aa-1"}
	// east and west are one account; north is another region with a function of the
	// same name. The shop's resize runs on east.
	pool := func(i int, name, region string) *spillway.Pool {
		return &spillway.Pool{Index: i, Name: name, Kind: spillway.PoolLambda, Region: region}
	}
	pools := []*spillway.Pool{pool(0, "east", "us-east-1"), pool(1, "west", "us-east-1"), pool(2, "north", "eu-north-1")}
	for name, c := range map[string]struct {
		other      string        // namespace of the other estimate
		on         string        // its pool
		earlier    time.Duration // that it was admitted
		gone       bool          // its function is not in the configuration any more
		unreadable string        // pool whose log is not to be read
		charges    int
		left       int // estimates that stay as they are
		why        string
	}{
		"two pools, one payer":          {other: "shop", on: "west", charges: 1},
		"two pools, two payers":         {other: "bank", on: "west", left: 2, why: "the same cloud function"},
		"two pools, one log":            {other: "bank", on: "west", unreadable: "west", left: 2, why: "no permission"},
		"two pools, the other's log":    {other: "bank", on: "west", unreadable: "east", left: 2, why: "no permission"},
		"another region":                {other: "bank", on: "north", charges: 2},
		"one pool, two payers":          {other: "bank", on: "east", left: 2, why: "the same cloud function"},
		"the other is older":            {other: "bank", on: "east", earlier: 2 * time.Second, left: 1, why: "not settled here"},
		"the other is older, elsewhere": {other: "bank", on: "north", earlier: 2 * time.Second, charges: 1},
		"the other's function is gone":  {other: "bank", on: "east", gone: true, left: 2, why: "not settled here"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &spillway.Platform{Currency: "USD", Pools: pools}
			s := new(shelf)
			for i, who := range [][2]string{{"shop", "east"}, {c.other, c.on}} {
				f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: who[0], Name: fmt.Sprint("resize-", i)}, Revision: "v1"}
				for _, on := range pools {
					if on.Name == who[1] {
						f.Bindings[on.Index] = spillway.Binding{Name: "resize", MiB: 128}
					}
				}
				if i == 0 || !c.gone {
					p.Functions = append(p.Functions, f)
				}
				intent := cloudLine(fmt.Sprint("call-", i), sent)
				intent.Kind, intent.Namespace, intent.Function, intent.Revision, intent.Pool, intent.Reserved = billing.KindIntent, who[0], f.Name, "v1", who[1], 5000
				intent.Deadline = sent.Add(time.Minute)
				if i == 1 {
					intent.Admitted = sent.Add(-c.earlier)
				}
				s.lines = append(s.lines, intent)
				s.estimates = append(s.estimates, billing.EstimateOf(&intent, intent.Deadline))
			}
			p.Index()
			r := reconciler{platform: p, ledger: s, posted: func([]billing.Entry) {}, open: func(_ context.Context, of *spillway.Pool) (executionLog, func(), error) {
				log := kept{ran}
				if of.Name == "north" {
					log[0].ProviderID = "bb-2"
				}
				if of.Name == c.unreadable {
					log = nil
				}
				return log, func() {}, nil
			}}
			said, err := r.run(t.Context(), reconcileAsk{since: now.Sub(sent), lag: time.Hour}, now)
			if err != nil {
				t.Fatal(err)
			}
			ids := map[string]int{}
			for _, e := range s.posted {
				if e.Kind == billing.KindCharge {
					ids[e.Usage.ProviderID]++
				}
			}
			why := ""
			for i := range said.Functions {
				why += said.Functions[i].why()
			}
			if len(ids) != c.charges || ids["aa-1"] > 1 || left(&said.Counts) != c.left || !strings.Contains(why, c.why) {
				t.Errorf("charged %v, left %d: %s", ids, left(&said.Counts), why)
			}
		})
	}
}

// byName are a cloud's logs by function.
type byName map[string][]spillway.Usage

func (l byName) Executions(_ context.Context, name string, _, _ time.Time) ([]spillway.Usage, error) {
	return l[name], nil
}

// TestReconcileMoved has a call that ran as old, whose answer was lost, and one of
// today. The function is bound to new since, or to nothing, or its pool is elsewhere.
func TestReconcileMoved(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	sent := now.Add(-3 * time.Hour)
	ran := func(at time.Time, id string) spillway.Usage {
		return spillway.Usage{Started: spillway.InstantOf(at), DurationMicros: 5000, BilledMillis: 5, MemoryMiB: 128, ProviderID: id}
	}
	today := ran(sent.Add(time.Hour), "today")
	logs := byName{"old": {ran(sent.Add(time.Second), "lost")}, "new": {today}}
	for name, c := range map[string]struct {
		called  string // as the estimate's line has it
		bound   string // now; empty: the function is gone
		region  string // of the pool now
		charged string
		left    int
	}{
		"bound to another":    {called: "old", bound: "new", region: "us-east-1", charged: "old"},
		"another, by its ARN": {called: "arn:aws:lambda:us-east-1:123456789012:function:old", bound: "new", region: "us-east-1", charged: "arn:aws:lambda:us-east-1:123456789012:function:old"},
		"not configured":      {called: "old", region: "us-east-1", charged: "old"},
		"elsewhere":           {called: "old", bound: "old", region: "eu-north-1", left: 1},
		"a line of before":    {bound: "old", region: "us-east-1", charged: "old"},
		"of before, gone":     {region: "us-east-1", left: 1},
	} {
		t.Run(name, func(t *testing.T) {
			pool := &spillway.Pool{Name: "lambda", Kind: spillway.PoolLambda, Region: c.region}
			p := &spillway.Platform{Currency: "USD", Pools: []*spillway.Pool{pool}}
			if c.bound != "" {
				f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "resize"}, Revision: "v1"}
				f.Bindings[0] = spillway.Binding{Name: c.bound, MiB: 128}
				p.Functions = []*spillway.Function{f}
			}
			p.Index()
			line := func(id string, at time.Time, called string) billing.Entry {
				e := cloudLine(id, at)
				e.Namespace, e.Function, e.Revision, e.Region, e.CloudFunction, e.Deadline = "shop", "resize", "v1", "us-east-1", called, at.Add(time.Minute)
				return e
			}
			intent, charge := line("lost", sent, c.called), line("today", sent.Add(time.Hour), "new")
			intent.Kind, intent.Reserved = billing.KindIntent, 5000
			charge.Kind, charge.Usage, charge.Posted = billing.KindCharge, today, charge.Admitted.Add(time.Second)
			s := &shelf{lines: []billing.Entry{intent, charge}, estimates: []billing.Entry{billing.EstimateOf(&intent, intent.Deadline)}}
			all := byName{c.charged: logs["old"], "new": logs["new"]}
			r := reconciler{platform: p, ledger: s, posted: func([]billing.Entry) {}, open: func(context.Context, *spillway.Pool) (executionLog, func(), error) {
				return all, func() {}, nil
			}}
			said, err := r.run(t.Context(), reconcileAsk{since: now.Sub(sent), lag: time.Hour}, now)
			if err != nil {
				t.Fatal(err)
			}
			if c.left == 1 && (said.Problems != 1 || len(s.posted) != 0) ||
				c.left == 0 && (len(s.posted) != 2 || s.posted[0].Usage.ProviderID != "lost" || s.posted[0].CloudFunction != c.called) || left(&said.Counts) != c.left {
				t.Errorf("posted %+v of %+v", s.posted, said)
			}
		})
	}
}
