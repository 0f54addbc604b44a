package process

import (
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"
)

// watchdogInterval is how long a function may be over its limit unnoticed.
const watchdogInterval = 50 * time.Millisecond

// watchdog limits memory where no cgroup can be had: it adds up the resident
// memory of each instance's process tree, shared pages counted every time. It
// remembers what it saw, so that a process that left its group is known.
type watchdog struct {
	reason string // why there is no cgroup
	stop   chan struct{}
	done   chan struct{}

	mu      sync.Mutex
	watched map[*watched]bool
}

func openWatchdog(reason string) *watchdog {
	w := &watchdog{reason: reason, stop: make(chan struct{}), done: make(chan struct{}), watched: map[*watched]bool{}}
	go w.run()
	return w
}

func (w *watchdog) describe() string {
	return "a watchdog that adds up resident memory every " + watchdogInterval.String() + " (" + w.reason + ")"
}

func (w *watchdog) close() {
	close(w.stop)
	<-w.done
}

func (w *watchdog) run() {
	defer close(w.done)
	ticks := time.NewTicker(watchdogInterval)
	defer ticks.Stop()
	for {
		select {
		case <-w.stop:
			return
		case <-ticks.C:
			w.scan()
		}
	}
}

func (w *watchdog) scan() {
	w.mu.Lock()
	all := slices.Collect(maps.Keys(w.watched))
	w.mu.Unlock()
	for _, one := range all {
		one.scan()
	}
}

func (w *watchdog) limiter(_ int, mib int64) (limiter, error) {
	return &watched{owner: w, limit: mib << 20, seen: map[int]uint64{}}, nil
}

// watched is the limiter of one instance.
type watched struct {
	owner *watchdog
	limit int64

	mu       sync.Mutex
	seen     map[int]uint64 // start time by pid, of all processes of the tree ever seen alive
	most     int64
	exceeded bool
	closed   bool
}

func (t *watched) enter(pid int) error {
	s, err := readStat(pid)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.seen[pid] = s.started
	t.mu.Unlock()
	t.owner.mu.Lock()
	t.owner.watched[t] = true
	t.owner.mu.Unlock()
	return nil
}

func (t *watched) peak() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.most
}

func (t *watched) overran() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.exceeded
}

// scan adds up the tree and kills it when it is over the limit.
func (t *watched) scan() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	used := t.grow()
	t.most = max(t.most, used)
	if used > t.limit {
		t.exceeded = true
		t.kill()
	}
}

// grow follows the children of all known processes, forgets those that ended, and
// returns the resident bytes of the rest; mu is held.
func (t *watched) grow() (bytes int64) {
	queue := slices.Collect(maps.Keys(t.seen))
	for len(queue) > 0 {
		pid := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		s, err := readStat(pid)
		if err != nil || s.started != t.seen[pid] || s.ended() {
			delete(t.seen, pid)
			continue
		}
		bytes += s.resident
		for _, child := range children(pid) {
			if _, known := t.seen[child]; known {
				continue
			}
			if c, err := readStat(child); err == nil {
				t.seen[child] = c.started
				queue = append(queue, child)
			}
		}
	}
	return bytes
}

func (t *watched) kill() {
	for pid, started := range t.seen {
		if s, err := readStat(pid); err == nil && s.started == started {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func (t *watched) empty() {
	t.owner.mu.Lock()
	delete(t.owner.watched, t)
	t.owner.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for t.grow(); len(t.seen) > 0; t.grow() {
		t.kill()
		time.Sleep(time.Millisecond)
	}
}
