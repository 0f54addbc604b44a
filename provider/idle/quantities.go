package idle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Quantities is an amount of each resource of a node.
type Quantities struct {
	MilliCPU     int64
	MiB          int64 // memory
	EphemeralMiB int64 // local storage
	Pods         int64
	Extended     Extended // GPUs and whatever else has a name of its own
}

// Extended holds counts by resource name, such as nvidia.com/gpu: sorted by name,
// without zeros, and never written to. ExtendedOf makes one.
type Extended []Count

// Count is how many there are of one extended resource.
type Count struct {
	Name string
	N    int64
}

// ExtendedOf returns the counts of m.
func ExtendedOf(m map[string]int64) Extended {
	var out Extended
	for name, n := range m {
		if n != 0 {
			out = append(out, Count{name, n})
		}
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Of returns the count of name.
func (e Extended) Of(name string) int64 {
	for i := range e {
		if e[i].Name == name {
			return e[i].N
		}
	}
	return 0
}

const plainCount = 4 // resources of Quantities that have a field

func (q *Quantities) plain(i int) *int64 {
	return [plainCount]*int64{&q.MilliCPU, &q.MiB, &q.EphemeralMiB, &q.Pods}[i]
}

// combine applies f to every resource of a and b.
func combine(a, b Quantities, f func(a, b int64) int64) Quantities {
	return Quantities{
		MilliCPU: f(a.MilliCPU, b.MilliCPU), MiB: f(a.MiB, b.MiB),
		EphemeralMiB: f(a.EphemeralMiB, b.EphemeralMiB), Pods: f(a.Pods, b.Pods),
		Extended: combineExtended(a.Extended, b.Extended, f),
	}
}

func combineExtended(a, b Extended, f func(a, b int64) int64) Extended {
	if len(a) == 0 && len(b) == 0 {
		return nil
	}
	out := make(Extended, 0, max(len(a), len(b)))
	for len(a) > 0 || len(b) > 0 {
		var c Count
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Name < b[0].Name:
			c, a = Count{a[0].Name, f(a[0].N, 0)}, a[1:]
		case len(a) == 0 || b[0].Name < a[0].Name:
			c, b = Count{b[0].Name, f(0, b[0].N)}, b[1:]
		default:
			c, a, b = Count{a[0].Name, f(a[0].N, b[0].N)}, a[1:], b[1:]
		}
		if c.N != 0 {
			out = append(out, c)
		}
	}
	return out
}

// Plus returns q+o.
func (q Quantities) Plus(o Quantities) Quantities {
	return combine(q, o, func(a, b int64) int64 { return a + b })
}

// Minus returns q-o, which may be below zero.
func (q Quantities) Minus(o Quantities) Quantities {
	return combine(q, o, func(a, b int64) int64 { return a - b })
}

// Beyond returns what q has more than o, zero where it has less.
func (q Quantities) Beyond(o Quantities) Quantities {
	return combine(q, o, func(a, b int64) int64 { return max(0, a-b) })
}

// Larger returns the larger of q and o in each resource.
func (q Quantities) Larger(o Quantities) Quantities {
	return combine(q, o, func(a, b int64) int64 { return max(a, b) })
}

// Smaller returns the smaller of q and o in each resource.
func (q Quantities) Smaller(o Quantities) Quantities {
	return combine(q, o, func(a, b int64) int64 { return min(a, b) })
}

// Within reports whether every resource that q asks for, that is, has more than zero
// of, is in o.
func (q Quantities) Within(o Quantities) bool {
	for i := range plainCount {
		if need := *q.plain(i); need > 0 && need > *o.plain(i) {
			return false
		}
	}
	for _, c := range q.Extended {
		if c.N > 0 && c.N > o.Extended.Of(c.Name) {
			return false
		}
	}
	return true
}

// Zero reports whether q has nothing of anything.
func (q Quantities) Zero() bool { return q.Equal(Quantities{}) }

// Equal reports whether q and o are the same in each resource.
func (q Quantities) Equal(o Quantities) bool {
	for i := range plainCount {
		if *q.plain(i) != *o.plain(i) {
			return false
		}
	}
	return slices.Equal(q.Extended, o.Extended)
}

func (q Quantities) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%dm cpu, %d MiB, %d MiB ephemeral, %d pods", q.MilliCPU, q.MiB, q.EphemeralMiB, q.Pods)
	for _, c := range q.Extended {
		fmt.Fprintf(&b, ", %d %s", c.N, c.Name)
	}
	return b.String()
}
