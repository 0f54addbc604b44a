package agent

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

func sharedConfig(t testing.TB, atOnce int) Config {
	c := webConfig(t)
	c.WebAtOnce = atOnce
	return c
}

// talk is an exchange with /duplex that is under way.
type talk struct {
	say    *io.PipeWriter
	hear   chan string
	ending chan Ending
	leave  context.CancelFunc // the caller goes
}

// startTalk returns when the function has begun to answer.
func startTalk(t *testing.T, i *Instance, deadline time.Time) *talk {
	t.Helper()
	body, say := io.Pipe()
	caller, leave := context.WithCancel(context.Background())
	s := &sink{pieces: make(chan string, 100)}
	x := get("/duplex")
	x.Deadline = deadline
	x.Web.Method, x.Web.Body, x.Web.Length, x.Web.Caller, x.Web.Stream = "POST", body, -1, caller, s
	k := &talk{say, s.pieces, make(chan Ending, 1), leave}
	go func() { k.ending <- i.Exchange(context.Background(), x) }()
	k.heard(t, "begin")
	return k
}

func (k *talk) heard(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-k.hear:
		if got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	case e := <-k.ending:
		t.Fatalf("ended before %q: %+v", want, e)
	}
}

func (k *talk) ended(t *testing.T) Ending {
	t.Helper()
	_ = k.say.Close()
	return <-k.ending
}

func later() time.Time { return time.Now().Add(20 * time.Second) }

func TestSharedServesSeveral(t *testing.T) {
	i := start(t, sharedConfig(t, 3))
	var talks []*talk
	for range 3 {
		talks = append(talks, startTalk(t, i, later()))
	}
	if e := i.Exchange(context.Background(), get("/sees")); e.Delivered || e.InstanceGone || e.Cause != spillway.CauseCrashed {
		t.Errorf("a fourth: %+v", e)
	}
	for n, k := range talks { // each is served while the others are
		_, _ = io.WriteString(k.say, strings.Repeat("a", n+1))
		k.heard(t, strings.Repeat("A", n+1))
	}
	for _, k := range talks {
		if e := k.ended(t); e.Cause != spillway.CauseNone || e.InstanceGone || e.Web == nil || e.Web.Status != 200 {
			t.Errorf("ended as %+v", e)
		}
	}
	answered(t, i.Exchange(context.Background(), get("/status?code=201")), 201, "")
}

// TestSharedCallerGoes wants the function to learn it and the others to stay.
func TestSharedCallerGoes(t *testing.T) {
	i := start(t, sharedConfig(t, 2))
	stays, goes := startTalk(t, i, later()), startTalk(t, i, later())
	goes.leave()
	if e := <-goes.ending; !e.Delivered || e.InstanceGone {
		t.Errorf("ended as %+v", e)
	}
	_ = goes.say.Close()
	keptNone(t, i)

	caller, leave := context.WithCancel(context.Background())
	x := get("/stream") // says nothing and ends when its caller has gone
	s := &sink{pieces: make(chan string, 10)}
	x.Web.Caller, x.Web.Stream = caller, s
	ended := make(chan Ending)
	go func() { ended <- i.Exchange(context.Background(), x) }()
	<-s.pieces
	leave()
	if e := <-ended; !e.Delivered || e.InstanceGone {
		t.Errorf("ended as %+v", e)
	}
	keptNone(t, i)
	_, _ = io.WriteString(stays.say, "x")
	stays.heard(t, "X")
	if e := stays.ended(t); e.Cause != spillway.CauseNone {
		t.Errorf("the other ended as %+v", e)
	}
}

// TestSharedAnswerUnseen has a caller go in the middle of a long answer.
func TestSharedAnswerUnseen(t *testing.T) {
	i := start(t, sharedConfig(t, 2))
	x := get("/big?n=1000000")
	x.Web.Stream = &sink{fail: true}
	if e := i.Exchange(context.Background(), x); !e.Delivered || e.InstanceGone || e.Cause != spillway.CauseNone {
		t.Errorf("ended as %+v", e)
	}
	keptNone(t, i)
	answered(t, i.Exchange(context.Background(), postOf("/echo", "next")), 200, "next")
}

// keptNone wants no connection kept: the only one was closed on our side.
func keptNone(t *testing.T, i *Instance) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.web.conns) > 0 {
		t.Error("a connection whose caller has gone is kept")
	}
}

func TestSharedConnectionClosed(t *testing.T) {
	i := start(t, sharedConfig(t, 2))
	stays := startTalk(t, i, later())
	e := i.Exchange(context.Background(), get("/raw?say=HTTP/1.1%20200%20OK%0D%0AContent-Length:%209%0D%0A%0D%0Ahalf"))
	if !e.Delivered || e.InstanceGone || e.Cause != spillway.CauseCrashed || e.ErrorType != "Runtime.InvalidResponse" {
		t.Errorf("half an answer ended as %+v", e)
	}
	if e := stays.ended(t); e.Cause != spillway.CauseNone || e.InstanceGone {
		t.Errorf("the other ended as %+v", e)
	}
}

