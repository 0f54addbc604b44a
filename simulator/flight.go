package simulator

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// flight is one call on its way, and the memory of its Decision.
type flight struct {
	number   uint32 // in flights
	turn     uint32 // grows with every start, over all lives
	handle   dispatcher.Handle
	on       spillway.InstanceID // of the running attempt, on-prem
	duration time.Duration       // of the execution
	init     time.Duration       // recorded cold start, or negative
	function int32               // of the platform

	ending  ending        // of the running attempt
	cold    time.Duration // that the running attempt met
	open    int8          // attempts whose estimate is still to come
	ended   bool
	gone    bool // its instance ends with the running attempt
	environ bool // it holds an environment of a cloud
	met     bool // the running attempt met a cold start

	d dispatcher.Decision
}

// ending is how an attempt will end: an Outcome in a few words of memory, since there
// are as many as calls at once.
type ending struct {
	began  spillway.Instant
	micros int64 // of the execution
	init   int64 // microseconds
	billed int64 // milliseconds, of clouds
	mib    int32
	class  spillway.OutcomeClass
	cause  spillway.Cause
}

func (e *ending) outcome() spillway.Outcome {
	o := spillway.Outcome{Class: e.class, Cause: e.cause}
	if e.class != spillway.Executed {
		return o
	}
	o.Usage = spillway.Usage{Started: e.began, DurationMicros: e.micros, BilledMillis: e.billed, InitMicros: e.init, MemoryMiB: int64(e.mib)}
	if e.cause != spillway.CauseNone {
		o.FunctionError = spillway.FunctionUnhandled
	}
	return o
}

// flights are recycled, so that their number is that of calls at once.
type flights struct {
	chunks [][]flight
	free   []*flight
}

const flightsAtOnce = 256

func (f *flights) at(number uint64) *flight {
	return &f.chunks[number/flightsAtOnce][number%flightsAtOnce]
}

func (f *flights) take() *flight {
	if len(f.free) == 0 {
		f.grow()
	}
	last := len(f.free) - 1
	x := f.free[last]
	f.free = f.free[:last]
	return x
}

func (f *flights) grow() {
	chunk := make([]flight, flightsAtOnce)
	for i := range chunk {
		chunk[i].number = uint32(len(f.chunks)*flightsAtOnce + i)
		f.free = append(f.free, &chunk[i])
	}
	f.chunks = append(f.chunks, chunk)
}

func (f *flights) put(x *flight) {
	x.handle, x.on, x.duration, x.init, x.ending, x.cold = 0, 0, 0, 0, ending{}, 0
	x.open, x.ended, x.gone, x.environ, x.met = 0, false, false, false, false
	x.d.Clear()
	f.free = append(f.free, x)
}
