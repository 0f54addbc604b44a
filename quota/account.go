package quota

import "github.com/spillway-dev/spillway"

// account is one budget with its two most recent windows: a call belongs to the
// window of its admission, and may be settled after that window has ended.
type account struct {
	spillway.Budget
	current, previous window
}

type window struct {
	from, to        spillway.Instant
	spent, reserved spillway.Nano
}

func (w *window) holds(at spillway.Instant) bool { return w.from <= at && at < w.to }

// window returns the window that holds at, rolling forward when at is past the
// current one, or nil when at is older than both.
func (a *account) window(at spillway.Instant) *window {
	if a.current.holds(at) {
		return &a.current
	}
	if at < a.current.from {
		if a.previous.holds(at) {
			return &a.previous
		}
		return nil
	}
	a.previous = a.current
	a.current = window{}
	a.current.from, a.current.to = a.Window.Bounds(at, a.Location)
	return &a.current
}

// fits reports whether the ask's money fits the budget. A window too old to be
// known has no money left.
func (a *account) fits(ask *Ask) bool {
	w := a.window(ask.Admitted)
	return w != nil && ask.Money <= a.Limit-w.spent-w.reserved
}

// limit says what the ask does not fit.
func (a *account) limit(ask *Ask) spillway.Limit {
	l := spillway.Limit{Class: ask.Class, Window: a.Window, Used: int64(a.Limit), Need: int64(ask.Money), Max: int64(a.Limit)}
	if w := a.window(ask.Admitted); w != nil {
		l.Used = int64(w.spent + w.reserved)
	}
	return l
}
