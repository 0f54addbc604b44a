package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// Exchange is one HTTP request to a web function.
type Exchange struct {
	ID       string
	Web      *pools.Web
	Body     []byte    // the request's, unless Web.Body streams it
	Deadline time.Time // the process group is killed then
}

// webSide is what an Instance of a web function has instead of a Runtime API. All
// but port and atOnce is guarded by Instance.mu.
type webSide struct {
	port   int
	atOnce int           // most exchanges at a time
	calls  []*call       // under way
	conns  []*webConn    // kept from exchanges, the latest last
	idle   time.Duration // how long a connection may rest as far as this function has taught us
	cpu    cpuShare
	ender  *call        // the process was ended because of it
	own    *connBuffers // of the one connection that there is, unless shared: another is opened when that is closed
}

// shared reports that a process serves several callers, so that one of them cannot
// have it ended by going away.
func (w *webSide) shared() bool { return w.atOnce > 1 }

// smallRequest is how much of a request is joined into one piece.
const smallRequest = 2 << 10

// Exchange runs one request on the caller's goroutine and blocks until its answer
// has ended, or the process group was killed and reaped. An answer that is not
// whole, a caller who has gone, ctx and the deadline all end the process: only so
// it is known that the request is not being served any more.
//
// Where the process serves several requests at once, the function is told that a
// caller has gone by the end of its side of the connection, and ends the request
// itself; one whose connection it closes has ended. The deadline and ctx still end
// the process, and the other requests with it.
func (i *Instance) Exchange(ctx context.Context, x Exchange) Ending {
	switch {
	case ctx.Err() != nil, x.Web.Caller.Err() != nil:
		return Ending{Cause: spillway.CauseCancelled}
	case !time.Now().Before(x.Deadline):
		return Ending{Cause: spillway.CauseTimeout}
	}
	c := &call{event: Event{ID: x.ID, Deadline: x.Deadline}}
	if ok, ending := i.occupy(c); !ok {
		if ending {
			<-i.exited
		}
		return Ending{Cause: spillway.CauseCrashed, InstanceGone: ending}
	}
	cancel := func() { i.cut(c, spillway.CauseCancelled) }
	stop := context.AfterFunc(ctx, cancel)
	stopCaller := func() bool { return true }
	if !i.web.shared() {
		stopCaller = context.AfterFunc(x.Web.Caller, cancel)
	}
	answer, err := i.exchange(&x, c, cancel)
	c.answered = time.Now()
	stop()
	stopCaller()
	return i.settleWeb(c, answer, err)
}

// occupy makes c a call of i, unless there is no place or the process is ending.
func (i *Instance) occupy(c *call) (ok, ending bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || i.killed || len(i.web.calls) >= i.web.atOnce {
		return false, i.closed || i.killed
	}
	i.web.calls = append(i.web.calls, c)
	return true, false
}

// begun notes that c reaches the function now.
func (i *Instance) begun(c *call) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c.first, i.invoked = !i.invoked, true
	c.fetched, c.cpu = time.Now(), i.web.cpu.begin(cpuTime(i.proc.pid))
}

// cut kills the process group because of c, if c is still running.
func (i *Instance) cut(c *call, cause spillway.Cause) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if slices.Contains(i.web.calls, c) && c.cause == spillway.CauseNone {
		c.cause = cause
		i.endFor(c)
	}
}

// endFor kills the process group because of c; mu is held.
func (i *Instance) endFor(c *call) {
	if i.web.ender == nil && !i.closed && !i.killed {
		i.web.ender = c
	}
	i.killLocked()
}

// exchange sends the request and receives the answer. It tries a second time only
// where a kept connection turns out to have been closed before the request came.
func (i *Instance) exchange(x *Exchange, c *call, cancel func()) (*pools.WebAnswer, error) {
	conn, kept, err := i.connect(x)
	if err != nil {
		return nil, err
	}
	i.begun(c)
	r, err := i.attempt(conn, x, cancel)
	if err != nil && kept && conn.untouched(err) {
		_ = conn.Close()
		if conn, err = i.dial(x.Deadline); err != nil {
			c.untouched = true
			return nil, err
		}
		r, err = i.attempt(conn, x, cancel)
	}
	i.keepConn(conn, err == nil && r.keep && conn.tookBody(x, r.answer.Status))
	if r.answer.Status == 0 {
		return nil, err
	}
	return &r.answer, err
}

