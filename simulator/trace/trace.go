package trace

import (
	"io"
	"time"
)

// Function is one function of a trace. Its index in Trace.Functions is its number.
type Function struct {
	Tenant, App, Name string // as in the trace; Tenant owns and pays
	Trigger           string // as in the trace; empty if it does not say
	MiB               int64  // memory of an instance; 0 if the trace does not say
	MilliCPU          int64  // of an instance; 0 if the trace does not say
	Duration          Quantiles
}

// Call is one arrival.
type Call struct {
	At       time.Duration // since Trace.Start, ≥ 0
	Duration time.Duration // of the execution, without a cold start; ≥ 0
	Init     time.Duration // recorded cold start of this call; -1: not recorded
	Function int32         // number
}

// Options say how a trace is read. The zero value recognises the format and
// spreads evenly with seed 0.
type Options struct {
	Format Format // empty: recognised by columns
	Seed   uint64 // of phases, places in the minute and drawn durations
	Spread Spread // of counted calls within their minute
	// MaxFunctions bounds the memory that a trace of unknown origin can take: one with
	// rows of more functions is refused. 0: 2^28.
	MaxFunctions int
}

// Trace is an open trace. It is not safe for concurrent use. Its memory is
// bounded by functions, not-empty minutes and calls that are out of order, not by calls.
type Trace struct {
	format    Format
	functions []Function
	defaulted Quantiles
	start     time.Time
	length    time.Duration
	calls     int64
	skipped   skips
	source    source
	undurated []bool // functions with rows that have no duration; nil: calls are counted
}

// source yields the calls of a trace in order.
type source interface {
	next(into []Call) (int, error)
	rewind() error
	close() error
}

// Format returns which format was read.
func (t *Trace) Format() Format { return t.format }

// Functions returns all functions by number. The caller must not change them.
func (t *Trace) Functions() []Function { return t.functions }

// DefaultDuration returns the distribution from which durations are drawn for
// functions that have none of their own.
func (t *Trace) DefaultDuration() Quantiles { return t.defaulted }

// Start returns the time of the trace's beginning, in UTC. Where a trace has no
// dates it is the documented first day of its data set.
func (t *Trace) Start() time.Time { return t.start }

// Length returns how long the trace is: to the end of the last minute of counts,
// or just past the last arrival.
func (t *Trace) Length() time.Duration { return t.length }

// Calls returns how many calls Next yields in all, or -1 if that is only known
// after reading them.
func (t *Trace) Calls() int64 { return t.calls }

// Skipped returns the rows and files that were not taken, summed by reason.
func (t *Trace) Skipped() []Skip { return t.skipped }

// Next fills into with the next calls, in order of At and, at the same time, of
// function number. It returns how many, and io.EOF with 0 at the end.
func (t *Trace) Next(into []Call) (int, error) {
	if len(into) == 0 {
		return 0, io.ErrShortBuffer
	}
	return t.source.next(into)
}

// Rewind starts again from the first call; the same calls follow.
func (t *Trace) Rewind() error { return t.source.rewind() }

// Close closes the trace's files.
func (t *Trace) Close() error { return t.source.close() }

// drawn reports whether durations of the function's calls are drawn: where calls
// are counted, and where some of its rows do not say.
func (t *Trace) drawn(function int32) bool {
	return t.undurated == nil || t.undurated[function]
}
