package simulator

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
)

// tally sums what happens. Every call of the trace is counted once: skipped, or
// answered with a reason.
type tally struct {
	c         *Config
	cells     []cell  // by function and pool
	skipped   []int64 // by function of the trace
	functions []answers
	waits     []Histogram // by namespace, of placed calls
	all       Histogram   // waits of placed calls
	latency   Histogram   // of placed calls, admission to answer
	cold      Histogram   // cold starts that a call met
	pools     []poolTally
	running   [spillway.ClassCount]spillway.Resources
	admitted  int64 // and not answered
	series    []Point
}

// cell is what one function did on one pool.
type cell struct {
	executed, cold, timedOut  int64
	throttled, lost, reclaims int64 // attempts: refused by the provider, without an answer, whose instance was taken away
	estimates                 spillway.Nano
	billedMillis              int64
	durationMicros            int64
	initMicros                int64
}

// answers are how the calls of one function ended.
type answers struct {
	calls  int64
	byWhat [maxReasons]int64 // why placed where they were, or why refused
}

const maxReasons = 32

// poolTally is what a pool holds now and held in all.
type poolTally struct {
	class      spillway.Class
	held       spillway.Resources // by instances, starting ones too
	busy       spillway.Resources
	peak       spillway.Resources // of busy
	heldMiBus  uint128            // MiB times microseconds
	busyMiBus  uint128
	starts     int64
	startNanos time.Duration
	lostMicros int64 // execution time of calls whose instance was taken away
}

// Point is the mean of one step of time.
type Point struct {
	Arrivals, Refused, Cold int64
	// Microseconds times what was in use; divided by Step it is the mean.
	Use     [spillway.ClassCount]spillway.Resources
	Waiting int64 // calls times microseconds
	Settled spillway.Nano
}

func newTally(c *Config) tally {
	p := c.Platform
	t := tally{
		c: c, cells: make([]cell, len(p.Functions)*len(p.Pools)), skipped: make([]int64, len(c.Functions)),
		functions: make([]answers, len(p.Functions)), waits: make([]Histogram, len(p.Namespaces)), pools: make([]poolTally, len(p.Pools)),
		series: make([]Point, 0, int(c.Length/c.Step)+2),
	}
	for i, pool := range p.Pools {
		t.pools[i].class = pool.Class()
	}
	return t
}

func (t *tally) cell(function, pool int) *cell {
	return &t.cells[function*len(t.c.Pools)+pool]
}

// micros cuts an instant, so that times of intervals add up to the whole.
func (t *tally) micros(at spillway.Instant) int64 { return int64(at-t.c.Start) / 1000 }

// advance adds what is in use for the time between two events.
func (t *tally) advance(from, to spillway.Instant) {
	a, b := t.micros(from), t.micros(to)
	if a == b {
		return
	}
	for i := range t.pools {
		if p := &t.pools[i]; p.held.Slots > 0 || p.busy.Slots > 0 {
			p.heldMiBus.add(uint64(p.held.MiB), uint64(b-a))
			p.busyMiBus.add(uint64(p.busy.MiB), uint64(b-a))
		}
	}
	step := t.c.Step.Microseconds()
	for a < b {
		end := min((a/step+1)*step, b)
		t.point(a/step).use(t, end-a)
		a = end
	}
}

func (t *tally) point(i int64) *Point {
	for int64(len(t.series)) <= i {
		t.series = append(t.series, Point{})
	}
	return &t.series[i]
}

func (p *Point) use(t *tally, micros int64) {
	for class, r := range t.running {
		u := &p.Use[class]
		u.Slots += r.Slots * micros
		u.MilliCPU += r.MilliCPU * micros
		u.MiB += r.MiB * micros
	}
	p.Waiting += (t.admitted - t.running[0].Slots - t.running[1].Slots) * micros
}

func (t *tally) skip(function int) { t.skipped[function]++ }

func (t *tally) arrive(now spillway.Instant) {
	t.admitted++
	t.at(now).Arrivals++
}

func (t *tally) at(now spillway.Instant) *Point {
	return t.point(t.micros(now) / t.c.Step.Microseconds())
}

