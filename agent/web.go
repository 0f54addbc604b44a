package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
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

// webSide is what an Instance of a web function has instead of a Runtime API.
type webSide struct {
	port int
	conn *webConn // kept from the last exchange, or nil; guarded by Instance.mu
	// head is where heads of requests are written, idle how long a connection may rest
	// as far as this function has taught us; both are of the exchange under way.
	head []byte
	idle time.Duration
	// reader is of the one connection that there is: another is opened when that is closed.
	reader *bufio.Reader
}

// smallRequest is how much of a request is joined into one piece.
const smallRequest = 2 << 10

// Exchange runs one request on the caller's goroutine and blocks until its answer
// has ended, or the process group was killed and reaped. An answer that is not
// whole, a caller who has gone, ctx and the deadline all end the process: only so
// it is known that the request is not being served any more.
func (i *Instance) Exchange(ctx context.Context, x Exchange) Ending {
	switch {
	case ctx.Err() != nil, x.Web.Caller.Err() != nil:
		return Ending{Cause: spillway.CauseCancelled}
	case !time.Now().Before(x.Deadline):
		return Ending{Cause: spillway.CauseTimeout}
	}
	c := &call{event: Event{ID: x.ID, Deadline: x.Deadline}}
	if !i.occupy(c) {
		return Ending{Cause: spillway.CauseCrashed, InstanceGone: i.gone()}
	}
	cancel := func() { i.cut(c, spillway.CauseCancelled) }
	stop := context.AfterFunc(ctx, cancel)
	stopCaller := context.AfterFunc(x.Web.Caller, cancel)
	answer, err := i.exchange(&x, c, cancel)
	stop()
	stopCaller()
	return i.settleWeb(c, answer, err)
}

// occupy makes c the call of i, unless there is one or the process is ending.
func (i *Instance) occupy(c *call) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || i.killed || i.running != nil {
		return false
	}
	i.running = c
	return true
}

// cut kills the process group because of c, if c is still running.
func (i *Instance) cut(c *call, cause spillway.Cause) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running == c && c.cause == spillway.CauseNone {
		c.cause = cause
		i.killLocked()
	}
}

// exchange sends the request and receives the answer. It tries a second time only
// where a kept connection turns out to have been closed before the request came.
func (i *Instance) exchange(x *Exchange, c *call, cancel func()) (*pools.WebAnswer, error) {
	conn, kept, err := i.connect(x)
	if err != nil {
		return nil, err
	}
	c.first, i.invoked = !i.invoked, true
	c.fetched, c.cpu = time.Now(), cpuTime(i.proc.pid)
	r, err := i.attempt(conn, x, cancel)
	if err != nil && kept && conn.untouched(err) {
		_ = conn.Close()
		if conn, err = i.dial(x.Deadline); err != nil {
			c.fetched = time.Time{} // it got nothing
			return nil, err
		}
		r, err = i.attempt(conn, x, cancel)
	}
	c.answered = time.Now()
	i.keepConn(conn, err == nil && r.keep && conn.tookBody(x, r.answer.Status))
	if r.answer.Status == 0 {
		return nil, err
	}
	return &r.answer, err
}

// connect returns a connection, and whether it has been used before. A streamed
// request always gets a new one: it could not be sent twice.
func (i *Instance) connect(x *Exchange) (*webConn, bool, error) {
	i.mu.Lock()
	conn := i.web.conn
	i.web.conn = nil
	i.mu.Unlock()
	if conn != nil && x.Web.Body == nil && conn.servable(x.Web) && conn.fresh(&i.web.idle) {
		return conn, true, nil
	}
	if conn != nil {
		_ = conn.Close()
	}
	conn, err := i.dial(x.Deadline)
	return conn, false, err
}

// keepConn keeps a connection for the next exchange, or closes it.
func (i *Instance) keepConn(conn *webConn, keep bool) {
	if keep {
		i.mu.Lock()
		defer i.mu.Unlock()
		if !i.closed {
			i.web.conn = conn
			return
		}
	}
	_ = conn.Close()
}

// leaveWeb gives back what a web function held; its process has ended.
func (i *Instance) leaveWeb() {
	i.mu.Lock()
	conn := i.web.conn
	i.web.conn = nil
	i.mu.Unlock()
	if conn != nil {
		_ = conn.Close()
	}
	ports.give(i.web.port)
}

func (i *Instance) attempt(conn *webConn, x *Exchange, cancel func()) (*reception, error) {
	conn.begin(x.Deadline)
	r := &reception{conn: conn, web: x.Web, until: x.Deadline}
	i.web.head = appendHead(i.web.head[:0], x.Web, len(x.Body))
	if err := conn.writeAll(i.web.head, x.Body); err != nil {
		// It may have answered and closed before it read everything.
		if failed := r.receive(); failed == nil {
			r.keep = false
			return r, nil
		} else if r.answer.Status != 0 || conn.untouched(failed) {
			return r, failed
		}
		return r, err
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
	return newWebConn(c.(*net.TCPConn), i.web.reader)
}

// settleWeb closes the books on c. A whole answer stands, whatever came after it;
// anything else ends the process.
func (i *Instance) settleWeb(c *call, answer *pools.WebAnswer, err error) Ending {
	i.mu.Lock()
	if err != nil {
		i.killLocked()
	}
	gone := i.killed || i.closed
	if !gone {
		i.running = nil // from here on nobody ends the process because of c
	}
	i.mu.Unlock()
	if gone {
		<-i.exited
	}
	e := Ending{Delivered: !c.fetched.IsZero(), Started: c.fetched, InstanceGone: gone}
	exceeded := i.retire(c, &e)
	if err != nil {
		e.Cause = c.causeOf(err)
	}
	if !e.Delivered {
		return e
	}
	i.measure(&e, c, gone)
	if c.first {
		e.Init = i.cold.Start + i.cold.Init
	}
	if err == nil || answer != nil && answer.Streamed {
		e.Web = answer
	}
	if err != nil {
		i.explainWeb(&e, c, exceeded, err)
	}
	return e
}

// retire ends c for everybody else, and reads what the supervisor left.
func (i *Instance) retire(c *call, e *Ending) (exceeded bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running == c {
		i.running = nil
	}
	e.PeakBytes = i.peak
	return i.exceeded
}

// causeOf says why a web call has no whole answer; nobody else writes to c any more.
func (c *call) causeOf(err error) spillway.Cause {
	switch {
	case c.cause != spillway.CauseNone:
		return c.cause
	case !time.Now().Before(c.event.Deadline):
		return spillway.CauseTimeout
	case errors.Is(err, errCallerGone):
		return spillway.CauseCancelled
	}
	return spillway.CauseCrashed
}

// explainWeb is explain for a process that was ended.
func (i *Instance) explainWeb(e *Ending, c *call, exceeded bool, err error) {
	if err != nil && e.Cause == spillway.CauseCrashed && !exceeded && i.proc.killedByUs() {
		e.ErrorType, e.FunctionError = "Runtime.InvalidResponse", spillway.FunctionUnhandled
		e.Payload = errorPayload(e.ErrorType, "RequestId: "+c.event.ID+" Error: "+faultText(err, e.Web != nil))
		return
	}
	c.answered = time.Time{} // no answer stands
	i.explain(e, c, exceeded)
}
