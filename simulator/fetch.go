package simulator

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

// fetching reads what the next events will need, for several at once. With many
// functions and calls most of that is in no cache, and reads that do not depend on
// each other wait for memory together.
type fetching struct {
	manyCalls, manyFunctions int // from how many on it is done

	calls     []dispatcher.Handle
	functions []*spillway.Function
	until     int // of the batch of arrivals
	read      int64
}

const (
	// arrivalsAhead is for how many arrivals is read at once.
	arrivalsAhead = 16
	// manyCalls at once and manyFunctions are where caches begin to be too small.
	manyCalls, manyFunctions = 1024, 256
)

// fetchEnds reads for the ends of calls.
func (r *run) fetchEnds(soon []event) {
	f := &r.fetching
	f.calls, f.functions = f.calls[:0], f.functions[:0]
	if len(r.flights.chunks)*flightsAtOnce < f.manyCalls {
		return
	}
	for i := range soon {
		if soon[i].kind != callEnds {
			continue
		}
		x := r.flights.at(soon[i].what)
		f.calls = append(f.calls, x.handle)
		d := &x.d
		a := &d.Attempts[0]
		f.read += x.ending.billed + int64(d.Deadline) + d.Limit.Max + int64(d.ShadowPool) + d.QuotaUsed.MiB +
			int64(d.Tries) + int64(a.Ended) + a.Outcome.Usage.BilledMillis + int64(a.Outcome.RetryAfter)
		if d.Call.Function != nil {
			f.functions = append(f.functions, d.Call.Function)
		}
	}
	f.read += r.engine.FetchCalls(f.calls)
	r.fetchFunctions()
}

// fetchArrivals reads for the next arrivals.
func (r *run) fetchArrivals() {
	f := &r.fetching
	f.functions = f.functions[:0]
	f.until = min(r.at+arrivalsAhead, len(r.batch))
	if len(r.seen) < f.manyFunctions {
		f.until = len(r.batch)
		return
	}
	for i := range r.batch[r.at:f.until] {
		if index := r.Functions[r.batch[r.at+i].Function]; index >= 0 {
			f.functions = append(f.functions, r.Platform.Functions[index])
			f.read += r.seen[index].minute
		}
	}
	r.fetchFunctions()
}

func (r *run) fetchFunctions() {
	f := &r.fetching
	if len(r.seen) < f.manyFunctions {
		return
	}
	for _, of := range f.functions {
		f.read += r.tally.functions[of.Index].calls + r.tally.cell(of.Index, 0).executed + int64(r.tally.waits[of.Namespace].total)
	}
	f.read += r.engine.FetchFunctions(f.functions)
}
