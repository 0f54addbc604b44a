package simulator

import (
	"time"

	"github.com/spillway-dev/spillway"
)

type eventKind uint8

const (
	callEnds eventKind = iota
	instanceReady
	instanceStopped
	environmentFree // after its caller had given up
)

// event is something that the pools do at an instant. Two share a cache line.
type event struct {
	at   spillway.Instant
	seq  uint64 // order among equals
	what uint64 // callEnds: the flight's number; environmentFree: the function; else the instance
	turn uint32 // callEnds: which start of the flight it ends
	kind eventKind
	pool uint8
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// events are the events to come. Most come soon; they have a heap of their own, which
// stays small and in the caches whatever runs for long. Some of the earliest are taken
// off the heaps ahead of their time, so that what they are about can be fetched
// together.
type events struct {
	soon, late heap
	near       []event // off the heaps, in order
	seq        uint64
	buffer     [eventsAhead]event
}

const (
	eventsAhead = 32
	soonIs      = 4 * time.Second // from now
)

// first is the earliest event, or nil.
func (q *events) first() *event {
	e := q.earlier().first()
	if len(q.near) > 0 && (e == nil || q.near[0].before(e)) {
		e = &q.near[0]
	}
	return e
}

// earlier is the heap with the earlier of their first events.
func (q *events) earlier() *heap {
	if s, l := q.soon.first(), q.late.first(); l != nil && (s == nil || l.before(s)) {
		return &q.late
	}
	return &q.soon
}

func (q *events) next() spillway.Instant {
	if e := q.first(); e != nil {
		return e.at
	}
	return spillway.Never
}

func (q *events) empty() bool { return q.first() == nil }

func (q *events) push(now spillway.Instant, e event) {
	q.seq++
	e.seq = q.seq
	if e.at < now.Add(soonIs) {
		q.soon.push(e)
	} else {
		q.late.push(e)
	}
}

// fill takes the earliest events off the heaps, when near is empty.
func (q *events) fill() []event {
	q.near = q.buffer[:min(len(q.soon)+len(q.late), eventsAhead)]
	for i := range q.near {
		q.near[i] = q.earlier().pop()
	}
	return q.near
}

// pop takes the earliest event; there must be one.
func (q *events) pop() event {
	h := q.earlier()
	if e := h.first(); len(q.near) == 0 || e != nil && e.before(&q.near[0]) {
		return h.pop()
	}
	e := q.near[0]
	q.near = q.near[1:]
	return e
}

// heap is one of fan-out four, typed so that it does not allocate per item: half as
// deep as a binary one, and children share cache lines.
type heap []event

func (h heap) first() *event {
	if len(h) == 0 {
		return nil
	}
	return &h[0]
}

func (h *heap) push(e event) {
	q := append(*h, e)
	*h = q
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q[up]) {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = e
}

func (h *heap) pop() event {
	q := *h
	top, last := q[0], len(q)-1
	e := q[last]
	q = q[:last]
	*h = q
	if last == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= last {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, last); c++ {
			if q[c].before(&q[least]) {
				least = c
			}
		}
		if !q[least].before(&e) {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = e
	return top
}
