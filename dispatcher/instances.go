package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/placement"
)

type instanceState uint8

const (
	starting instanceState = iota
	idle
	busy
	stopping
)

// instance is one process (or pod) of a function. Idle instances are linked
// twice: in their pool by how long they have been idle, and in their function so
// that the most recently used is taken first.
type instance struct {
	id      spillway.InstanceID
	of      *functionState
	since   spillway.Instant // idle since
	calls   int32            // that it runs now
	state   instanceState
	dying   bool // it is gone, and not all its calls have ended
	exited  bool // it ended by itself while an attempt was on its way to it
	hasRoom bool // it is in its function's list of busy ones with room
	placed  bool // it is starting and has its place

	older, newer *instance // in the pool's idle list
	below, above *instance // in the function's idle stack

	before, after *instance // in the function's list of busy ones with room
}

// onPremState is a pool of instances. Capacity is held by instances, busy or
// idle; an idle one of another function is stopped when its room is needed.
type onPremState struct {
	pool *spillway.Pool
	// capacity is the configured one, and no more than was found to be there.
	capacity, found spillway.Resources
	measured        bool    // found is: the pool looks for places while it runs
	unfit           []unfit // what found none
	live            map[spillway.InstanceID]*instance
	free            *instance // recycled records, linked by below

	// promised is what instances will hold once those being stopped are gone and
	// those that wait for their room are started; used is what they hold now.
	used, promised spillway.Resources
	evictable      spillway.Resources // held by idle instances beyond minWarm

	oldest, newest *instance // idle list
	idleSlots      int64     // held by idle instances
	pending        []*functionState
	functions      []*functionState     // by function index
	warm           []*spillway.Function // of which instances are kept
	warmAt         spillway.Instant     // when keepWarm has work, or Never
	cold           bool                 // minWarm of some function did not fit
	jobs           int                  // that hold room, besides instances
	jobsHold       spillway.Resources
	checks         checks // of functions with a keeper
}

// functionState is one function on one on-prem pool.
type functionState struct {
	fn         *spillway.Function
	minWarm    int
	retired    bool      // its function changed or is gone: nothing new comes here
	idle       *instance // top of the stack
	bottom     *instance // of the stack: idle for longest
	room       *instance // busy ones that take more calls, the latest to have room first
	idleCount  int
	calls      int        // that run on its instances or wait for one
	queued     int        // calls that wait for room, of a pool that scales
	total      int        // instances, and starts that wait for room
	coming     int        // starting, and starts that wait for room
	placed     int        // of them, those that have their place
	activating handleFIFO // calls that wait for an instance of this function
	keeping
}

func newOnPremState(p *spillway.Pool, functions []*spillway.Function) *onPremState {
	s := &onPremState{pool: p, capacity: p.Capacity, found: unbounded, live: map[spillway.InstanceID]*instance{}, warmAt: 0}
	if p.Kind == spillway.PoolOffline {
		s.capacity, s.found = spillway.Resources{}, spillway.Resources{} // until it is measured
	}
	states := make([]functionState, len(functions))
	for i, f := range functions {
		states[i] = functionState{fn: f, minWarm: f.MinWarm}
		s.functions = append(s.functions, &states[i])
	}
	s.listWarm(functions)
	return s
}

// listWarm finds the functions of which the pool keeps instances.
func (s *onPremState) listWarm(functions []*spillway.Function) {
	s.warm = s.warm[:0]
	for _, f := range functions {
		if s.minWarm(f) > 0 {
			s.warm = append(s.warm, f)
		}
	}
}

// fits reports whether one more call of f has a place: on an instance, on one
// already coming, or room for a new one.
func (s *onPremState) fits(now spillway.Instant, f *spillway.Function, fit *placement.Fit) bool {
	fs := s.functions[f.Index]
	if fs.idle != nil || fs.room != nil || fs.places() > fs.activating.len() {
		return true
	}
	// Room that idle instances of others hold counts as free.
	firm := s.promised.Sub(s.evictable)
	if dim := s.capacity.Exceeds(firm, f.Instance); dim != spillway.DimNone {
		*fit = placement.Fit{Filter: placement.FilterCapacity, Limit: spillway.Limit{
			Kind: spillway.LimitCapacity, Name: s.pool.Name, Dim: dim,
			Used: firm.Of(dim), Need: f.Instance.Of(dim), Max: s.capacity.Of(dim)}}
		return false
	}
	if now < s.fitsAt(now, f) {
		*fit = s.placeless()
		return false
	}
	return true
}

