// Package fit finds in a usage export how pools behave, for package simulator.
//
// What a ledger tells:
//
//   - initialisation: the recorded cold starts of a pool;
//   - of an owned pool, what comes before it: how long calls that met a cold start
//     waited, without the initialisation. Time in a queue is in it, too, so a pool that
//     was full seems slower to start;
//   - of a cloud, how long it keeps an idle environment: how long environments had
//     been idle that were used again, and how long when a new one was started instead;
//   - of a cloud, whether it bills the initialisation.
//
// What a call takes beyond its execution, the start of a cloud's environment before
// the initialisation, and outages are not in a ledger.
//
// A pool is a cloud's if no row of it says how much processor time it held: the
// ledger knows that of owned machines only.
package fit

import (
	"iter"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Pool is what is known of one pool.
type Pool struct {
	Cloud bool
	// Model has what could be found: Cold with the steps that are known, IdleFor,
	// and InitBilled if Billed or Unbilled is not zero.
	Model simulator.PoolModel

	Calls      int64 // executed
	ColdStarts int64 // with a recorded initialisation
	Started    int64 // of those, with a known wait
	Warm       int64 // environments that were used again after idling
	Gone       int64 // environments that were not there any more
	Against    int64 // of both, those that Model.IdleFor does not explain
	Billed     int64 // initialisations that were billed
	Unbilled   int64 // and that were not
}

// Pools reads all rows of an export, in the order of admission. Rows that were not
// executed, or in no pool, are left out. Memory is bounded by functions and the
// environments that they had at once. It ends with the first error.
func Pools(rows iter.Seq2[trace.UsageRow, error]) (map[string]*Pool, error) {
	seen := map[string]*observed{}
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		if r.Outcome != spillway.Executed || r.Pool == "" || r.Duration < 0 {
			continue
		}
		o := seen[r.Pool]
		if o == nil {
			o = &observed{environments: map[revision]*environments{}}
			o.Cloud = true
			seen[r.Pool] = o
		}
		o.take(&r)
	}
	pools := make(map[string]*Pool, len(seen))
	for name, o := range seen {
		pools[name] = o.fit()
	}
	return pools, nil
}

// observed is what the rows of one pool say.
type observed struct {
	Pool
	start, init  simulator.Histogram
	gaps         gaps
	environments map[revision]*environments
}

type revision struct{ namespace, function, revision string }

func (o *observed) take(r *trace.UsageRow) {
	o.Calls++
	o.Cloud = o.Cloud && r.MilliCPU == 0
	if r.Init > 0 {
		o.ColdStarts++
		o.init.Add(r.Init)
		if r.Waited > r.Init {
			o.Started++
			o.start.Add(r.Waited - r.Init)
		}
		o.billing(r)
	}
	if !o.Cloud {
		o.environments = nil
		return
	}
	key := revision{r.Namespace, r.Function, r.Revision}
	e := o.environments[key]
	if e == nil {
		e = &environments{}
		o.environments[key] = e
	}
	e.call(r, &o.gaps)
}

// coarse is more than any provider rounds bills up by.
const coarse = 100 * time.Millisecond

// billing compares what was billed with the execution alone.
func (o *observed) billing(r *trace.UsageRow) {
	billed := time.Duration(r.BilledMillis) * time.Millisecond
	switch {
	case billed <= 0 || r.Init <= coarse:
	case billed >= r.Duration+r.Init:
		o.Billed++
	default:
		o.Unbilled++
	}
}

func (o *observed) fit() *Pool {
	p := o.Pool
	if !p.Cloud {
		p.Billed, p.Unbilled = 0, 0
		if p.Started > 0 {
			p.Model.Cold = append(p.Model.Cold, step("start", true, &o.start))
		}
	} else {
		p.Started = 0
		p.Model.IdleFor, p.Warm, p.Gone, p.Against = o.gaps.threshold()
		p.Model.InitBilled = p.Billed > p.Unbilled
	}
	if p.ColdStarts > 0 {
		p.Model.Cold = append(p.Model.Cold, step("init", false, &o.init))
	}
	return &p
}

func step(name string, outside bool, h *simulator.Histogram) simulator.ColdStep {
	return simulator.ColdStep{Name: name, P50: h.Quantile(0.5), P99: h.Quantile(0.99), Outside: outside}
}
