package simulator

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// flight is one call on its way, and the memory of its Decision.
type flight struct {
	d        dispatcher.Decision
	handle   dispatcher.Handle
	duration time.Duration // of the execution
	init     time.Duration // recorded cold start, or negative
	function int32         // of the platform
	open     int8          // attempts whose estimate is still to come
	ended    bool

	turn    uint32           // grows with every start, over all lives
	outcome spillway.Outcome // of the running attempt, when it ends
	cold    time.Duration    // that the running attempt met
	gone    bool             // its instance ends with it
	environ bool             // it holds an environment of a cloud
}

// flights are recycled, so that their number is that of calls at once.
type flights struct {
	free  []*flight
	total int
}

const flightsAtOnce = 256

func (f *flights) take() *flight {
	if len(f.free) == 0 {
		chunk := make([]flight, flightsAtOnce)
		for i := range chunk {
			f.free = append(f.free, &chunk[i])
		}
		f.total += len(chunk)
	}
	last := len(f.free) - 1
	x := f.free[last]
	f.free = f.free[:last]
	*x = flight{turn: x.turn}
	return x
}

func (f *flights) put(x *flight) { f.free = append(f.free, x) }
