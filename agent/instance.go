package agent

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// Event is one invocation.
type Event struct {
	ID            string // the request id the function sees
	Payload       []byte // not modified, not kept after Invoke returns
	ClientContext string // JSON, not base64; empty if none
	TraceID       string
	Deadline      time.Time // the process group is killed then
	LogTail       bool      // keep the end of the log for Ending.LogTail
}

// Instance is one running function process. Its methods are safe for concurrent
// use; it runs one invocation at a time.
type Instance struct {
	config Config
	proc   *process
	out    *output
	server *http.Server
	cold   pools.ColdStart
	web    *webSide // of a web function; nil for the Runtime API, and server is nil then

	exited chan struct{} // closed when the process is reaped and its group is gone

	mu       sync.Mutex
	waiting  chan *call // the newest poll for an event, nil if none
	pending  *call      // accepted, not yet fetched
	running  *call      // fetched, not yet ended
	invoked  bool       // an event was fetched before
	killed   bool
	closed   bool // no request is served any more
	requests int  // being served
	quiet    chan struct{}
	initErr  *pools.StartError // what the function posted to init/error
	ready    chan struct{}     // closed at the first poll
	isReady  bool
	peak     int64     // most memory seen, in bytes
	sampled  time.Time // when peak was last read
	exceeded bool      // something was killed for using too much memory
}

// call is an invocation inside an Instance; fields below done are guarded by Instance.mu.
type call struct {
	event Event
	done  chan struct{} // closed when the function asks for the next event

	fetched  time.Time // handed to the function; zero before
	first    bool      // of the instance
	sent     bool      // the event has left completely
	answered time.Time // zero while there is no answer; of a web call, when its exchange ended
	payload  []byte
	failed   bool // payload is an error
	tooLarge bool
	cpu      time.Duration  // of the process when the event was fetched
	cause    spillway.Cause // why the process was killed, of a web call
	// untouched says of a web call that it got no connection after all.
	untouched bool
}

// Done is closed when the process has been reaped and its group is gone.
func (i *Instance) Done() <-chan struct{} { return i.exited }

// ColdStart returns how long the start took; Unpack is the caller's to add.
func (i *Instance) ColdStart() pools.ColdStart { return i.cold }

// Pid is the process id, which is also the id of its process group.
func (i *Instance) Pid() int { return i.proc.pid }

// Invoke runs one event and blocks until its execution has ended: the function
// asked for the next one, or its process group was killed and reaped. Cancelling
// ctx kills it. When ctx or the deadline is over, another invocation is running or
// the process has ended, it returns at once with Delivered false.
func (i *Instance) Invoke(ctx context.Context, e Event) Ending {
	switch {
	case ctx.Err() != nil:
		return Ending{Cause: spillway.CauseCancelled}
	case !time.Now().Before(e.Deadline):
		return Ending{Cause: spillway.CauseTimeout}
	}
	c := &call{event: e, done: make(chan struct{})}
	if !i.offer(c) {
		return Ending{Cause: spillway.CauseCrashed, InstanceGone: i.gone()}
	}
	timer := time.NewTimer(time.Until(e.Deadline))
	defer timer.Stop()
	cause := spillway.CauseNone
	select {
	case <-c.done:
	case <-i.exited:
	case <-timer.C:
		cause = i.abandon(c, spillway.CauseTimeout)
	case <-ctx.Done():
		cause = i.abandon(c, spillway.CauseCancelled)
	}
	return i.settle(c, cause)
}

// offer makes c the invocation of i, unless there is one or the process is ending.
func (i *Instance) offer(c *call) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || i.killed || i.pending != nil || i.running != nil {
		return false
	}
	i.out.begin(startLine(c.event.ID, i.config.Version), c.event.LogTail)
	if i.waiting == nil {
		i.pending = c
		return true
	}
	i.fetch(c)
	i.waiting <- c // has room for one
	i.waiting = nil
	return true
}

// fetch records that the function gets c now; mu is held.
func (i *Instance) fetch(c *call) {
	c.first, i.invoked = !i.invoked, true
	c.fetched = time.Now()
	c.cpu = cpuTime(i.proc.pid)
	i.running = c
}

// abandon withdraws c if it was not fetched yet, else kills the process group and
// waits until it is gone. It returns CauseNone when c ended by itself first.
func (i *Instance) abandon(c *call, cause spillway.Cause) spillway.Cause {
	i.mu.Lock()
	switch {
	case i.pending == c:
		i.pending = nil
		i.mu.Unlock()
		return cause
	case i.running != c:
		i.mu.Unlock()
		return spillway.CauseNone
	}
	i.killLocked()
	i.mu.Unlock()
	<-i.exited
	return cause
}

// Stop kills the process group and blocks until it is reaped. Functions get no
// SIGTERM, as on Lambda without extensions.
func (i *Instance) Stop() {
	i.mu.Lock()
	i.killLocked()
	i.mu.Unlock()
	<-i.exited
}

// killLocked signals the group; once the leader is being reaped it does nothing.
func (i *Instance) killLocked() {
	if !i.closed && !i.killed {
		i.killed = true
		i.proc.kill()
	}
}

// Kill signals the process group and does not wait. An invocation in flight ends as crashed.
func (i *Instance) Kill() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.killLocked()
}

func (i *Instance) gone() bool {
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// supervise follows the process to its end, and cleans up after it.
func (i *Instance) supervise() {
	i.proc.awaitExit()
	i.mu.Lock()
	i.closed = true
	if i.requests == 0 {
		close(i.quiet)
	}
	i.mu.Unlock()

	if i.server != nil {
		i.server.Close()
	}
	<-i.quiet // nobody reads the payload of an event any more
	i.proc.reap()
	if cage := i.config.Cage; cage != nil {
		peak, exceeded := cage.Peak(), cage.Overran()
		cage.Empty()
		i.mu.Lock()
		i.peak, i.exceeded = max(i.peak, peak), exceeded
		i.mu.Unlock()
	}
	i.out.close()
	if i.web != nil {
		i.leaveWeb()
	}
	if i.config.Ended != nil {
		i.config.Ended()
	}
	close(i.exited)
}

func exitText(status syscall.WaitStatus) string {
	switch {
	case status.Signaled():
		return "Runtime exited with error: signal: " + status.Signal().String()
	case status.ExitStatus() == 0:
		return "Runtime exited without providing a reason"
	default:
		return "Runtime exited with error: exit status " + strconv.Itoa(status.ExitStatus())
	}
}
