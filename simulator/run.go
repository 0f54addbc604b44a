package simulator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// caller is the identity of all calls of a trace.
const caller = "trace"

// run is the state of one simulation.
type run struct {
	Config
	ctx      context.Context
	engine   *dispatcher.Engine
	now      spillway.Instant
	events   events
	flights  flights
	random   *rand.Rand
	clouds   []*fleet      // by pool index; nil on-prem
	pools    []poolState   // by pool index
	seen     []verdictOf   // by function of the platform
	batch    []trace.Call  // read and not all admitted
	at       int           // the next of batch
	ended    bool          // no more batches
	last     time.Duration // of the latest arrival
	calling  *flight       // being admitted
	tally    tally
	calls    int64
	changed  []int            // by pool index: how many of its capacity steps are past
	answered spillway.Instant // the latest call
	changeAt spillway.Instant // of the next one
	fetching fetching
}

// verdictOf is the verdict of a function's calls in one minute. It is what the policy
// would say again: its input has nothing smaller than a minute.
type verdictOf struct {
	minute    int64
	verdict   *policy.Verdict
	residency string
}

// batchSize is how many calls are read at once.
const batchSize = 4096

// Run replays a trace. It ends when every call of it has been answered, or with the
// error of ctx, of the trace or of the policy.
func Run(ctx context.Context, c Config) (*Result, error) {
	r, err := newRun(ctx, c)
	if err != nil {
		return nil, err
	}
	for {
		more, err := r.step()
		if err != nil {
			return nil, err
		}
		if !more {
			return r.result()
		}
	}
}

func newRun(ctx context.Context, c Config) (*run, error) {
	if len(c.Pools) != len(c.Platform.Pools) {
		return nil, fmt.Errorf("simulate: %d pool models for %d pools", len(c.Pools), len(c.Platform.Pools))
	}
	c.Step = max(c.Step, time.Second)
	r := &run{
		Config: c, ctx: ctx, engine: dispatcher.New(c.Platform), now: c.Start, answered: c.Start,
		random:  rand.New(rand.NewPCG(c.Seed, 0x5b111a)), // the second half only tells streams apart
		changed: make([]int, len(c.Pools)),
		seen:    make([]verdictOf, len(c.Platform.Functions)),
		batch:   make([]trace.Call, 0, batchSize),

		fetching: fetching{manyCalls: manyCalls, manyFunctions: manyFunctions},
	}
	for i, p := range c.Platform.Pools {
		var f *fleet
		if p.Kind.Cloud() {
			f = newFleet(len(c.Platform.Functions), &c.Pools[i])
		}
		r.clouds = append(r.clouds, f)
		r.pools = append(r.pools, newPoolState(p, &c.Pools[i]))
	}
	for i, f := range c.Platform.Functions {
		r.seen[i] = verdictOf{minute: math.MinInt64, residency: strings.Join(f.Residency, ",")}
	}
	r.changeAt = r.nextChange()
	r.tally = newTally(&r.Config)
	return r, nil
}

// step takes the next event. It reports false when there is none that matters.
func (r *run) step() (bool, error) {
	for r.at == len(r.batch) && !r.ended {
		if err := r.read(); err != nil {
			return false, err
		}
	}
	arrival := spillway.Never
	if r.at < len(r.batch) {
		arrival = r.Start.Add(r.batch[r.at].At)
	}
	happens, due, change := r.events.next(), max(r.engine.Next(), r.now), r.changeAt
	switch {
	case arrival == spillway.Never && happens == spillway.Never && !r.busy():
		return false, nil
	case happens != spillway.Never && happens <= due && happens <= change && happens <= arrival:
		r.advance(happens)
		if len(r.events.near) == 0 {
			r.fetchEnds(r.events.fill())
		}
		return true, r.happen(r.events.pop())
	case due <= change && due <= arrival:
		r.advance(due)
		if err := r.apply(r.engine.Tick(r.now)); err != nil {
			return false, err
		}
		if r.engine.Next() <= r.now && r.events.empty() && arrival == spillway.Never {
			return false, errors.New("simulate: the Engine has work to do that never ends; please report this with the trace")
		}
	case change <= arrival:
		r.advance(change)
		if err := r.change(); err != nil {
			return false, err
		}
	default:
		r.advance(arrival)
		if r.at >= r.fetching.until {
			r.fetchArrivals()
		}
		call := &r.batch[r.at]
		r.at++
		return true, r.admit(call)
	}
	return true, nil
}

// busy reports calls without an answer, or attempts whose cost is still open.
func (r *run) busy() bool {
	calls, unknown := r.engine.InFlight()
	return calls > 0 || unknown > 0
}

