package simulator

import "github.com/spillway-dev/spillway"

type eventKind uint8

const (
	callEnds eventKind = iota
	instanceReady
	instanceStopped
	environmentFree // after its caller had given up
)

// event is something that the pools do at an instant.
type event struct {
	at       spillway.Instant
	seq      uint64 // order among equals
	flight   *flight
	instance spillway.InstanceID
	turn     uint32 // callEnds: which start of the flight it ends; environmentFree: the function
	kind     eventKind
	pool     uint8
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// events is a heap of fan-out four, typed so that it does not allocate per item:
// half as deep as a binary one, and children share cache lines.
type events struct {
	heap []event
	seq  uint64
}

func (q *events) next() spillway.Instant {
	if len(q.heap) == 0 {
		return spillway.Never
	}
	return q.heap[0].at
}

func (q *events) push(e event) {
	q.seq++
	e.seq = q.seq
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

func (q *events) pop() event {
	top := q.heap[0]
	last := len(q.heap) - 1
	e := q.heap[last]
	q.heap[last] = event{}
	q.heap = q.heap[:last]
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
			if q.heap[c].before(&q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(&e) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = e
	return top
}
