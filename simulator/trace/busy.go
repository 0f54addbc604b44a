package trace

import "time"

const (
	slotBits = 24      // a slot is 2^24 ns, about 17 ms
	maxSlots = 1 << 20 // of the ring: 4.9 hours
)

// busy counts calls that execute at once, exactly. Ends lie in lists of one slot each, and
// only those of the current slot, or beyond the ring, in order.
type busy struct {
	count int64
	slot  int64  // the current one
	heads []node // of each slot's list
	nodes []busyEnd
	free  node
	now   ends
}

// node is a place in nodes + 1; 0: none.
type node int32

type busyEnd struct {
	at   time.Duration
	next node
}

// start adds a call and returns how many execute then. Calls come in order of at.
func (b *busy) start(at, duration time.Duration) int64 {
	b.advance(at)
	if duration > 0 {
		b.count++
		b.put(at + duration)
	}
	return b.count
}

// advance takes calls away that end at or before a time.
func (b *busy) advance(at time.Duration) {
	target := int64(at >> slotBits)
	for range min(target-b.slot, int64(len(b.heads))) {
		b.slot++
		head := &b.heads[b.slot&int64(len(b.heads)-1)]
		for *head != 0 {
			b.now.push(b.take(head))
		}
		b.drop(at)
	}
	b.slot = target
	b.drop(at)
}

func (b *busy) drop(at time.Duration) {
	for len(b.now) > 0 && b.now[0] <= at {
		b.now.pop()
		b.count--
	}
}

// put keeps an end.
func (b *busy) put(at time.Duration) {
	slot := int64(at >> slotBits)
	for slot-b.slot >= int64(len(b.heads)) && len(b.heads) < maxSlots {
		b.grow()
	}
	if slot <= b.slot || slot-b.slot >= int64(len(b.heads)) {
		b.now.push(at)
		return
	}
	if b.free == 0 {
		b.nodes = append(b.nodes, busyEnd{})
		b.free = node(len(b.nodes))
	}
	n := b.free
	head := &b.heads[slot&int64(len(b.heads)-1)]
	b.free = b.nodes[n-1].next
	b.nodes[n-1] = busyEnd{at, *head}
	*head = n
}

// take removes the first end of a list.
func (b *busy) take(head *node) time.Duration {
	n := *head
	end := &b.nodes[n-1]
	*head, end.next, b.free = end.next, b.free, n
	return end.at
}

// grow doubles the ring.
func (b *busy) grow() {
	old := b.heads
	b.heads = make([]node, max(1<<10, 2*len(old)))
	for _, head := range old {
		for n := head; n != 0; {
			end := &b.nodes[n-1]
			next := end.next
			place := &b.heads[int64(end.at>>slotBits)&int64(len(b.heads)-1)]
			end.next, *place = *place, n
			n = next
		}
	}
}

// ends is a heap of the times at which calls end, four children a node.
type ends []time.Duration

func (e *ends) push(at time.Duration) {
	*e = append(*e, at)
	q := *e
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 4
		if q[up] <= at {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = at
}

func (e *ends) pop() {
	q := *e
	last := len(q) - 1
	at := q[last]
	q = q[:last]
	*e = q
	if last == 0 {
		return
	}
	i := 0
	for {
		least := 4*i + 1
		if least >= last {
			break
		}
		for c := least + 1; c < min(least+4, last); c++ {
			if q[c] < q[least] {
				least = c
			}
		}
		if q[least] >= at {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = at
}
