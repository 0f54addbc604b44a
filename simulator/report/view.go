package report

import (
	"time"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// View is a result and what is to be said beside it.
type View struct {
	Result    *simulator.Result
	Meta      Meta
	Optimum   *Optimum // marked on the load-duration curve; nil: none is known
	Functions bool     // JSON lists functions, too
	Preface   *Preface // what HTML says first; nil: nothing
}

// Meta says what was run. What is empty is left out.
type Meta struct {
	Version  string         // of the program
	Command  string         // as typed
	Trace    string         // path, as given
	Summary  *trace.Summary // of the trace; nil: it was not inspected
	Skipped  []trace.Skip   // rows of the trace that were not taken, as Trace.Skipped says
	Platform string         // a note on where the platform comes from
	PricesAt time.Time      // whose prices hold
	Seed     uint64
	Models   []simulator.PoolModel // by pool index
	Warnings []string
}

// Optimum is an owned capacity that a planner found best.
type Optimum struct {
	GiB   float64
	Label string // such as "optimum: 3 nodes"
}

// Skipped calls of the trace belong to functions without a place on the platform.
const skippedBecause = "of functions that the configuration does not have"
