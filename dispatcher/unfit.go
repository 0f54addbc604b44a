package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
)

const (
	// firstUnfit is how long no instance is started of a size that has just found no
	// place; it doubles with each further one up to longestUnfit.
	firstUnfit   = time.Second
	longestUnfit = 10 * time.Second
	// maxUnfit bounds the sizes that a pool remembers.
	maxUnfit = 16
)

// unfit is a size of instances that found no place in a pool, although in sum there was
// room for it, as where each machine has some left.
type unfit struct {
	need  spillway.Resources
	own   bool               // as ownPod says
	room  spillway.Resources // that the pool had then
	until spillway.Instant   // none is started before, unless the room has grown
	wait  time.Duration
}

// foundNoPlace remembers a size. Smaller ones may fit.
func (s *onPremState) foundNoPlace(now spillway.Instant, f *spillway.Function) {
	need, own := f.Instance, ownPod(f)
	room := s.found.Sub(s.used)
	for i := range s.unfit {
		u := &s.unfit[i]
		if u.need != need || u.own != own {
			continue
		}
		switch {
		case now < u.until: // several that were begun together are one
		case now > u.until.Add(2*longestUnfit):
			u.wait = firstUnfit
		default:
			u.wait = min(2*u.wait, longestUnfit)
		}
		u.until = max(u.until, now.Add(u.wait))
		u.room = spillway.Resources{Slots: max(u.room.Slots, room.Slots), MilliCPU: max(u.room.MilliCPU, room.MilliCPU), MiB: max(u.room.MiB, room.MiB)}
		return
	}
	if len(s.unfit) == maxUnfit {
		s.unfit = s.unfit[:copy(s.unfit, s.unfit[1:])]
	}
	s.unfit = append(s.unfit, unfit{need: need, own: own, room: room, until: now.Add(firstUnfit), wait: firstUnfit})
}

// ownPod reports that an instance of f cannot take a pod that waits for any package,
// which may be there where nothing else fits.
func ownPod(f *spillway.Function) bool { return f.Image != "" || f.ServiceAccount != "" }

// fitsAt is when an instance of f may be started, as far as it depends on places: now,
// or later.
func (s *onPremState) fitsAt(now spillway.Instant, f *spillway.Function) spillway.Instant {
	at := now
	for i := range s.unfit {
		if u := &s.unfit[i]; (ownPod(f) || !u.own) && holds(f.Instance, u.need) {
			at = max(at, u.until)
		}
	}
	return at
}

// hasFitted forgets what an instance of f that has its place disproves.
func (s *onPremState) hasFitted(f *spillway.Function) {
	s.forget(func(u *unfit) bool { return (ownPod(f) || !u.own) && holds(f.Instance, u.need) })
}

// holds reports that a is no smaller than b in any dimension.
func holds(a, b spillway.Resources) bool {
	return a.Exceeds(spillway.Resources{}, b) == spillway.DimNone
}

// eased forgets the sizes for which there is more room than when they found no place.
func (s *onPremState) eased() {
	if len(s.unfit) == 0 {
		return
	}
	room := s.found.Sub(s.used)
	s.forget(func(u *unfit) bool { return !holds(u.room, room) })
}

func (s *onPremState) forget(which func(u *unfit) bool) {
	kept := s.unfit[:0]
	for i := range s.unfit {
		if !which(&s.unfit[i]) {
			kept = append(kept, s.unfit[i])
		}
	}
	s.unfit = kept
}
