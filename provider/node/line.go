package node

import (
	"sync"

	"k8s.io/client-go/util/workqueue"
)

// share is of how many that are taken one is of those in no hurry, while there are both.
const share = 8

// line is the order in which pods are looked at: those whose guests have changed or are to
// go, and those that are deleted, come first, so that nothing of them is late because many
// pods begin; and those that begin have their share. Its queue calls Touch, Push, Len and
// Pop under a lock of its own; hurry is safe for use by many goroutines.
type line struct {
	mu          sync.Mutex
	hurried     map[virtual]bool // in first, or so when they are pushed
	waits       map[virtual]bool // in rest
	left        map[virtual]int  // places in rest that they have left
	first, rest []virtual
	ahead       int // taken of first since one was taken of rest
}

func newLine() *line {
	return &line{hurried: map[virtual]bool{}, waits: map[virtual]bool{}, left: map[virtual]int{}}
}

// queue looks at pods in the order of the line, and holds back what has failed.
func (l *line) queue(limit workqueue.TypedRateLimiter[virtual]) workqueue.TypedRateLimitingInterface[virtual] {
	plain := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[virtual]{Queue: l})
	return workqueue.NewTypedRateLimitingQueueWithConfig(limit, workqueue.TypedRateLimitingQueueConfig[virtual]{
		DelayingQueue: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[virtual]{Queue: plain}),
	})
}

// hurry has v come first from when it is added next until it is looked at.
func (l *line) hurry(v virtual) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hurried[v] = true
}

// Touch is called when v is added that is in line.
func (l *line) Touch(v virtual) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hurried[v] || !l.waits[v] {
		return
	}
	delete(l.waits, v)
	l.left[v]++
	l.first = append(l.first, v)
}

// Push is called when v is added that is not in line.
func (l *line) Push(v virtual) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hurried[v] {
		l.first = append(l.first, v)
		return
	}
	l.waits[v] = true
	l.rest = append(l.rest, v)
}

// Len is how many are in line.
func (l *line) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.first) + len(l.waits)
}

// Pop takes the next out of the line, which is not empty.
func (l *line) Pop() virtual {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.first) > 0 && (len(l.waits) == 0 || l.ahead < share-1) {
		v := l.first[0]
		l.first = l.first[1:]
		delete(l.hurried, v)
		l.ahead++
		return v
	}
	l.ahead = 0
	for {
		v := l.rest[0]
		l.rest = l.rest[1:]
		if l.left[v] == 0 {
			delete(l.waits, v)
			return v
		}
		if l.left[v]--; l.left[v] == 0 {
			delete(l.left, v)
		}
	}
}
