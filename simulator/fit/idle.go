package fit

import (
	"container/heap"
	"math/bits"
	"time"

	"github.com/spillway-dev/spillway/simulator/trace"
)

// environments follows those of one revision in a cloud, which uses the one that
// was used last.
type environments struct {
	busy ends    // when calls end
	idle []int64 // since when, the last used is last; Unix nanoseconds
}

// call gives a call an environment and notes how long that had been idle, or that
// it was gone.
func (e *environments) call(r *trace.UsageRow, g *gaps) {
	at := r.Admitted.Add(r.Waited).UnixNano()
	for len(e.busy) > 0 && e.busy[0] <= at {
		e.idle = append(e.idle, heap.Pop(&e.busy).(int64))
	}
	if n := len(e.idle); n > 0 {
		gap := time.Duration(at - e.idle[n-1])
		switch {
		case gap < 0: // rows out of order
		case r.Init > 0:
			g.gone[bucketOf(gap)]++
		case r.Init == 0:
			g.warm[bucketOf(gap)]++
		}
		if r.Init > 0 {
			e.idle = e.idle[:0] // those that were used before it are gone, too
		} else {
			e.idle = e.idle[:n-1]
		}
	}
	heap.Push(&e.busy, at+int64(r.Duration+max(r.Init, 0)))
}

// ends is a heap.
type ends []int64

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i] < e[j] }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(int64)) }
func (e *ends) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// gaps counts idle times in buckets of a 32nd of their size, from a millisecond on.
type gaps struct{ warm, gone [buckets]int64 }

const (
	subBits = 5
	buckets = 38 << subBits
)

func bucketOf(gap time.Duration) int {
	ms := uint64(gap / time.Millisecond)
	if ms < 1<<subBits {
		return int(ms)
	}
	exp := bits.Len64(ms) - subBits - 1
	return min(exp<<subBits+int(ms>>exp), buckets-1)
}

// floor is the least gap of a bucket.
func floor(bucket int) time.Duration {
	if bucket < 1<<(subBits+1) {
		return time.Duration(bucket) * time.Millisecond
	}
	exp := bucket>>subBits - 1
	return time.Duration(bucket&(1<<subBits-1)|1<<subBits) << exp * time.Millisecond
}

// leastGone is how many environments must have gone before it is said when they go.
const leastGone = 5

// threshold is the idle time that contradicts the fewest gaps: those that were
// longer and found the environment, and those that were not and did not. Among
// equally good ones it is the middle. It is zero where too few are known.
func (g *gaps) threshold() (idle time.Duration, warm, gone, against int64) {
	for i := range g.warm {
		warm += g.warm[i]
		gone += g.gone[i]
	}
	if warm == 0 || gone < leastGone {
		return 0, warm, gone, 0
	}
	wrong := warm // of a threshold below all
	against = wrong
	from, to := 0, 0
	for i := range g.warm {
		wrong += g.gone[i] - g.warm[i]
		switch {
		case wrong < against:
			against, from, to = wrong, i+1, i+1
		case wrong == against && to == i:
			to = i + 1
		}
	}
	if to == buckets {
		return 0, warm, gone, 0 // nothing says that they ever go
	}
	idle = (floor(from) + floor(to)) / 2
	if idle > 10*time.Second {
		idle = idle.Round(time.Second)
	}
	return idle, warm, gone, against
}
