package dispatcher

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// plan works out when a job that was first admitted at since goes to a cloud, and in which
// order clouds are tried.
func (j *job) plan(since spillway.Instant) {
	f := j.d.Call.Function
	permitted := f.Permitted
	if v := j.d.Verdict; v != nil {
		permitted &= v.Permitted
	}
	j.clouds = j.clouds[:0]
	for _, i := range f.Platform.BurstPolicies[f.Policy].Order {
		if f.Platform.Pools[i].Kind.Cloud() && permitted.Has(i) {
			j.clouds = append(j.clouds, i)
		}
	}
	j.cheapestFirst(f, j.clouds)
	j.cloudAt, f.MaxWait = j.Job.cloudAt(f, j.clouds, since), forever
	if j.cloudAt != spillway.Never {
		f.MaxWait = j.cloudAt.Sub(since)
	}
}

// cheapestFirst orders clouds by what f costs there if it takes as long in each. Those
// that cost the same stay as they were.
func (j *Job) cheapestFirst(f *spillway.Function, clouds []int) {
	lasts := time.Duration(math.MaxInt64)
	if j.Timeout > 0 {
		lasts = j.Timeout
	}
	for _, i := range clouds {
		lasts = min(lasts, f.Bindings[i].Timeout)
	}
	cost := func(i int) spillway.Nano {
		b := &f.Bindings[i]
		n, err := b.Rate.CeilNano(b.Rate.BilledMillis(lasts.Milliseconds()), spillway.Resources{MiB: b.MiB})
		if err != nil {
			return spillway.MaxNano
		}
		return n
	}
	if len(clouds) > 1 {
		slices.SortStableFunc(clouds, func(a, b int) int { return cmp.Compare(cost(a), cost(b)) })
	}
}

// orderOf is in which order pools are tried for a job: idle capacity, then the clouds that
// can still meet its deadline, and then the others; the cheapest first. It is valid until
// the next call.
func (e *Engine) orderOf(now spillway.Instant, j *job) []int {
	f := j.d.Call.Function
	order := f.Platform.BurstPolicies[f.Policy].Order
	if len(j.clouds) < 2 {
		return order
	}
	e.order = e.order[:0]
	for _, i := range order {
		if !slices.Contains(j.clouds, i) {
			e.order = append(e.order, i)
		}
	}
	late := func(i int) bool { return j.Deadline != 0 && j.latestStart(f, i) < now }
	for _, lates := range [2]bool{false, true} {
		for _, i := range j.clouds {
			if late(i) == lates {
				e.order = append(e.order, i)
			}
		}
	}
	return e.order
}