// held is what an attempt on a pool holds: of a cloud its memory there.
func (t *tally) held(pool int, x *flight) (spillway.Resources, *poolTally) {
	f, p := x.d.Last().Function, &t.pools[pool]
	if p.class == spillway.ClassCloud {
		return spillway.Resources{Slots: 1, MiB: f.Bindings[pool].MiB, MilliCPU: f.Resources.MilliCPU}, p
	}
	return f.Resources, p
}

func (t *tally) start(pool int, x *flight) {
	r, p := t.held(pool, x)
	p.busy = p.busy.Add(r)
	p.peak.Slots, p.peak.MilliCPU, p.peak.MiB = max(p.peak.Slots, p.busy.Slots), max(p.peak.MilliCPU, p.busy.MilliCPU), max(p.peak.MiB, p.busy.MiB)
	t.running[p.class] = t.running[p.class].Add(r)
}

func (t *tally) end(pool int, x *flight) {
	r, p := t.held(pool, x)
	p.busy = p.busy.Sub(r)
	t.running[p.class] = t.running[p.class].Sub(r)
}

// launch counts the start of an instance, and drop its end.
func (t *tally) launch(pool int, f *spillway.Function, took time.Duration) {
	p := &t.pools[pool]
	p.held = p.held.Add(f.Instance)
	p.starts++
	p.startNanos += took
}

func (t *tally) drop(pool int, f *spillway.Function) {
	t.pools[pool].held = t.pools[pool].held.Sub(f.Instance)
}

// reclaim ends a call whose instance is taken away.
func (t *tally) reclaim(pool int, x *flight, now spillway.Instant) {
	t.end(pool, x)
	t.cell(int(x.function), pool).reclaims++
	t.pools[pool].lostMicros += now.Sub(x.ending.began).Microseconds()
}

// post counts the line of an attempt.
func (t *tally) post(now spillway.Instant, e *dispatcher.Effect, x *flight) error {
	c := t.cell(int(x.function), e.Pool)
	a := &e.Decision.Attempts[e.Attempt-1]
	o := &a.Outcome
	switch e.Line {
	case billing.KindVoid:
		if o.Cause == spillway.CauseThrottled || o.Cause == spillway.CauseConnect {
			c.throttled++
		}
		return nil
	case billing.KindEstimate:
		c.lost++
		var err error
		if c.estimates, err = spillway.AddNano(c.estimates, e.Settled); err != nil {
			return err
		}
	case billing.KindCharge:
		pool := t.c.Platform.Pools[e.Pool]
		rate := pool.Rate
		if pool.Kind.Cloud() {
			rate = a.Function.Bindings[e.Pool].Rate
		}
		c.executed++
		c.billedMillis += billing.Meter(o.Usage, rate, pool.Kind)
		c.durationMicros += o.Usage.DurationMicros
		if o.Cause == spillway.CauseTimeout {
			c.timedOut++
		}
		if x.met {
			c.cold++
			c.initMicros += o.Usage.InitMicros
			t.cold.Add(x.cold)
			t.at(now).Cold++
		}
	}
	if c.billedMillis < 0 || c.durationMicros < 0 {
		return spillway.ErrOverflow
	}
	p := t.at(now)
	var err error
	p.Settled, err = spillway.AddNano(p.Settled, e.Settled)
	return err
}

// reply counts an answer.
func (t *tally) reply(now spillway.Instant, d *dispatcher.Decision) {
	t.admitted--
	f := &t.functions[d.Call.Function.Index]
	f.calls++
	why := d.Refusal
	if why == spillway.ReasonNone && d.Class() == spillway.NotExecuted { // no instance came up, wherever it was tried
		why = spillway.ReasonUnavailable
	}
	if why != spillway.ReasonNone {
		f.byWhat[why]++
		t.at(now).Refused++
		return
	}
	f.byWhat[d.Reason]++
	waited := d.Waited
	if last := d.Last(); last != nil && t.pools[last.Pool].class == spillway.ClassCloud {
		waited += d.Owner.(*flight).cold // which Waited has of owned pools alone
	}
	t.all.Add(waited)
	t.waits[d.Call.Function.Namespace].Add(waited)
	t.latency.Add(d.Answered.Sub(d.Admitted))
}
