package simulator

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// start runs an attempt: it decides how it will end, and when.
func (r *run) start(e *dispatcher.Effect) {
	x := e.Decision.Owner.(*flight)
	x.turn++
	var at spillway.Instant
	if cloud := r.clouds[e.Pool]; cloud != nil {
		at = r.runInCloud(x, e, cloud)
	} else {
		at = r.runOnPrem(x, e)
	}
	r.tally.start(e.Pool, x)
	x.on = e.Instance
	r.events.push(r.now, event{at: at, kind: callEnds, what: uint64(x.number), turn: x.turn, pool: uint8(e.Pool)})
}

// runOnPrem lasts as long as the execution, up to the function's timeout; a process
// that passes it is killed.
func (r *run) runOnPrem(x *flight, e *dispatcher.Effect) spillway.Instant {
	f := e.Function
	took, cause := x.duration, spillway.CauseNone
	if left := x.d.Deadline.Sub(r.now); took > min(f.Timeout, left) {
		took, cause = max(min(f.Timeout, left), 0), spillway.CauseTimeout
	}
	x.ending = executed(r.now, took, cause, f.Instance.MiB)
	x.gone = cause == spillway.CauseTimeout
	begun, cold := r.pools[e.Pool].use(e.Instance, x, e.Decision.Last().Cold)
	x.met = cold && !r.Warm
	x.ending.init, x.cold = begun.init.Microseconds(), begun.whole()
	return r.now.Add(took + r.Pools[e.Pool].Added)
}

func executed(at spillway.Instant, took time.Duration, cause spillway.Cause, mib int64) ending {
	return ending{class: spillway.Executed, cause: cause, began: at, micros: took.Microseconds(), mib: int32(min(mib, math.MaxInt32))}
}

// runInCloud is refused at once, or lasts as long as the start of an environment, the
// execution and the way there and back. A caller who cannot wait for it learns
// nothing of its end.
func (r *run) runInCloud(x *flight, e *dispatcher.Effect, cloud *fleet) spillway.Instant {
	m, f := &r.Pools[e.Pool], e.Function
	b := &f.Bindings[e.Pool]
	if away := r.pools[e.Pool].away(r.now.Sub(r.Start)); away != nil {
		x.ending = ending{class: spillway.NotExecuted, cause: spillway.CauseConnect}
		if away.Throttle {
			x.ending.cause = spillway.CauseThrottled
		}
		return r.now.Add(m.Added)
	}
	cold, ok := cloud.acquire(r.now, f.Index, b.MiB)
	if !ok {
		x.ending = ending{class: spillway.NotExecuted, cause: spillway.CauseThrottled}
		return r.now.Add(m.Added)
	}
	var begun start
	if x.met = cold; cold {
		begun = draw(r.random, m.Cold, x.init)
	}
	took, cause := x.duration, spillway.CauseNone
	if took > b.Timeout {
		took, cause = b.Timeout, spillway.CauseTimeout
	}
	x.ending = executed(r.now.Add(begun.whole()), took, cause, b.MiB)
	x.ending.init, x.cold = begun.init.Microseconds(), begun.whole()
	billed := took
	if m.InitBilled {
		billed += begun.init
	}
	x.ending.billed = b.Rate.BilledMillis(max(1, int64((billed+time.Millisecond-1)/time.Millisecond)))
	end := r.now.Add(begun.whole() + took)
	if whole := end.Add(m.Added); whole <= x.d.Deadline {
		x.environ = true
		return whole
	}
	r.events.push(r.now, event{at: end, kind: environmentFree, pool: uint8(e.Pool), what: uint64(f.Index)})
	x.ending = ending{class: spillway.Unknown, cause: spillway.CauseLost}
	x.open++
	return max(x.d.Deadline, r.now)
}

// endCall reports the end of an attempt, unless it lost its instance before.
func (r *run) endCall(e *event) error {
	x := r.flights.at(e.what)
	if x.turn != e.turn {
		return nil
	}
	pool := int(e.pool)
	r.tally.end(pool, x)
	var others []*flight
	if cloud := r.clouds[pool]; cloud == nil {
		others = r.pools[pool].rest(x.on, x, x.gone)
		if x.gone {
			r.tally.drop(pool, x.d.Last().Function)
		}
	} else if x.environ {
		x.environ = false
		f := x.d.Last().Function
		cloud.release(r.now, f.Index, f.Bindings[pool].MiB)
	}
	gone := x.gone
	x.gone = false
	if err := r.apply(r.engine.Complete(r.now, x.handle, dispatcher.Ending{Outcome: x.ending.outcome(), InstanceGone: gone})); err != nil {
		return err
	}
	for _, other := range others {
		if err := r.crash(pool, other); err != nil {
			return err
		}
	}
	return nil
}

// crash ends a call whose process was killed because of another.
func (r *run) crash(pool int, x *flight) error {
	r.tally.end(pool, x)
	x.turn++ // the end that it would have had is void
	x.gone = false
	x.ending.micros, x.ending.cause = r.now.Sub(x.ending.began).Microseconds(), spillway.CauseCrashed
	return r.apply(r.engine.Complete(r.now, x.handle, dispatcher.Ending{Outcome: x.ending.outcome(), InstanceGone: true}))
}

// startInstance begins a cold start on-prem.
func (r *run) startInstance(e *dispatcher.Effect) {
	var took start
	if !r.Warm {
		recorded := time.Duration(-1)
		if r.calling != nil && r.calling.d.Call.Function == e.Function {
			recorded = r.calling.init
		}
		took = draw(r.random, r.Pools[e.Pool].Cold, recorded)
	}
	r.pools[e.Pool].begin(e.Instance, e.Function)
	if !r.Warm {
		r.pools[e.Pool].inits[e.Instance] = took
	}
	r.tally.launch(e.Pool, e.Function, took.whole())
	r.events.push(r.now, event{at: r.now.Add(took.whole()), kind: instanceReady, pool: uint8(e.Pool), what: uint64(e.Instance)})
}

// start is what a cold start takes: before the function initialises, and that.
type start struct{ outside, init time.Duration }

func (s start) whole() time.Duration { return s.outside + s.init }

// draw returns the time of all steps of a cold start. A recorded one that took any
// time is as it was; of a call that met none, it is not known what it would have been.
func draw(random *rand.Rand, steps []ColdStep, recorded time.Duration) (all start) {
	for i := range steps {
		s := &steps[i]
		switch {
		case s.Outside:
			all.outside += s.draw(random)
		case recorded <= 0:
			all.init += s.draw(random)
		}
	}
	all.init += max(recorded, 0)
	return all
}

func (s *ColdStep) draw(random *rand.Rand) time.Duration {
	if s.P99 <= s.P50 || s.P50 <= 0 {
		return s.P50
	}
	const z99 = 2.3263478740408408 // of the normal distribution
	sigma := math.Log(float64(s.P99)/float64(s.P50)) / z99
	return time.Duration(float64(s.P50) * math.Exp(sigma*random.NormFloat64()))
}
