package spillway

import "time"

// BurstPolicy says how the calls of a set of functions may overflow.
type BurstPolicy struct {
	Name  string
	Mode  Mode
	Order []int // pool indices, most preferred first
	// Weights, by pool index, share first choices between pools; nil leaves the
	// choice to Order. A pool of the order with weight zero is a fallback only.
	Weights []int64

	MaxBurstConcurrency int64         // cloud calls in flight under this policy; Unlimited if not set
	OnPremWaitBudget    time.Duration // how long a call that could burst waits for an on-prem place

	Share      *BurstShare
	Spend      []Budget // what calls under this policy may spend; beside the budgets of their quota
	Hysteresis Hysteresis
	Regions    []string      // of clouds that may be used; empty: all
	Windows    []BurstWindow // when bursting is open; empty: always
	KillSwitch bool          // nothing new is sent to a cloud
	Shadow     bool          // decide and count, but send nothing to a cloud
	Reserved   ReservedMode  // what is done about concurrency that clouds reserve for its functions
}

// ReservedMode says what is done about the concurrency that a cloud reserves for a
// function, which is also the most that it may have there.
type ReservedMode uint8

const (
	ReservedShow  ReservedMode = iota // what refuses calls that are allowed here is shown
	ReservedOff                       // it is not looked at
	ReservedWrite                     // the cloud is made to have what limits here allow
)

func (m ReservedMode) String() string { return [...]string{"Show", "Off", "Write"}[m] }

// ShareUnit is what a BurstShare counts.
type ShareUnit uint8

const (
	ShareInvocations ShareUnit = iota
	ShareGiBSeconds
)

func (u ShareUnit) String() string { return [...]string{"invocations", "GiB-seconds"}[u] }

// BurstShare bounds the part of a policy's work that runs in clouds, over a
// sliding window.
type BurstShare struct {
	Percent int64 // 0 to 100
	Of      ShareUnit
	Window  time.Duration
	Minimum int64 // calls in the window before the share is enforced
}

// Hysteresis keeps bursting from flapping. The zero value opens at once and
// closes as soon as there is room on-prem.
type Hysteresis struct {
	OpenAfter         time.Duration // on-prem has been without room for this long
	CloseAfter        time.Duration // on-prem has been below CloseBelowPercent for this long
	CloseBelowPercent int64         // of the on-prem slots of the order; 0 means 100
}

// BurstWindow is a time of day on some days of the week. One that ends at or
// before it begins ends on the next day.
type BurstWindow struct {
	Days     [7]bool // by time.Weekday, of its beginning
	From, To int     // minutes since midnight, 0 to 1440
	Location *time.Location
}

// Holds reports whether the window is open at an instant.
func (w *BurstWindow) Holds(at Instant) bool {
	t := at.Time().In(w.Location)
	minute, day := t.Hour()*60+t.Minute(), t.Weekday()
	if w.From < w.To {
		return w.Days[day] && w.From <= minute && minute < w.To
	}
	return w.Days[day] && minute >= w.From || w.Days[(day+6)%7] && minute < w.To
}
