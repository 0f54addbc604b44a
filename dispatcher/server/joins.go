package server

import (
	"container/list"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
)

const (
	// joinMemory is how long the end of a request is remembered.
	joinMemory = 15 * time.Minute
	// maxJoins and maxJoinBytes bound what is remembered; results go first, the
	// fact that a request has ended goes last.
	maxJoins     = 200_000
	maxJoinBytes = 64 << 20
)

// joinTable makes one call of the repeated attempts of one request.
type joinTable struct {
	mu       sync.Mutex
	seed     maphash.Seed
	byKey    map[string]*join
	finished list.List // *join, oldest first
	withBody list.List // *join that hold a result, oldest first
	bytes    int
}

type join struct {
	key    string
	digest uint64 // of the payload; zero if not known
	done   chan struct{}
	answer *Answer
	err    error
	ended  time.Time
	slot   *list.Element // in finished
	body   *list.Element // in withBody
}

// newJoinTable knows keys as ended, with results that are gone.
func newJoinTable(keys []string) *joinTable {
	t := &joinTable{seed: maphash.MakeSeed(), byKey: map[string]*join{}}
	now := time.Now()
	for _, key := range keys {
		j := &join{key: key, done: make(chan struct{}), err: ErrResultGone, ended: now}
		close(j.done)
		t.byKey[key] = j
		j.slot = t.finished.PushBack(j)
	}
	return t
}

// join returns the request's first attempt, and whether this is it.
func (t *joinTable) join(key string, payload []byte) (*join, bool, error) {
	digest := maphash.Bytes(t.seed, payload) | 1
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(time.Now())
	if j := t.byKey[key]; j != nil {
		if j.digest != 0 && j.digest != digest {
			return nil, false, ErrKeyReused
		}
		return j, false, nil
	}
	j := &join{key: key, digest: digest, done: make(chan struct{})}
	t.byKey[key] = j
	return j, true, nil
}

// finish hands the end to all who joined. A request that was refused before
// anything ran is forgotten: its next attempt is a new call.
func (t *joinTable) finish(key string, j *join, a *Answer, err error) {
	j.answer, j.err = a, err
	close(j.done)
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, ErrDraining) || errors.Is(err, errNotBegun) || err == nil && neverRan(a.Decision) {
		delete(t.byKey, key)
		return
	}
	j.ended = time.Now()
	j.slot = t.finished.PushBack(j)
	if a == nil {
		return
	}
	j.body = t.withBody.PushBack(j)
	t.bytes += weight(a)
	for t.bytes > maxJoinBytes {
		t.dropBody(t.withBody.Front().Value.(*join))
	}
	for t.finished.Len() > maxJoins {
		t.drop(t.finished.Front())
	}
}

// neverRan reports that a call was refused and none of its attempts can have run.
func neverRan(d *dispatcher.Decision) bool {
	for i := range d.Attempts[:d.Tries] {
		if d.Attempts[i].Outcome.Class != spillway.NotExecuted {
			return false
		}
	}
	return d.Refusal != spillway.ReasonNone
}

// weight is about how much memory an answer takes.
func weight(a *Answer) int { return len(a.Payload) + len(a.LogTail) + 3<<10 }

// dropBody forgets a result, but not that the request was answered.
func (t *joinTable) dropBody(j *join) {
	t.withBody.Remove(j.body)
	t.bytes -= weight(j.answer)
	gone := &join{key: j.key, digest: j.digest, done: j.done, err: ErrResultGone, ended: j.ended, slot: j.slot}
	t.byKey[j.key], j.slot.Value = gone, gone
}

func (t *joinTable) forget(now time.Time) {
	for e := t.finished.Front(); e != nil && now.Sub(e.Value.(*join).ended) > joinMemory; e = t.finished.Front() {
		t.drop(e)
	}
}

func (t *joinTable) drop(e *list.Element) {
	j := t.finished.Remove(e).(*join)
	delete(t.byKey, j.key)
	if j.body != nil {
		t.withBody.Remove(j.body)
		t.bytes -= weight(j.answer)
	}
}
