package idle

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/spillway-dev/spillway"
)

// exactGuests is the most candidates of which every set is looked at.
const exactGuests = 12

// search looks for the best set of guests: indices, ascending, of guests sorted by UID.
type search struct {
	missing Quantities
	guests  []GuestFacts
	losses  []loss
	shares  []int64
}

func newSearch(now spillway.Instant, missing Quantities, guests []GuestFacts) *search {
	s := &search{missing: missing, guests: guests}
	for i := range guests {
		s.losses = append(s.losses, lossOf(now, &guests[i]))
		s.shares = append(s.shares, shareOf(missing, guests[i].Holds))
	}
	return s
}

// shareOf is the part of what is missing that a guest holds, in thousandths, summed
// over resources.
func shareOf(missing, holds Quantities) int64 {
	useful := missing.Smaller(holds)
	var sum int64
	for r := range plainCount {
		if need := *missing.plain(r); need > 0 {
			sum += *useful.plain(r) * 1000 / need
		}
	}
	for _, c := range missing.Extended {
		if c.N > 0 {
			sum += useful.Extended.Of(c.Name) * 1000 / c.N
		}
	}
	return max(1, sum)
}

func (s *search) choose() []int {
	all := make([]int, len(s.guests))
	for i := range all {
		all[i] = i
	}
	switch {
	case s.missing.Zero():
		return nil
	case !s.enough(all):
		return all
	case len(all) <= exactGuests:
		return s.exact()
	}
	return s.ordered(all)
}

func (s *search) enough(set []int) bool {
	var sum Quantities
	for _, i := range set {
		sum = sum.Plus(s.guests[i].Holds)
	}
	return s.missing.Within(sum)
}

// compare is below zero when a is the better set.
func (s *search) compare(a, b []int) int {
	return cmp.Or(s.loss(a).compare(s.loss(b)), slices.Compare(a, b))
}

func (s *search) loss(set []int) loss {
	var sum loss
	for _, i := range set {
		sum = sum.plus(s.losses[i])
	}
	return sum
}

// exact looks at every set.
func (s *search) exact() []int {
	var best []int
	buffer := make([]int, 0, exactGuests)
	for mask := uint32(1); mask < 1<<len(s.guests); mask++ {
		set := buffer[:0]
		for m := mask; m != 0; m &= m - 1 {
			set = append(set, bits.TrailingZeros32(m))
		}
		if (best == nil || s.compare(set, best) < 0) && s.enough(set) {
			best = slices.Clone(set)
		}
	}
	return best
}

// ordered takes guests in one order after another until they are enough, lets those
// stay that turn out not to be needed, and keeps the best of these sets.
func (s *search) ordered(all []int) []int {
	var best []int
	for _, order := range [...]func(i, j int) int{
		func(i, j int) int { return s.losses[i].compare(s.losses[j]) },
		s.byWorth,
		func(i, j int) int {
			return cmp.Or(cmp.Compare(s.losses[i].failed, s.losses[j].failed), cmp.Compare(s.shares[j], s.shares[i]))
		},
	} {
		ranked := slices.Clone(all)
		slices.SortStableFunc(ranked, order)
		set := s.needed(ranked)
		if best == nil || s.compare(set, best) < 0 {
			best = set
		}
	}
	return best
}

// byWorth puts those first that lose least for what they give back.
func (s *search) byWorth(i, j int) int {
	a, b := s.losses[i], s.losses[j]
	hi, lo := bits.Mul64(uint64(a.coreMS), uint64(s.shares[j]))
	otherHi, otherLo := bits.Mul64(uint64(b.coreMS), uint64(s.shares[i]))
	return cmp.Or(cmp.Compare(a.failed, b.failed), cmp.Compare(a.late, b.late), cmp.Compare(hi, otherHi), cmp.Compare(lo, otherLo))
}

// needed cuts ranked where it is enough, and lets those stay that are not needed, the
// dearest first.
func (s *search) needed(ranked []int) []int {
	set := ranked
	for n := range ranked {
		if s.enough(ranked[:n+1]) {
			set = slices.Clone(ranked[:n+1])
			break
		}
	}
	slices.SortStableFunc(set, func(i, j int) int { return s.losses[j].compare(s.losses[i]) })
	for at := 0; at < len(set); {
		without := slices.Delete(slices.Clone(set), at, at+1)
		if s.enough(without) {
			set = without
		} else {
			at++
		}
	}
	slices.Sort(set)
	return set
}
