package idle

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// GuestFacts is what counts when guests are chosen to go. Their progress is unknown:
// whoever goes begins again.
type GuestFacts struct {
	UID     string
	Node    string
	Holds   Quantities
	Started spillway.Instant
	// Duration is how long a whole run takes, by earlier runs or the timeout; zero if
	// not known.
	Duration time.Duration
	Deadline spillway.Instant // Never for none
	Movable  bool             // its virtual pod can go on; otherwise it fails
	Leaving  bool             // it has been told to go: what it holds comes free anyway
}

// Choice is who goes.
type Choice struct {
	UIDs  []string   // sorted
	Freed Quantities // by them and by those that are leaving
	Short Quantities // what is still missing when all that hold any of it have gone
}

// Victims chooses the guests of p.Node that give back what p needs. As few as possible
// fail; of such sets as few as possible come to miss their deadline; then the least
// work is lost, in core-time; then the fewest go; then those with the earliest UIDs.
//
// Up to twelve candidates every set is looked at. With more it is the best of a few
// orders, in which nobody fails while the others are enough. In both, without any one
// of those chosen what is freed is too little. If all together hold too little, all
// that hold any of it go.
func Victims(now spillway.Instant, p Pressure, guests []GuestFacts) Choice {
	var c Choice
	var here []GuestFacts
	for _, g := range guests {
		switch {
		case g.Node != p.Node:
		case g.Leaving:
			c.Freed = c.Freed.Plus(g.Holds)
		default:
			here = append(here, g)
		}
	}
	missing := p.Need.Beyond(c.Freed)
	here = slices.DeleteFunc(here, func(g GuestFacts) bool {
		return missing.Smaller(g.Holds).Larger(Quantities{}).Zero()
	})
	slices.SortFunc(here, func(a, b GuestFacts) int { return cmp.Compare(a.UID, b.UID) })
	for _, i := range newSearch(now, missing, here).choose() {
		c.UIDs = append(c.UIDs, here[i].UID)
		c.Freed = c.Freed.Plus(here[i].Holds)
	}
	c.Short = p.Need.Beyond(c.Freed)
	return c
}

// loss is what it costs that guests go, the worst first.
type loss struct {
	failed  int64 // guests that cannot go on
	late    int64 // guests that would meet their deadline, and begun again do not
	coreMS  int64 // milliCPU × milliseconds to be done again
	leaving int64 // guests
}

// mostCoreMS bounds one guest's loss, so that those of a node add up in 63 bits: it is
// a thousand cores for over two thousand years.
const mostCoreMS = 1 << 56

func lossOf(now spillway.Instant, g *GuestFacts) loss {
	l := loss{leaving: 1}
	if !g.Movable {
		l.failed = 1
	}
	elapsed := max(0, now.Sub(g.Started))
	ends, again := g.Started.Add(g.Duration), now.Add(max(g.Duration, elapsed))
	if g.Deadline != spillway.Never && max(ends, now) <= g.Deadline && again > g.Deadline {
		l.late = 1
	}
	ms, cpu := elapsed.Milliseconds(), max(0, g.Holds.MilliCPU)
	if l.coreMS = mostCoreMS; cpu == 0 || ms <= mostCoreMS/cpu {
		l.coreMS = cpu * ms
	}
	return l
}

func (l loss) plus(o loss) loss {
	sum := l.coreMS + o.coreMS
	if sum < 0 {
		sum = math.MaxInt64
	}
	return loss{l.failed + o.failed, l.late + o.late, sum, l.leaving + o.leaving}
}

func (l loss) compare(o loss) int {
	return cmp.Or(cmp.Compare(l.failed, o.failed), cmp.Compare(l.late, o.late), cmp.Compare(l.coreMS, o.coreMS), cmp.Compare(l.leaving, o.leaving))
}