// placeless says that a pool has found no place for an instance.
func (s *onPremState) placeless() placement.Fit {
	return placement.Fit{Filter: placement.FilterCapacity, Limit: spillway.Limit{Kind: spillway.LimitPlace, Name: s.pool.Name}}
}

// places is how many calls the instances that are coming will take.
func (fs *functionState) places() int { return fs.coming * fs.fn.Concurrency }

// take returns an instance of f for one more call: a busy one with room, so that
// others may rest, or the most recently used idle one; else nil.
func (s *onPremState) take(now spillway.Instant, f *spillway.Function) *instance {
	fs := s.functions[f.Index]
	if fs.room != nil {
		return fs.room
	}
	in := fs.idle
	if in != nil {
		s.unidle(in)
		in.state = busy
		s.taken(fs, now, in.since, true)
	}
	return in
}

// offer puts a busy instance into the list of those with room, or takes it out.
func (in *instance) offer() {
	fs := in.of
	want := in.calls > 0 && int(in.calls) < in.of.fn.Concurrency && !in.exited && !in.dying
	switch {
	case want && !in.hasRoom:
		in.before, in.after = nil, fs.room
		if fs.room != nil {
			fs.room.before = in
		}
		fs.room = in
	case !want && in.hasRoom:
		if in.before != nil {
			in.before.after = in.after
		} else {
			fs.room = in.after
		}
		if in.after != nil {
			in.after.before = in.before
		}
		in.before, in.after = nil, nil
	}
	in.hasRoom = want
}

// rest makes an instance idle.
func (s *onPremState) rest(in *instance, now spillway.Instant) {
	in.state, in.since = idle, now
	s.idleSlots += in.of.fn.Instance.Slots
	in.older, in.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = in
	} else {
		s.oldest = in
	}
	s.newest = in
	fs := in.of
	in.below, in.above = fs.idle, nil
	if fs.idle != nil {
		fs.idle.above = in
	} else {
		fs.bottom = in
	}
	fs.idle = in
	fs.idleCount++
	s.recount(fs, fs.idleCount-1, fs.total)
}

// unidle takes an instance off both idle lists.
func (s *onPremState) unidle(in *instance) {
	s.idleSlots -= in.of.fn.Instance.Slots
	if in.older != nil {
		in.older.newer = in.newer
	} else {
		s.oldest = in.newer
	}
	if in.newer != nil {
		in.newer.older = in.older
	} else {
		s.newest = in.older
	}
	fs := in.of
	if in.above != nil {
		in.above.below = in.below
	} else {
		fs.idle = in.below
	}
	if in.below != nil {
		in.below.above = in.above
	} else {
		fs.bottom = in.above
	}
	in.older, in.newer, in.below, in.above = nil, nil, nil, nil
	fs.idleCount--
	s.recount(fs, fs.idleCount+1, fs.total)
}

// recount moves evictable after idleCount or total of fs changed.
func (s *onPremState) recount(fs *functionState, idleBefore, totalBefore int) {
	s.count(fs, spare(fs.idleCount, fs.total, fs.minWarm)-spare(idleBefore, totalBefore, fs.minWarm))
}

// count adds what more instances of fs hold to evictable.
func (s *onPremState) count(fs *functionState, more int) {
	n, r := int64(more), fs.fn.Instance
	s.evictable = s.evictable.Add(spillway.Resources{Slots: n * r.Slots, MilliCPU: n * r.MilliCPU, MiB: n * r.MiB})
}

// spare is how many idle instances may be stopped without going below minWarm.
func spare(idle, total, minWarm int) int { return max(0, min(idle, total-minWarm)) }

func (s *onPremState) setTotal(fs *functionState, delta int) {
	fs.total += delta
	s.recount(fs, fs.idleCount, fs.total-delta)
}

// setMinWarm changes how many instances of fs are kept.
func (s *onPremState) setMinWarm(fs *functionState, n int) {
	before := spare(fs.idleCount, fs.total, fs.minWarm)
	fs.minWarm = n
	s.count(fs, spare(fs.idleCount, fs.total, n)-before)
}

