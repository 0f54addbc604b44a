// Package exits carries ids of instances that ended from those who must not wait to
// one reader that may be slow.
package exits

import (
	"sync"

	"github.com/spillway-dev/spillway"
)

// Queue is safe for concurrent use. New makes one.
type Queue struct {
	out  chan spillway.InstanceID
	wake chan struct{} // has room for one
	stop chan struct{}
	done chan struct{}

	mu      sync.Mutex
	waiting []spillway.InstanceID
}

// New returns an empty queue, which must be closed.
func New() *Queue {
	q := &Queue{
		out:  make(chan spillway.InstanceID),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go q.deliver()
	return q
}

// Out delivers what was added, in order. It is closed by Close.
func (q *Queue) Out() <-chan spillway.InstanceID { return q.out }

// Add never waits.
func (q *Queue) Add(id spillway.InstanceID) {
	q.mu.Lock()
	q.waiting = append(q.waiting, id)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) deliver() {
	defer close(q.done)
	defer close(q.out)
	for {
		select {
		case <-q.wake:
		case <-q.stop:
			return
		}
		q.mu.Lock()
		ids := q.waiting
		q.waiting = nil
		q.mu.Unlock()
		for _, id := range ids {
			select {
			case q.out <- id:
			case <-q.stop:
				return
			}
		}
	}
}

// Close drops what was not read. It may be called once.
func (q *Queue) Close() {
	close(q.stop)
	<-q.done
}
