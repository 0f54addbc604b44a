package dispatcher

import "github.com/spillway-dev/spillway"

// timer asks for attention at an instant. It is not cancelled: when it fires for
// a call that has moved on, it does nothing.
type timer struct {
	at   spillway.Instant
	seq  uint64 // order among equals
	call Handle // zero for an open attempt
	open int    // position in Engine.open
}

// timers is a binary heap by (at, seq), typed so that it does not allocate per item.
type timers struct {
	heap []timer
	seq  uint64
}

func (t *timers) less(i, j int) bool {
	a, b := &t.heap[i], &t.heap[j]
	return a.at < b.at || (a.at == b.at && a.seq < b.seq)
}

func (t *timers) push(n timer) {
	t.seq++
	n.seq = t.seq
	t.heap = append(t.heap, n)
	for i := len(t.heap) - 1; i > 0; {
		up := (i - 1) / 2
		if !t.less(i, up) {
			return
		}
		t.heap[i], t.heap[up] = t.heap[up], t.heap[i]
		i = up
	}
}

// pop returns the earliest timer due at now.
func (t *timers) pop(now spillway.Instant) (timer, bool) {
	if len(t.heap) == 0 || t.heap[0].at > now {
		return timer{}, false
	}
	top, last := t.heap[0], len(t.heap)-1
	t.heap[0] = t.heap[last]
	t.heap = t.heap[:last]
	for i := 0; ; {
		least := i
		for _, c := range [2]int{2*i + 1, 2*i + 2} {
			if c < last && t.less(c, least) {
				least = c
			}
		}
		if least == i {
			return top, true
		}
		t.heap[i], t.heap[least] = t.heap[least], t.heap[i]
		i = least
	}
}

func (t *timers) next() spillway.Instant {
	if len(t.heap) == 0 {
		return spillway.Never
	}
	return t.heap[0].at
}