// read takes the next batch of the trace and reports progress.
func (r *run) read() error {
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	n, err := r.Calls.Next(r.batch[:batchSize])
	r.batch, r.at, r.fetching.until = r.batch[:n], 0, 0
	if errors.Is(err, io.EOF) {
		r.ended, err = true, nil
	}
	if err != nil {
		return fmt.Errorf("simulate: %w", err)
	}
	for i := range r.batch {
		if c := &r.batch[i]; c.At < r.last {
			return fmt.Errorf("simulate: a call at %s comes after one at %s", c.At, r.last)
		} else if int(c.Function) >= len(r.Functions) || c.Function < 0 || c.Duration < 0 {
			return fmt.Errorf("simulate: the call at %s is of function %d and lasts %s", c.At, c.Function, c.Duration)
		} else {
			r.last = c.At
		}
	}
	if r.Progress != nil {
		r.Progress(r.last, r.calls)
	}
	return nil
}

func (r *run) advance(to spillway.Instant) {
	r.tally.advance(r.now, to)
	r.now = to
}

// admit offers one call of the trace to the Engine.
func (r *run) admit(call *trace.Call) error {
	r.calls++
	index := r.Functions[call.Function]
	if index < 0 {
		r.tally.skip(int(call.Function))
		return nil
	}
	x := r.flights.take()
	x.duration, x.init, x.function = call.Duration, call.Init, int32(index)
	x.d.Owner = x
	f := r.Platform.Functions[index]
	verdict, err := r.verdict(f)
	if err != nil {
		return err
	}
	r.tally.arrive(r.now)
	r.calling = x
	var effects []dispatcher.Effect
	x.handle, effects = r.engine.Admit(r.now, spillway.Call{Function: f, Caller: caller}, verdict, &x.d)
	err = r.apply(effects)
	r.calling = nil
	return err
}

func (r *run) verdict(f *spillway.Function) (*policy.Verdict, error) {
	v := &r.seen[f.Index]
	minute := int64(r.now) / int64(time.Minute)
	if v.minute != minute {
		in := policy.InputOf(r.Platform, f, caller, 0, r.now, v.residency)
		v.minute, v.verdict = minute, r.Policy.Evaluate(r.ctx, r.now, in)
		if v.verdict.Failed != "" {
			if err := context.Cause(r.ctx); err != nil {
				return nil, err
			}
		}
	}
	return v.verdict, nil
}

// happen tells the Engine what a pool did.
func (r *run) happen(e event) error {
	var effects []dispatcher.Effect
	switch e.kind {
	case callEnds:
		return r.endCall(&e)
	case instanceReady:
		if !r.pools[e.pool].ready(spillway.InstanceID(e.what)) {
			return nil
		}
		effects = r.engine.Observe(r.now, dispatcher.Observation{Kind: dispatcher.InstanceReady, Pool: int(e.pool), Instance: spillway.InstanceID(e.what)})
	case environmentFree:
		r.clouds[e.pool].release(r.now, int(e.what), r.Platform.Functions[e.what].Bindings[e.pool].MiB)
	case instanceStopped:
		effects = r.engine.Observe(r.now, dispatcher.Observation{Kind: dispatcher.InstanceStopped, Pool: int(e.pool), Instance: spillway.InstanceID(e.what)})
	}
	return r.apply(effects)
}

// apply carries out what the Engine decided.
func (r *run) apply(effects []dispatcher.Effect) error {
	for i := range effects {
		e := &effects[i]
		switch e.Kind {
		case dispatcher.Start:
			r.start(e)
		case dispatcher.StartInstance:
			r.startInstance(e)
		case dispatcher.StopInstance:
			r.pools[e.Pool].forget(e.Instance)
			r.tally.drop(e.Pool, e.Function)
			stopped := r.now.Add(r.Pools[e.Pool].Stop.draw(r.random))
			r.events.push(r.now, event{at: stopped, kind: instanceStopped, pool: uint8(e.Pool), what: uint64(e.Instance)})
		case dispatcher.Post:
			if err := r.post(e); err != nil {
				return err
			}
		case dispatcher.Reply:
			r.reply(e)
		}
	}
	return nil
}

// post books an ended attempt.
func (r *run) post(e *dispatcher.Effect) error {
	x := e.Decision.Owner.(*flight)
	if err := r.tally.post(r.now, e, x); err != nil {
		return fmt.Errorf("simulate: function %s: %w", e.Decision.Call.Function, err)
	}
	if e.Line == billing.KindEstimate {
		if x.open--; x.open == 0 && x.ended {
			r.flights.put(x)
		}
	}
	return nil
}

// reply counts the answer of a call and gives its memory back.
func (r *run) reply(e *dispatcher.Effect) {
	x := e.Decision.Owner.(*flight)
	r.tally.reply(r.now, &x.d)
	r.answered = r.now
	if x.ended = true; x.open == 0 {
		r.flights.put(x)
	}
}
