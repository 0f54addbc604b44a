package trace

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// row is one call as a file says it.
type row struct {
	at       int64         // nanoseconds since the format's epoch
	duration time.Duration // -1: not said
	init     time.Duration // -1: not said
	function int32
}

// rowReader makes a call of one line's fields, or says why the line is skipped.
type rowReader func(l *lines, fields [][]byte) (row, string, error)

// rowFormat is a format with a row per call.
type rowFormat struct {
	epoch time.Time
	read  func(f file, n *names) (rowReader, error)
}

var rowFormats = map[Format]rowFormat{
	Azure2021: {epoch2021, read2021},
	LLM:       {usageEpoch, readLLM},
	Usage:     {usageEpoch, readUsage},
}

// part is one file and what the first reading of it found.
type part struct {
	file
	rows        int64
	first, last int64 // least and greatest start
	late        int64 // by how much a start lies before an earlier line's, at most
}

// openRows reads all files once, for their functions and how far their lines are
// out of order; calls then come from a second reading.
func openRows(ctx context.Context, t *Trace, files []file, o Options) error {
	m := &merged{format: rowFormats[t.format], names: newNames(o), seed: o.Seed}
	seen := &durations{}
	for _, f := range files {
		p, err := m.survey(ctx, f, &t.skipped, seen)
		if err != nil {
			return err
		}
		if p.rows > 0 {
			m.parts = append(m.parts, p)
		}
	}
	if len(m.parts) == 0 {
		return &Error{File: files[0].path, Problem: "no call in it", Remedy: "the file may be cut off"}
	}
	slices.SortStableFunc(m.parts, func(a, b part) int { return compare(a.first, b.first) })
	last := m.parts[0].last
	t.calls = 0
	for _, p := range m.parts {
		t.calls += p.rows
		last = max(last, p.last)
	}
	m.base = m.parts[0].first
	t.start = m.format.epoch.Add(time.Duration(m.base))
	t.length = time.Duration(last - m.base + 1)
	seen.fill(m.names.functions)
	t.undurated = seen.missing
	t.functions, t.defaulted = m.names.functions, defaultDuration(m.names.functions)
	m.defaulted = &t.defaulted
	t.source = m
	return m.rewind()
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (m *merged) survey(ctx context.Context, f file, skipped *skips, seen *durations) (part, error) {
	p := part{file: f}
	read, err := m.format.read(f, m.names)
	if err != nil {
		return p, err
	}
	err = rowsOf(f, func(l *lines, fields [][]byte) error {
		if l.line&4095 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r, skip, err := read(l, fields)
		if err != nil {
			return err
		}
		if skip != "" {
			skipped.add(f.path, l.line, skip, 1, 1)
			return nil
		}
		if len(m.names.functions) > m.names.most {
			return l.fail(fmt.Sprintf("more than %d functions", m.names.most), "split the trace")
		}
		if p.rows == 0 {
			p.first, p.last = r.at, r.at
		}
		p.first, p.late = min(p.first, r.at), max(p.late, p.last-r.at)
		p.last = max(p.last, r.at)
		p.rows++
		seen.add(r)
		return nil
	})
	return p, err
}

// merged yields the calls of all files in order.
type merged struct {
	format    rowFormat
	names     *names
	defaulted *Quantiles
	seed      uint64
	base      int64 // At = row.at − base

	parts    []part    // by first
	opened   int       // of parts
	streams  []*stream // open, each with a first call
	random   rand.PCG
	lastCall int64
}

func (m *merged) next(into []Call) (int, error) {
	for i := range into {
		s, err := m.least()
		if err != nil {
			return i, err
		}
		if s == nil {
			if i == 0 {
				return 0, io.EOF
			}
			return i, nil
		}
		r := s.pending.pop()
		if into[i], err = m.call(s, r.row); err != nil {
			return i, err
		}
		if err := m.advance(s); err != nil {
			return i, err
		}
	}
	return len(into), nil
}

func (m *merged) call(s *stream, r row) (Call, error) {
	if r.at < m.lastCall || r.at < m.base {
		return Call{}, s.changed()
	}
	m.lastCall = r.at
	c := Call{At: time.Duration(r.at - m.base), Duration: r.duration, Init: r.init, Function: r.function}
	if c.Duration < 0 {
		q := &m.names.functions[r.function].Duration
		if !q.known {
			q = m.defaulted
		}
		c.Duration = q.draw(m.random.Uint64())
	}
	return c, nil
}

// least returns the stream with the next call, nil at the end. Files are opened
// when their first call may be the next.
func (m *merged) least() (*stream, error) {
	for {
		var best *stream
		for _, s := range m.streams {
			if best == nil || s.pending[0].before(&best.pending[0]) {
				best = s
			}
		}
		if m.opened == len(m.parts) || best != nil && best.pending[0].at < m.parts[m.opened].first {
			return best, nil
		}
		if err := m.open(&m.parts[m.opened]); err != nil {
			return nil, err
		}
	}
}

func (m *merged) open(p *part) error {
	read, err := m.format.read(p.file, m.names)
	if err != nil {
		return err
	}
	l, err := openLines(p.path)
	if err != nil {
		return err
	}
	s := &stream{part: p, lines: l, read: read, functions: len(m.names.functions)}
	m.streams = append(m.streams, s)
	m.opened++
	if _, err := l.record(); err != nil {
		return s.changed()
	}
	return m.advance(s)
}

// advance makes the stream's next call ready, or closes it.
func (m *merged) advance(s *stream) error {
	if err := s.fill(); err != nil {
		return err
	}
	if len(s.pending) > 0 {
		return nil
	}
	s.lines.close()
	m.streams = slices.DeleteFunc(m.streams, func(o *stream) bool { return o == s })
	return nil
}

func (m *merged) rewind() error {
	if err := m.close(); err != nil {
		return err
	}
	m.opened, m.lastCall = 0, m.base
	m.random.Seed(m.seed^streamDraw, 0)
	return nil
}

func (m *merged) close() error {
	for _, s := range m.streams {
		s.lines.close()
	}
	m.streams, m.opened = nil, len(m.parts)
	return nil
}
