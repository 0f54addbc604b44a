package planner

import (
	"cmp"
	"fmt"
	"slices"
)

// Interval is one call of a team, in microseconds.
type Interval struct{ Start, End int64 }

// Level is for how long in all a team had so many calls at once.
type Level struct{ Busy, Micros int64 }

// Levels returns how long each concurrency lasted, ascending, from the first start
// to the last end. Calls that end as others begin do not overlap them.
func Levels(calls []Interval) ([]Level, error) {
	type edge struct{ at, by int64 }
	var edges []edge
	for i, c := range calls {
		if c.End < c.Start || c.Start < 0 {
			return nil, &InputError{fmt.Sprintf("calls[%d]", i), fmt.Sprintf("from %d to %d: allowed 0 ≤ start ≤ end", c.Start, c.End)}
		}
		edges = append(edges, edge{c.Start, 1}, edge{c.End, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	lasted := map[int64]int64{}
	var busy int64
	for i, e := range edges {
		if i > 0 && e.at > edges[i-1].at {
			lasted[busy] += e.at - edges[i-1].at
		}
		busy += e.by
	}
	levels := make([]Level, 0, len(lasted))
	for b, t := range lasted {
		levels = append(levels, Level{b, t})
	}
	slices.SortFunc(levels, func(a, b Level) int { return cmp.Compare(a.Busy, b.Busy) })
	return levels, nil
}

// FluidQuota returns the smallest quota beyond which at most a share of busy time
// lies: an estimate of the quota that refuses that share of calls when none wait.
// It errs to the high side, as time that is refused makes room for later calls.
func FluidQuota(levels []Level, refusedShare float64) int64 {
	sorted := slices.Clone(levels)
	slices.SortFunc(sorted, func(a, b Level) int { return cmp.Compare(b.Busy, a.Busy) })
	var busy float64
	for _, l := range sorted {
		busy += float64(l.Busy) * float64(l.Micros)
	}
	allowed := busy * refusedShare
	var above, over float64 // time above the quota, and busy time beyond it
	for i, l := range sorted {
		next := int64(0)
		if above += float64(l.Micros); i+1 < len(sorted) {
			next = sorted[i+1].Busy
		}
		if step := float64(l.Busy-next) * above; over+step > allowed {
			return l.Busy - int64((allowed-over)/above)
		} else {
			over += step
		}
	}
	return 0
}
