package agent

import "time"

// cpuShare splits the CPU time of a process between the calls that it runs at once:
// each has an equal part of what is used while they run.
type cpuShare struct {
	calls int
	last  time.Duration // what the process had used when calls changed
	each  time.Duration // what one call would have had that ran all the time
}

// begin adds a call, with what the process has used, and returns its start for end.
func (s *cpuShare) begin(used time.Duration) time.Duration {
	s.move(used)
	s.calls++
	return s.each
}

// end takes a call off. The difference to its start is what it used.
func (s *cpuShare) end(used time.Duration) time.Duration {
	s.move(used)
	s.calls--
	return s.each
}

func (s *cpuShare) move(used time.Duration) {
	if s.calls > 0 && used > s.last {
		s.each += (used - s.last) / time.Duration(s.calls)
	}
	s.last = max(s.last, used)
}
