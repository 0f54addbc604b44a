package spillway

import "time"

// Platform is one compiled configuration. It is immutable and shared freely.
// Indices are positions in its slices and mean nothing in another generation, but
// for pools: a pool keeps its index for as long as the process lives.
type Platform struct {
	Generation int64  // grows with every reload
	Revision   string // digest of the configuration it was compiled from
	Currency   string // ISO 4217; every Nano and Rate is in it

	Functions     []*Function
	Pools         []*Pool
	Namespaces    []Namespace
	Quotas        []QuotaNode // parents before children
	BurstPolicies []BurstPolicy

	byKey map[FunctionKey]*Function
}

// Index builds the lookup tables; the compiler calls it once, last.
func (p *Platform) Index() {
	p.byKey = make(map[FunctionKey]*Function, len(p.Functions))
	for _, f := range p.Functions {
		f.Platform = p
		if lead := p.byKey[f.FunctionKey]; lead == nil || f.Weight > lead.Weight {
			p.byKey[f.FunctionKey] = f
		}
	}
	for _, f := range p.Functions {
		f.canary = f.Weight > 0 && p.byKey[f.FunctionKey] != f
	}
}

// Function returns the function named key, its leading revision if there are
// several, or nil.
func (p *Platform) Function(key FunctionKey) *Function { return p.byKey[key] }

// RevisionOf returns one revision of the function named key, or nil.
func (p *Platform) RevisionOf(key FunctionKey, revision string) *Function {
	f := p.byKey[key]
	if f == nil || f.Revision == revision {
		return f
	}
	for _, r := range f.Revisions {
		if r.Revision == revision {
			return r
		}
	}
	return nil
}

// Namespace is a tenant.
type Namespace struct {
	Name       string
	UID        string // survives nothing: a namespace made anew has another
	Department string // of the nearest quota node that names one; "" if none
	Quota      int    // position in Quotas of its leaf, or -1: no quota, no budget
}

// QuotaNode is one node of the quota tree. A reservation is checked at the node
// and at every ancestor.
type QuotaNode struct {
	Name    string
	Parent  int // position of the parent, or -1
	Nominal [ClassCount]Resources
	// Borrowing is how far above its nominal the node may go while others under
	// its parent leave room; zero never borrows.
	Borrowing [ClassCount]Resources
	// Keep is the part of its nominal that others may not use while the node does
	// not: nominal less lendingLimit, never below zero. Zero lends all of it.
	Keep    [ClassCount]Resources
	Budgets []Budget
}

// Window is a calendar window of a budget.
type Window uint8

const (
	WindowHour Window = iota
	WindowDay
	WindowMonth
	windowCount
)

func (w Window) String() string { return [windowCount]string{"hour", "day", "month"}[w] }

// Bounds returns the calendar window [from, to) in loc that holds at.
func (w Window) Bounds(at Instant, loc *time.Location) (from, to Instant) {
	t := at.Time().In(loc)
	switch w {
	case WindowHour:
		// Hours are counted on the absolute scale: a wall clock repeats one.
		_, offset := t.Zone()
		local := t.Unix() + int64(offset)
		start := local - mod(local, 3600) - int64(offset)
		return InstantOf(time.Unix(start, 0)), InstantOf(time.Unix(start+3600, 0))
	case WindowDay:
		y, m, d := t.Date()
		return around(at, func(n int) Instant { return dayStart(y, m, d+n, loc) })
	default:
		y, m, _ := t.Date()
		return around(at, func(n int) Instant { return dayStart(y, m+time.Month(n), 1, loc) })
	}
}

// around returns the window [start(n), start(n+1)) that holds at, which is close to
// n = 0: where clocks change at midnight, a wall clock may show a day that has ended.
func around(at Instant, start func(n int) Instant) (from, to Instant) {
	n := 0
	for at < start(n) {
		n--
	}
	for at >= start(n+1) {
		n++
	}
	return start(n), start(n + 1)
}

// dayStart is the first instant of a day, which is not midnight where clocks are
// put forward then.
func dayStart(y int, m time.Month, d int, loc *time.Location) Instant {
	t := time.Date(y, m, d, 0, 0, 0, 0, loc)
	if _, end := t.ZoneBounds(); t.Hour() != 0 && !end.IsZero() && end.Sub(t) < 24*time.Hour {
		t = end
	}
	return InstantOf(t)
}

func mod(a, b int64) int64 { return ((a % b) + b) % b }

// AtLimit says what a spent budget does to a call that would need it.
type AtLimit uint8

const (
	AtLimitReject   AtLimit = iota // refuse at once: budget_exceeded
	AtLimitRedirect                // wait on-prem instead
)

// Budget is a limit on money per calendar window. A call belongs to the window
// of its admission.
type Budget struct {
	Window   Window
	Limit    Nano
	Location *time.Location
	AtLimit  AtLimit
}

// Mode says which sides of the cloud border a burst policy uses.
type Mode uint8

const (
	ModeOnPremOnly Mode = iota
	ModeHybrid
	ModeCloudOnly
	ModeOffline // idle capacity only, whatever class a function is of
	modeCount
)

func (m Mode) String() string {
	return [modeCount]string{"OnPremOnly", "Hybrid", "CloudOnly", "Offline"}[m]
}
