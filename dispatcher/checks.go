package dispatcher

import "github.com/spillway-dev/spillway"

// checks is a binary heap of the functions whose places are to be looked at, by
// (checkAt, index of the function).
type checks []*functionState

func (c checks) less(i, j int) bool {
	a, b := c[i], c[j]
	return a.checkAt < b.checkAt || a.checkAt == b.checkAt && a.fn.Index < b.fn.Index
}

func (c checks) swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].slot, c[j].slot = i+1, j+1
}

// check asks for a look at the places of fs, unless there is an earlier one.
func (s *onPremState) check(fs *functionState, at spillway.Instant) {
	switch {
	case at == spillway.Never || fs.slot > 0 && fs.checkAt <= at:
		return
	case fs.slot == 0:
		s.checks = append(s.checks, fs)
		fs.slot = len(s.checks)
	}
	fs.checkAt = at
	for i := fs.slot - 1; i > 0 && s.checks.less(i, (i-1)/2); i = (i - 1) / 2 {
		s.checks.swap(i, (i-1)/2)
	}
}

// uncheck takes back what check asked for.
func (s *onPremState) uncheck(fs *functionState) {
	i, last := fs.slot-1, len(s.checks)-1
	if i < 0 {
		return
	}
	s.checks.swap(i, last)
	s.checks[last] = nil
	s.checks = s.checks[:last]
	fs.slot = 0
	if i == last {
		return
	}
	for at := i; at > 0 && s.checks.less(at, (at-1)/2); at = (at - 1) / 2 {
		s.checks.swap(at, (at-1)/2)
	}
	for at := i; ; {
		least := at
		for _, c := range [2]int{2*at + 1, 2*at + 2} {
			if c < last && s.checks.less(c, least) {
				least = c
			}
		}
		if least == at {
			return
		}
		s.checks.swap(at, least)
		at = least
	}
}

// nextCheck is when lookAfter has work, or Never.
func (s *onPremState) nextCheck() spillway.Instant {
	if len(s.checks) == 0 {
		return spillway.Never
	}
	return s.checks[0].checkAt
}
