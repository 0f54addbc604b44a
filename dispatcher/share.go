package dispatcher

import (
	"math/bits"
	"time"

	"github.com/spillway-dev/spillway"
)

// shareSteps is how many steps a share's window has. Work is forgotten a step at
// a time.
const shareSteps = 60

// work is an amount of calls and of MiB-milliseconds, in clouds and in all.
type work struct {
	calls, cloudCalls         int64
	mibMillis, cloudMiBMillis int64
}

func (w *work) add(o work, sign int64) {
	w.calls += sign * o.calls
	w.cloudCalls += sign * o.cloudCalls
	w.mibMillis += sign * o.mibMillis
	w.cloudMiBMillis += sign * o.cloudMiBMillis
}

// share holds a burst policy's work of a sliding window to its maxBurstShare.
type share struct {
	limit spillway.BurstShare
	last  int64 // index of the current step
	steps [shareSteps + 1]work
	sum   work
}

func newShare(limit *spillway.BurstShare) *share {
	if limit == nil {
		return nil
	}
	return &share{limit: *limit}
}

func (s *share) step() int64 { return max(int64(s.limit.Window)/shareSteps, int64(time.Millisecond)) }

func (s *share) roll(now spillway.Instant) *work {
	at := int64(now) / s.step()
	if at-s.last > shareSteps {
		s.steps, s.sum, s.last = [shareSteps + 1]work{}, work{}, at
	}
	for s.last < at {
		s.last++
		slot := &s.steps[s.last%(shareSteps+1)]
		s.sum.add(*slot, -1)
		*slot = work{}
	}
	return &s.steps[s.last%(shareSteps+1)]
}

func (s *share) add(now spillway.Instant, w work) {
	s.roll(now).add(w, 1)
	s.sum.add(w, 1)
}

// check reports whether one more cloud call keeps the share, and the percentage
// that it would make. worst is the MiB-milliseconds that it and those in flight may
// use.
func (s *share) check(now spillway.Instant, worst int64) (percent int64, ok bool) {
	s.roll(now)
	part, whole := s.sum.cloudCalls+1, s.sum.calls+1
	if s.limit.Of == spillway.ShareGiBSeconds {
		part, whole = s.sum.cloudMiBMillis+worst, s.sum.mibMillis+worst
	}
	if s.sum.calls < s.limit.Minimum {
		return 0, true
	}
	percent = percentUp(part, whole)
	return percent, percent <= s.limit.Percent
}

// percent is the share of clouds in the window now.
func (s *share) percent(now spillway.Instant) int64 {
	s.roll(now)
	if s.limit.Of == spillway.ShareGiBSeconds {
		return percentUp(s.sum.cloudMiBMillis, s.sum.mibMillis)
	}
	return percentUp(s.sum.cloudCalls, s.sum.calls)
}

// percentUp returns part of whole in percent, rounded up; 0 ≤ part ≤ whole.
func percentUp(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(part), 100)
	q, rest := bits.Div64(hi, lo, uint64(whole))
	if rest > 0 {
		q++
	}
	return int64(q)
}
