package planner

import (
	"fmt"

	"github.com/spillway-dev/spillway"
)

// Tier is a price of memory-time from an amount per month on.
type Tier struct {
	FromMiBMillis int64 // billed in the month before; GiB-seconds × 1,024,000
	PerGiBSecond  spillway.Femto
}

// Package is prepaid consumption of one month. What it does not include is billed
// at list price, tiers counting from there.
type Package struct {
	Name      string
	Fee       spillway.Nano // per month, used or not
	Calls     int64         // included
	MiBMillis int64         // included
	Most      int64         // copies at once when packages stack; zero means 1
}

// Burst is the price list of the cloud, for one account.
type Burst struct {
	PerRequest spillway.Femto
	FreeCalls  int64 // per month, beside packages
	Tiers      []Tier
	Packages   []Package
	Stack      bool // several packages may be held at once; otherwise one

	// PenaltyPerCall is what a burst call costs in service beside money, such as its
	// cold start. It steers plans and is part of Cost.Total.
	PenaltyPerCall spillway.Femto
}

// maxSets bounds the combinations of packages.
const maxSets = 4096

func (b *Burst) validate() error {
	if b.PerRequest < 0 || b.FreeCalls < 0 || b.PenaltyPerCall < 0 {
		return &InputError{"burst", "a negative price or quantity"}
	}
	if _, err := product(b.FreeCalls, micro); err != nil {
		return &InputError{"burst.freeCalls", fmt.Sprintf("%d is too large", b.FreeCalls)}
	}
	if len(b.Tiers) == 0 || b.Tiers[0].FromMiBMillis != 0 {
		return &InputError{"burst.tiers", "the first tier begins at zero; a flat price is one tier"}
	}
	for i, t := range b.Tiers {
		if t.PerGiBSecond < 0 || i > 0 && t.FromMiBMillis <= b.Tiers[i-1].FromMiBMillis {
			return &InputError{fmt.Sprintf("burst.tiers[%d]", i), "tiers have ascending beginnings and prices ≥ 0"}
		}
	}
	for i, p := range b.Packages {
		_, err := product(p.Calls, micro)
		if p.Fee < 0 || p.Calls < 0 || p.MiBMillis < 0 || p.Most < 0 || err != nil {
			return &InputError{fmt.Sprintf("burst.packages[%d]", i), "a negative or too large quantity"}
		}
	}
	return nil
}

// sets returns every way to hold packages, copies of each; the first holds none.
func (b *Burst) sets() ([][]int64, error) {
	sets := [][]int64{make([]int64, len(b.Packages))}
	for i, p := range b.Packages {
		before := len(sets)
		if !b.Stack {
			before = 1
		}
		for copies := int64(1); copies <= max(p.Most, 1) && (b.Stack || copies == 1); copies++ {
			for _, set := range sets[:before] {
				if len(sets) == maxSets {
					return nil, &TooLargeError{What: "combinations of packages", Limit: maxSets, Advice: "lower most, or leave out packages"}
				}
				more := append([]int64(nil), set...)
				more[i] = copies
				sets = append(sets, more)
			}
		}
	}
	return sets, nil
}

// TooLargeError says that an exact answer would take too long.
type TooLargeError struct {
	What   string
	Limit  int64
	Advice string
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("more than %d %s to enumerate: %s", e.Limit, e.What, e.Advice)
}

// terms are a Burst with one set of packages for one month, or part of one.
type terms struct {
	burst     *Burst
	tiers     []Tier
	fee       int64
	freeMicro int64 // calls not billed
	free      int64 // MiB-milliseconds not billed
}

// terms returns those of a month of which part milliseconds are covered.
func (b *Burst) terms(set []int64, part int64) (terms, error) {
	t := terms{burst: b, freeMicro: floorShare(b.FreeCalls*micro, part, MonthMillis)}
	for i, copies := range set {
		p := b.Packages[i]
		for _, q := range [3]struct {
			to   *int64
			each int64
		}{{&t.fee, ceilShare(int64(p.Fee), uint64(part), uint64(MonthMillis))}, {&t.freeMicro, floorShare(p.Calls*micro, part, MonthMillis)}, {&t.free, floorShare(p.MiBMillis, part, MonthMillis)}} {
			all, err := product(q.each, copies)
			if err == nil {
				*q.to, err = sum(*q.to, all)
			}
			if err != nil {
				return t, fmt.Errorf("%d copies of package %q: %w", copies, p.Name, err)
			}
		}
	}
	for _, tier := range b.Tiers {
		tier.FromMiBMillis = floorShare(tier.FromMiBMillis, part, MonthMillis)
		t.tiers = append(t.tiers, tier)
	}
	return t, nil
}

const (
	femtoPerGiBSecond = 1024 * 1000 * 1_000_000 // MiB-milliseconds × femto in a nano
	femtoPerCall      = micro * 1_000_000       // millionths of a call × femto in a nano
)

// bill returns fees, price and penalty of u.
func (t *terms) bill(u Usage) (Cost, error) {
	c := Cost{Fees: spillway.Nano(t.fee)}
	memory, err := ceilProducts(femtoPerGiBSecond, t.split(max(0, u.MiBMillis-t.free))...)
	if err != nil {
		return c, fmt.Errorf("price of %d MiB-milliseconds: %w", u.MiBMillis, err)
	}
	requests, err := ceilMulDiv(max(0, u.MicroCalls-t.freeMicro), int64(t.burst.PerRequest), femtoPerCall)
	if err != nil {
		return c, fmt.Errorf("price of %d calls: %w", u.Calls(), err)
	}
	penalty, err := ceilMulDiv(u.MicroCalls, int64(t.burst.PenaltyPerCall), femtoPerCall)
	if err != nil {
		return c, fmt.Errorf("penalty of %d calls: %w", u.Calls(), err)
	}
	c.Memory, c.Requests, c.Penalty = spillway.Nano(memory), spillway.Nano(requests), spillway.Nano(penalty)
	return c, c.total()
}

// split returns billed memory-time by tier: price and quantity.
func (t *terms) split(quantity int64) [][2]int64 {
	var parts [][2]int64
	for i, tier := range t.tiers {
		end := quantity
		if i+1 < len(t.tiers) {
			end = min(end, t.tiers[i+1].FromMiBMillis)
		}
		if end > tier.FromMiBMillis {
			parts = append(parts, [2]int64{int64(tier.PerGiBSecond), end - tier.FromMiBMillis})
		}
	}
	return parts
}

// near returns about what bill returns as total, in Nano.
func (t *terms) near(microCalls, mibMillis float64) float64 {
	billed := max(0, mibMillis-float64(t.free))
	cost := float64(t.fee) + max(0, microCalls-float64(t.freeMicro))*float64(t.burst.PerRequest)/femtoPerCall
	cost += microCalls * float64(t.burst.PenaltyPerCall) / femtoPerCall
	for i, tier := range t.tiers {
		end := billed
		if i+1 < len(t.tiers) {
			end = min(end, float64(t.tiers[i+1].FromMiBMillis))
		}
		cost += max(0, end-float64(tier.FromMiBMillis)) * float64(tier.PerGiBSecond) / femtoPerGiBSecond
	}
	return cost
}
