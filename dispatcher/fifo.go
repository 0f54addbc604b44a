package dispatcher

import "slices"

// handleFIFO is a queue of calls that reuses its memory.
type handleFIFO struct {
	items []Handle
	head  int
}

func (q *handleFIFO) len() int { return len(q.items) - q.head }

func (q *handleFIFO) push(h Handle) {
	if q.head > 32 && q.head > len(q.items)/2 {
		q.items, q.head = q.items[:copy(q.items, q.items[q.head:])], 0
	}
	q.items = append(q.items, h)
}

func (q *handleFIFO) pop() (Handle, bool) {
	if q.len() == 0 {
		return 0, false
	}
	h := q.items[q.head]
	q.head++
	return h, true
}

// among reports that h is one of the first n.
func (q *handleFIFO) among(h Handle, n int) bool {
	return slices.Contains(q.items[q.head:q.head+min(n, q.len())], h)
}

// remove takes h out wherever it is.
func (q *handleFIFO) remove(h Handle) {
	for i := q.head; i < len(q.items); i++ {
		if q.items[i] == h {
			q.items = append(q.items[:i], q.items[i+1:]...)
			return
		}
	}
}