// victim returns the longest idle instance that may be stopped, or nil.
func (s *onPremState) victim() *instance {
	for in := s.oldest; in != nil; in = in.newer {
		if spare(in.of.idleCount, in.of.total, in.of.minWarm) > 0 {
			return in
		}
	}
	return nil
}

// launch asks for a new instance of f, stopping idle ones as needed. The room
// was probed before.
func (e *Engine) launch(now spillway.Instant, s *onPremState, f *spillway.Function) {
	for s.capacity.Exceeds(s.promised, f.Instance) != spillway.DimNone {
		in := s.victim()
		if in == nil {
			break
		}
		s.lost(in.of, now, in.since)
		e.evict(s, in)
	}
	fs := s.functions[f.Index]
	s.promised = s.promised.Add(f.Instance)
	s.setTotal(fs, +1)
	fs.coming++
	s.pending = append(s.pending, fs)
	e.startPending(s)
}

// evict stops an idle instance. Its room is used until it is gone.
func (e *Engine) evict(s *onPremState, in *instance) {
	s.unidle(in)
	s.setTotal(in.of, -1)
	s.promised = s.promised.Sub(in.of.fn.Instance)
	e.stop(s, in)
}

func (e *Engine) stop(s *onPremState, in *instance) {
	in.state = stopping
	e.emit(Effect{Kind: StopInstance, Pool: s.pool.Index, Instance: in.id, Function: in.of.fn})
}

// startPending starts the instances whose room has become free, in order.
func (e *Engine) startPending(s *onPremState) {
	for len(s.pending) > 0 {
		fs := s.pending[0]
		if s.capacity.Exceeds(s.used, fs.fn.Instance) != spillway.DimNone {
			return
		}
		s.pending = s.pending[:copy(s.pending, s.pending[1:])]
		s.used = s.used.Add(fs.fn.Instance)
		in := s.newInstance(e.nextInstance(), fs)
		e.emit(Effect{Kind: StartInstance, Pool: s.pool.Index, Instance: in.id, Function: fs.fn})
	}
}

func (s *onPremState) newInstance(id spillway.InstanceID, fs *functionState) *instance {
	in := s.free
	if in == nil {
		in = new(instance)
	} else {
		s.free = in.below
	}
	*in = instance{id: id, of: fs, state: starting}
	s.live[id] = in
	return in
}

// gone forgets an instance that is reaped. Its total was given up by the caller.
func (s *onPremState) gone(in *instance) {
	s.used = s.used.Sub(in.of.fn.Instance)
	s.eased()
	delete(s.live, in.id)
	*in = instance{below: s.free}
	s.free = in
}

// keptFor is how often an idle instance that is kept warm is looked at, at most.
const keptFor = time.Second

// warmRetry is how long a pool waits after a failed start before it tries again
// to reach minWarm.
const warmRetry = 5 * time.Second

// keepWarm launches what is missing of every function's minWarm, where it fits.
func (e *Engine) keepWarm(now spillway.Instant, s *onPremState) {
	s.warmAt, s.cold = spillway.Never, false
	if e.ending {
		return
	}
	for _, f := range s.warm {
		at := s.fitsAt(now, f)
		for now == at && s.functions[f.Index].total < f.MinWarm && s.capacity.Exceeds(s.promised, f.Instance) == spillway.DimNone {
			e.launch(now, s, f)
		}
		if s.functions[f.Index].total < f.MinWarm {
			s.cold = true
			if now < at {
				s.warmAt = min(s.warmAt, at)
			}
		}
	}
}

// expire stops idle instances whose keep-alive has ended. The idle list is in
// order, so the first that has time left ends the search.
func (e *Engine) expire(s *onPremState, now spillway.Instant) {
	for in := s.oldest; in != nil && in.since.Add(s.pool.KeepAlive) <= now && in.since < now; {
		next := in.newer
		if spare(in.of.idleCount, in.of.total, in.of.minWarm) > 0 {
			e.evict(s, in)
		} else {
			s.unidle(in) // kept warm: as if just used, so that it does not hold up the list
			s.rest(in, now.Add(max(0, keptFor-s.pool.KeepAlive)))
		}
		in = next
	}
}

// nextExpiry is when idle instances have to be looked at, or Never.
func (s *onPremState) nextExpiry() spillway.Instant {
	if s.keeps() {
		return s.nextCheck()
	}
	if s.oldest == nil {
		return spillway.Never
	}
	return s.oldest.since.Add(s.pool.KeepAlive)
}
