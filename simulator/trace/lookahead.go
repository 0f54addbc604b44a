package trace

import "fmt"

// maxPending bounds the calls that are held back because lines are out of order.
const maxPending = 1 << 24

// stream reads one file and holds calls back until no earlier one can follow.
type stream struct {
	*part
	lines     *lines
	read      rowReader
	functions int // that the first reading found
	pending   pending
	latest    int64
	rowsRead  int64
	ended     bool
}

// fill reads until the first pending call is the next one.
func (s *stream) fill() error {
	for !s.ended && (len(s.pending) == 0 || s.pending[0].at >= s.latest-s.late) {
		fields, err := s.lines.row(len(s.head))
		if err != nil {
			return err
		}
		if fields == nil {
			s.ended = true
			if s.rowsRead != s.rows {
				return s.changed()
			}
			return nil
		}
		r, skip, err := s.read(s.lines, fields)
		if err != nil {
			return err
		}
		if skip != "" {
			continue
		}
		if err := s.push(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *stream) push(r row) error {
	if s.rowsRead++; s.rowsRead == 1 || r.at > s.latest {
		s.latest = r.at
	}
	if int(r.function) >= s.functions || s.rowsRead > s.rows {
		return s.changed()
	}
	if len(s.pending) >= maxPending {
		return s.lines.fail(fmt.Sprintf("lines are so far out of order that %d calls wait for an earlier one", maxPending), "sort the file by the time of arrival")
	}
	s.pending.push(held{r, s.rowsRead})
	return nil
}

func (s *stream) changed() error {
	return s.lines.fail("the file is not what it was when the trace was opened", "do not write to a trace that is being read")
}

// held is a call that waits for earlier ones.
type held struct {
	row
	line int64
}

func (h *held) before(o *held) bool {
	if h.at != o.at {
		return h.at < o.at
	}
	if h.function != o.function {
		return h.function < o.function
	}
	return h.line < o.line
}

// pending is a heap, the first call on top.
type pending []held

func (p *pending) push(h held) {
	*p = append(*p, h)
	q := *p
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !q[i].before(&q[up]) {
			return
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
}

func (p *pending) pop() held {
	q := *p
	top := q[0]
	last := len(q) - 1
	q[0] = q[last]
	q = q[:last]
	*p = q
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return top
		}
		if down+1 < last && q[down+1].before(&q[down]) {
			down++
		}
		if !q[down].before(&q[i]) {
			return top
		}
		q[i], q[down] = q[down], q[i]
		i = down
	}
}