// connect returns a connection, and whether it has been used before. A streamed
// request always gets a new one: it could not be sent twice.
func (i *Instance) connect(x *Exchange) (*webConn, bool, error) {
	if conn := i.kept(x.Web); conn != nil {
		return conn, true, nil
	}
	conn, err := i.dial(x.Deadline)
	return conn, false, err
}

// kept takes the connection that was used last of those that can carry the request.
// If none can, it makes room for a new one: a process may accept no more connections
// than it serves requests, so that kept ones and those in use are never more.
func (i *Instance) kept(request *pools.Web) *webConn {
	i.mu.Lock()
	defer i.mu.Unlock()
	w := i.web
	for len(w.conns) > 0 && w.conns[0].aged(w.idle) {
		w.dropOldest()
	}
	for at, conn := range slices.Backward(w.conns) {
		fits := request.Body == nil && conn.servable(request)
		if !fits && w.shared() {
			continue
		}
		w.conns = slices.Delete(w.conns, at, at+1)
		if fits && conn.fresh(&w.idle) {
			return conn
		}
		_ = conn.Close()
	}
	for len(w.conns) > 0 && len(w.conns)+len(w.calls) > w.atOnce {
		w.dropOldest()
	}
	return nil
}

// dropOldest closes the kept connection that has rested longest; mu is held.
func (w *webSide) dropOldest() {
	_ = w.conns[0].Close()
	w.conns = slices.Delete(w.conns, 0, 1)
}

// keepConn keeps a connection for the next exchange, or closes it.
func (i *Instance) keepConn(conn *webConn, keep bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !keep || i.closed {
		_ = conn.Close()
		return
	}
	i.web.conns = append(i.web.conns, conn)
}

// leaveWeb gives back what a web function held; its process has ended.
func (i *Instance) leaveWeb() {
	i.mu.Lock()
	conns := i.web.conns
	i.web.conns = nil
	i.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
	ports.give(i.web.port)
}

func (i *Instance) attempt(conn *webConn, x *Exchange, cancel func()) (*reception, error) {
	conn.begin(x.Deadline)
	r := &reception{conn: conn, web: x.Web, until: x.Deadline, shared: i.web.shared()}
	conn.head = appendHead(conn.head[:0], x.Web, len(x.Body))
	if err := conn.writeAll(conn.head, x.Body); err != nil {
		// It may have answered and closed before it read everything.
		if failed := r.receive(); failed == nil {
			r.keep = false
			return r, nil
		} else if r.answer.Status != 0 || conn.untouched(failed) {
			return r, failed
		}
		return r, err
	}
	if r.shared { // the function learns it; when it is done with the request is its own to say
		cancel = conn.halfClose
		defer func(stop func() bool) { r.keep = stop() && r.keep }(context.AfterFunc(x.Web.Caller, cancel))
	}
	if x.Web.Body != nil {
		r.upload = startUpload(conn, x.Web, cancel)
	}
	err := r.receive()
	if r.upload != nil {
		r.keep = r.upload.finish() && r.keep
	}
	return r, err
}

// dial connects to the function and makes sure that it is the function: its port is
// its own before and after.
func (i *Instance) dial(deadline time.Time) (*webConn, error) {
	if err := i.ownsPort(i.web.port); err != nil {
		return nil, err
	}
	d := net.Dialer{Deadline: deadline, KeepAlive: -1} // nobody gets lost on this machine
	c, err := d.Dial("tcp4", "127.0.0.1:"+strconv.Itoa(i.web.port))
	if err != nil {
		return nil, fmt.Errorf("connect to the function: %w", err)
	}
	if err := i.ownsPort(i.web.port); err != nil {
		_ = c.Close()
		return nil, err
	}
	buffers := i.web.own
	if i.web.shared() {
		buffers = newConnBuffers()
	}
	return newWebConn(c.(*net.TCPConn), buffers)
}

