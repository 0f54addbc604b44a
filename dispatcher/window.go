package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// sliding counts events over the last ten steps and the current one, so that no
// interval of ten steps ever holds more than the limit it is checked against.
type sliding struct {
	step   time.Duration
	last   int64 // index of the current step
	counts [11]int32
	total  int64
}

func (s *sliding) roll(now spillway.Instant) {
	at := int64(now) / int64(s.step)
	if at-s.last >= int64(len(s.counts)) {
		s.counts, s.total, s.last = [11]int32{}, 0, at
		return
	}
	for s.last < at {
		s.last++
		slot := &s.counts[s.last%int64(len(s.counts))]
		s.total -= int64(*slot)
		*slot = 0
	}
}

func (s *sliding) add(now spillway.Instant) {
	s.roll(now)
	s.counts[s.last%int64(len(s.counts))]++
	s.total++
}

func (s *sliding) sum(now spillway.Instant) int64 {
	s.roll(now)
	return s.total
}