// TestSharedClosedBeforeLate has a call fail by itself and another end the process after
// it; the race detector sees whether the first looks at what the second writes.
func TestSharedClosedBeforeLate(t *testing.T) {
	i := start(t, sharedConfig(t, 2))
	late := startTalk(t, i, time.Now().Add(500*time.Millisecond))
	if e := i.Exchange(context.Background(), get("/raw?say=")); e.ErrorType != "Runtime.InvalidResponse" {
		t.Errorf("no answer ended as %+v", e)
	}
	if e := <-late.ending; e.Cause != spillway.CauseTimeout || !e.InstanceGone {
		t.Errorf("the late one ended as %+v", e)
	}
	_ = late.say.Close()
}

// TestWebStopped: what the server ends is no fault of the function's answer.
func TestWebStopped(t *testing.T) {
	for _, atOnce := range []int{1, 2} {
		i := start(t, sharedConfig(t, atOnce))
		k := startTalk(t, i, later())
		i.Kill()
		e := <-k.ending
		if e.Cause != spillway.CauseCrashed || !e.InstanceGone || e.ErrorType != "Sandbox.Failure" || !strings.Contains(string(e.Payload), "the server ended it") {
			t.Errorf("%d at once: ended as %+v %s", atOnce, e, e.Payload)
		}
		_ = k.say.Close()
	}
}

// TestSharedCrash ends all that the process served, as what it was.
func TestSharedCrash(t *testing.T) {
	i := start(t, sharedConfig(t, 2))
	other := startTalk(t, i, later())
	crash := i.Exchange(context.Background(), get("/exit"))
	for _, e := range []Ending{crash, <-other.ending} {
		if e.Cause != spillway.CauseCrashed || !e.InstanceGone || e.ErrorType != "Runtime.ExitError" {
			t.Errorf("ended as %+v", e)
		}
	}
	_ = other.say.Close()
}

// TestSharedDeadline ends the process, and says to the others why.
func TestSharedDeadline(t *testing.T) {
	i := start(t, sharedConfig(t, 2))
	other := startTalk(t, i, later())
	late := startTalk(t, i, time.Now().Add(50*time.Millisecond))
	if e := <-late.ending; e.Cause != spillway.CauseTimeout || !e.InstanceGone {
		t.Errorf("ended as %+v", e)
	}
	if e := <-other.ending; e.Cause != spillway.CauseCrashed || !e.InstanceGone || e.ErrorType != "Sandbox.Failure" || !strings.Contains(string(e.Payload), "another request") {
		t.Errorf("the other ended as %+v %s", e, e.Payload)
	}
	_, _ = late.say.Close(), other.say.Close()
	if e := i.Exchange(context.Background(), get("/sees")); e.Delivered || !e.InstanceGone {
		t.Errorf("after the end: %+v", e)
	}
}

// TestSharedConnections has a function that serves no more connections than requests at
// once: those that rest must not keep out a caller who can use none of them.
func TestSharedConnections(t *testing.T) {
	c := sharedConfig(t, 2)
	c.Env = []string{"PROBE_CONNS=2"}
	i := start(t, c)
	for range 3 {
		both := []*talk{startTalk(t, i, later()), startTalk(t, i, later())} // nobody's bodies: nobody can use what is left
		for _, k := range both {
			if e := k.ended(t); e.Cause != spillway.CauseNone {
				t.Fatalf("a talk ended as %+v", e)
			}
		}
		x := calledBy("A", get("/sees"))
		x.Deadline = time.Now().Add(5 * time.Second)
		answered(t, i.Exchange(context.Background(), x), 200, "*")
	}
}

// TestSharedAgedConnections closes what has rested too long also where a younger one
// carries the request.
func TestSharedAgedConnections(t *testing.T) {
	i := start(t, sharedConfig(t, 4))
	both := []*talk{startTalk(t, i, later()), startTalk(t, i, later())}
	for _, k := range both {
		k.ended(t)
	}
	i.mu.Lock()
	aged := slices.Clone(i.web.conns)
	for _, conn := range aged {
		conn.used = time.Now().Add(-2 * keepIdle)
	}
	i.mu.Unlock()
	if len(aged) == 0 {
		t.Fatal("no connection rests")
	}
	for range 2 {
		answered(t, i.Exchange(context.Background(), get("/sees")), 200, "*")
	}
	if len(i.web.conns) != 1 || slices.Contains(aged, i.web.conns[0]) {
		t.Errorf("%d connections are kept", len(i.web.conns))
	}
	for _, conn := range aged {
		if conn.raw.Control(conn.poll) == nil {
			t.Error("an aged connection is open")
		}
	}
}

func TestCPUShare(t *testing.T) {
	var s cpuShare
	ms := time.Millisecond
	a := s.begin(10 * ms) // 10 ms before anybody called
	b := s.begin(14 * ms) // a alone: 4
	if used := s.end(20*ms) - a; used != 7*ms {
		t.Errorf("a used %s, want 4 + 6/2 ms", used)
	}
	if used := s.end(21*ms) - b; used != 4*ms {
		t.Errorf("b used %s, want 6/2 + 1 ms", used)
	}
	c := s.begin(40 * ms)
	if used := s.end(42*ms) - c; used != 2*ms {
		t.Errorf("c used %s, want 2 ms: what the process did unasked is nobody's", used)
	}
}
