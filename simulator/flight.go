package simulator

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// flight is one call on its way, and the memory of its Decision.
type flight struct {
	handle   dispatcher.Handle
	duration time.Duration // of the execution
	init     time.Duration // recorded cold start, or negative
	function int32         // of the platform
	turn     uint32        // grows with every start, over all lives

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
	free []*flight
}

const flightsAtOnce = 256

func (f *flights) take() *flight {
	if len(f.free) == 0 {
		chunk := make([]flight, flightsAtOnce)
		for i := range chunk {
			f.free = append(f.free, &chunk[i])
		}
	}
	last := len(f.free) - 1
	x := f.free[last]
	f.free = f.free[:last]
	*x = flight{turn: x.turn}
	return x
}

func (f *flights) put(x *flight) { f.free = append(f.free, x) }
