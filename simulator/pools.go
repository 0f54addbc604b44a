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
	r.events.push(event{at: at, kind: callEnds, flight: x, turn: x.turn, pool: uint8(e.Pool), instance: e.Instance})
}

// runOnPrem lasts as long as the execution, up to the function's timeout; a process
// that passes it is killed.
func (r *run) runOnPrem(x *flight, e *dispatcher.Effect) spillway.Instant {
	f := e.Function
	took, cause := x.duration, spillway.CauseNone
	if left := x.d.Deadline.Sub(r.now); took > min(f.Timeout, left) {
		took, cause = max(min(f.Timeout, left), 0), spillway.CauseTimeout
	}
	x.outcome = executed(r.now, took, cause, f.Instance.MiB)
	x.gone = cause == spillway.CauseTimeout
	x.outcome.Usage.InitMicros = r.pools[e.Pool].use(e.Instance, x, e.Decision.Last().Cold).Microseconds()
	return r.now.Add(took + r.Pools[e.Pool].Added)
}

func executed(at spillway.Instant, took time.Duration, cause spillway.Cause, mib int64) spillway.Outcome {
	o := spillway.Outcome{Class: spillway.Executed, Cause: cause, Usage: spillway.Usage{Started: at, DurationMicros: took.Microseconds(), MemoryMiB: mib}}
	if cause != spillway.CauseNone {
		o.FunctionError = spillway.FunctionUnhandled
	}
	return o
}

// runInCloud is refused at once, or lasts as long as the start of an environment, the
// execution and the way there and back. A caller who cannot wait for it learns
// nothing of its end.
func (r *run) runInCloud(x *flight, e *dispatcher.Effect, cloud *fleet) spillway.Instant {
	m, f := &r.Pools[e.Pool], e.Function
	b := &f.Bindings[e.Pool]
	if away := r.pools[e.Pool].away(r.now.Sub(r.Start)); away != nil {
		x.outcome = spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseConnect}
		if away.Throttle {
			x.outcome.Cause = spillway.CauseThrottled
		}
		return r.now.Add(m.Added)
	}
	cold, ok := cloud.acquire(r.now, f.Index, b.MiB)
	if !ok {
		x.outcome = spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseThrottled}
		return r.now.Add(m.Added)
	}
	var init time.Duration
	if cold {
		if init = x.init; init < 0 {
			init = draw(r.random, m.Cold)
		}
	}
	took, cause := x.duration, spillway.CauseNone
	if took > b.Timeout {
		took, cause = b.Timeout, spillway.CauseTimeout
	}
	x.outcome = executed(r.now.Add(init), took, cause, b.MiB)
	u := &x.outcome.Usage
	u.InitMicros = init.Microseconds()
	billed := took
	if m.InitBilled {
		billed += init
	}
	u.BilledMillis = b.Rate.BilledMillis(max(1, int64((billed+time.Millisecond-1)/time.Millisecond)))
	end := r.now.Add(init + took)
	x.environ = true
	if whole := end.Add(m.Added); whole <= x.d.Deadline {
		return whole
	}
	x.outcome = spillway.Outcome{Class: spillway.Unknown, Cause: spillway.CauseLost}
	x.open++
	return max(x.d.Deadline, r.now)
}

// endCall reports the end of an attempt, unless it lost its instance before.
func (r *run) endCall(e *event) []dispatcher.Effect {
	x := e.flight
	if x.turn != e.turn {
		return nil
	}
	pool := int(e.pool)
	r.tally.end(pool, x)
	if cloud := r.clouds[pool]; cloud == nil {
		r.pools[pool].rest(e.instance, x.gone)
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
	return r.engine.Complete(r.now, x.handle, dispatcher.Ending{Outcome: x.outcome, InstanceGone: gone})
}

// startInstance begins a cold start on-prem. If the call that asked for it carries a
// recorded one, it takes as long.
func (r *run) startInstance(e *dispatcher.Effect) {
	var took time.Duration
	switch {
	case r.Warm:
	case r.calling != nil && r.calling.init >= 0 && r.calling.d.Call.Function == e.Function:
		took = r.calling.init
	default:
		took = draw(r.random, r.Pools[e.Pool].Cold)
	}
	r.pools[e.Pool].begin(e.Instance, e.Function, took)
	r.tally.launch(e.Pool, e.Function, took)
	r.events.push(event{at: r.now.Add(took), kind: instanceReady, pool: uint8(e.Pool), instance: e.Instance})
}

// draw returns the time of all steps of a cold start.
func draw(random *rand.Rand, steps []ColdStep) time.Duration {
	var sum time.Duration
	for i := range steps {
		s := &steps[i]
		if s.P99 <= s.P50 || s.P50 <= 0 {
			sum += s.P50
			continue
		}
		const z99 = 2.3263478740408408 // of the normal distribution
		sigma := math.Log(float64(s.P99)/float64(s.P50)) / z99
		sum += time.Duration(float64(s.P50) * math.Exp(sigma*random.NormFloat64()))
	}
	return sum
}