// settleWeb closes the books on c. A whole answer stands, whatever came after it;
// anything else ends the process, unless it is known that the request has ended, or
// never began for want of means of our own.
func (i *Instance) settleWeb(c *call, answer *pools.WebAnswer, err error) Ending {
	spared := !c.reached() && lacking(err) // it is our lack, and nothing runs
	ended := err != nil && i.web.shared() && i.hasEnded(c, err)
	if ended {
		i.awaitExit(exitPatience)
	}
	i.mu.Lock()
	if err != nil && !ended && !spared {
		i.endFor(c)
	}
	gone := i.killed || i.closed
	if !gone {
		i.web.forget(c) // from here on nobody ends the process because of c
	}
	i.mu.Unlock()
	if gone {
		<-i.exited
	}
	e := Ending{Delivered: c.reached(), Started: c.fetched, InstanceGone: gone}
	exceeded, stopped := i.retire(c, &e)
	if err != nil {
		e.Cause = c.causeOf(err)
	}
	if !e.Delivered {
		return e
	}
	i.measureWeb(&e, c)
	if c.first {
		e.Init = i.cold.Start + i.cold.Init
	}
	if err == nil || answer != nil && answer.Streamed {
		e.Web = answer
	}
	if err != nil {
		i.explainWeb(&e, c, exceeded, stopped, err)
	}
	return e
}

// reached reports that the function may have got a byte of the call's request.
func (c *call) reached() bool { return !c.fetched.IsZero() && !c.untouched }

// hasEnded reports that the function has closed the connection of a call that nobody
// cut: its own word that it is done with the request.
func (i *Instance) hasEnded(c *call, err error) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	closed := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	return closed && c.cause == spillway.CauseNone
}

// exitPatience is how long after a connection was closed its process may be found to
// have ended, which tells a crash from a request that was given up.
const exitPatience = 50 * time.Millisecond

func (i *Instance) awaitExit(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-i.exited:
	case <-timer.C:
	}
}

// forget takes c off the calls under way.
func (w *webSide) forget(c *call) {
	if at := slices.Index(w.calls, c); at >= 0 {
		w.calls = slices.Delete(w.calls, at, at+1)
	}
}

// retire ends c for everybody else, and reads what the supervisor left. It reports that
// the process used too much memory, and that it was killed, but not because of c.
func (i *Instance) retire(c *call, e *Ending) (exceeded, stopped bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.web.forget(c)
	if !c.fetched.IsZero() {
		e.CPU = i.web.cpu.end(i.cpuUsed(e.InstanceGone)) - c.cpu
	}
	e.PeakBytes = i.peak
	return i.exceeded, i.killed && i.web.ender != c
}

// measureWeb is measure, but for the CPU time.
func (i *Instance) measureWeb(e *Ending, c *call) {
	e.Duration = c.answered.Sub(c.fetched)
	if !e.InstanceGone {
		e.PeakBytes = i.samplePeak()
	}
}

// causeOf says why a web call has no whole answer; nobody else writes to c any more.
func (c *call) causeOf(err error) spillway.Cause {
	switch {
	case c.cause != spillway.CauseNone:
		return c.cause
	case !c.answered.Before(c.event.Deadline):
		return spillway.CauseTimeout
	case errors.Is(err, errCallerGone):
		return spillway.CauseCancelled
	case !c.reached() && lacking(err):
		return spillway.CauseConnect
	}
	return spillway.CauseCrashed
}

// explainWeb is explain for a process that was ended, or a call without an answer.
// stopped reports that c was not why it was ended.
func (i *Instance) explainWeb(e *Ending, c *call, exceeded, stopped bool, err error) {
	if e.Cause == spillway.CauseCrashed && !exceeded && (!e.InstanceGone || i.proc.killedByUs()) {
		e.ErrorType, e.FunctionError = "Runtime.InvalidResponse", spillway.FunctionUnhandled
		text := faultText(err, e.Web != nil)
		if e.InstanceGone && stopped {
			e.ErrorType, text = "Sandbox.Failure", "the process was ended because another request of it passed its deadline, or the server ended it"
		}
		e.Payload = errorPayload(e.ErrorType, "RequestId: "+c.event.ID+" Error: "+text)
		return
	}
	c.answered = time.Time{} // no answer stands
	i.explain(e, c, exceeded)
}
