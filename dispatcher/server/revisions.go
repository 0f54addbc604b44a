package server

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

var revisionCalls = prometheus.NewDesc("spillway_revision_calls_total",
	"Answered calls by the revision that was called, the pool that answered it (- if none) and outcome: success, function_error, not_executed, unknown or refused. Only revisions of the live configuration have series.",
	[]string{"namespace", "function", "revision", "pool", "outcome"}, nil)

// callOutcome is how a call was answered.
type callOutcome uint8

const (
	callSucceeded callOutcome = iota
	callFunctionError
	callNotExecuted
	callUnknown
	callRefused
	callOutcomeCount
)

func (o callOutcome) String() string {
	return [callOutcomeCount]string{"success", "function_error", "not_executed", "unknown", "refused"}[o]
}

func outcomeOf(d *dispatcher.Decision) callOutcome {
	if d.Refusal != spillway.ReasonNone {
		return callRefused
	}
	switch o := &d.Answering().Outcome; {
	case o.Class == spillway.NotExecuted:
		return callNotExecuted
	case o.Class == spillway.Unknown:
		return callUnknown
	case o.FunctionError != spillway.FunctionOK:
		return callFunctionError
	}
	return callSucceeded
}

// tally counts the calls of one revision, by pool index plus one and outcome.
type tally [spillway.MaxPools + 1][callOutcomeCount]atomic.Uint64

// revisionCount has no tally until the revision is called.
type revisionCount struct{ tally atomic.Pointer[tally] }

func (c *revisionCount) add(pool int, o callOutcome) {
	t := c.tally.Load()
	if t == nil {
		c.tally.CompareAndSwap(nil, new(tally))
		t = c.tally.Load()
	}
	t[pool+1][o].Add(1)
}

// revisionCounts are those of a platform's functions by index. Revisions that were in
// the platform before go on counting; those that are gone are forgotten.
func revisionCounts(p *spillway.Platform, before *scene) []*revisionCount {
	all := make([]*revisionCount, len(p.Functions))
	for i, f := range p.Functions {
		if before != nil {
			if old := before.platform.RevisionOf(f.FunctionKey, f.Revision); old != nil {
				all[i] = before.counts[old.Index]
			}
		}
		if all[i] == nil {
			all[i] = new(revisionCount)
		}
	}
	return all
}

// counted counts an answered call for its revision, if that is live.
func (c *scene) counted(d *dispatcher.Decision) {
	f, pool, outcome := d.Call.Function, -1, outcomeOf(d)
	if outcome != callRefused {
		a := d.Answering()
		f, pool = a.Function, a.Pool
	}
	if f.Platform != c.platform {
		if f = c.platform.RevisionOf(f.FunctionKey, f.Revision); f == nil {
			return
		}
	}
	c.counts[f.Index].add(pool, outcome)
}

// collect sends what was counted.
func (c *scene) collect(ch chan<- prometheus.Metric) {
	for i, f := range c.platform.Functions {
		t := c.counts[i].tally.Load()
		if t == nil {
			continue
		}
		for pool := range t {
			for o := range callOutcomeCount {
				n, name := t[pool][o].Load(), "-"
				if n == 0 {
					continue
				}
				if pool > 0 {
					name = c.platform.Pools[pool-1].Name
				}
				ch <- prometheus.MustNewConstMetric(revisionCalls, prometheus.CounterValue, float64(n),
					f.FunctionKey.Namespace, f.FunctionKey.Name, f.Revision, name, o.String())
			}
		}
	}
}
