package remote_test

import (
	"bytes"
	"context"

	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/pools"
)

// serving is an agent in this process.
type serving struct {
	addr   string
	config remote.ServerConfig
	log    *textsink.Sink
	stop   context.CancelFunc // as SIGTERM does
	ended  chan struct{}
}

func serve(t testing.TB, ca *remote.CA, at string, change func(*remote.ServerConfig, *remote.Server)) *serving {
	t.Helper()
	s := &serving{log: &textsink.Sink{}, ended: make(chan struct{})}
	s.config = remote.ServerConfig{Authority: ca.Certificate(), Dir: t.TempDir(), Log: s.log}
	change(&s.config, nil)
	server, err := remote.NewServer(s.config)
	if err != nil {
		t.Fatal(err)
	}
	change(&s.config, server)
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() {
		defer close(s.ended)
		if err := server.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-s.ended
	})
	return s
}

func usual(*remote.ServerConfig, *remote.Server) {}

func dial(t testing.TB, addr string, ca *remote.CA) *remote.Client {
	t.Helper()
	config, err := ca.Client()
	if err != nil {
		t.Fatal(err)
	}
	c := remote.Dial(addr, config)
	t.Cleanup(c.Close)
	return c
}

// started is a client of an agent that has started f; both are given the wire between them.
func started(t testing.TB, f *spillway.Function) (*remote.Client, *wire, *serving) {
	t.Helper()
	ca, _ := authority(t)
	s := serve(t, ca, "127.0.0.1:0", usual)
	w := newWire(t, s.addr)
	c := dial(t, w.addr, ca)
	if _, err := start(context.Background(), c, f); err != nil {
		t.Fatal(err)
	}
	return c, w, s
}

func request(f *spillway.Function, payload string) pools.Request {
	return pools.Request{Invocation: "call-" + payload[:min(len(payload), 8)], Attempt: 1, Function: f, Payload: []byte(payload), Deadline: time.Now().Add(30 * time.Second), Instance: 7}
}

// wire is what is between a client and an agent.
type wire struct {
	addr string
	to   string
	l    net.Listener
	all  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	down  bool                             // new connections are closed at once
	up    func(from net.Conn, to net.Conn) // what happens to requests; nil: they pass
}

func newWire(t testing.TB, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String(), to: to, l: l, conns: map[net.Conn]bool{}}
	w.all.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.cut()
		w.all.Wait()
	})
	return w
}

func (w *wire) accept() {
	for {
		near, err := w.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", w.to)
		w.mu.Lock()
		if w.down || err != nil {
			near.Close()
			if far != nil {
				far.Close()
			}
			w.mu.Unlock()
			continue
		}
		w.conns[near], w.conns[far] = true, true
		up := w.up
		w.mu.Unlock()
		w.all.Go(func() {
			if up != nil {
				up(near, far)
			} else {
				io.Copy(far, near)
			}
			far.(*net.TCPConn).CloseWrite()
		})
		w.all.Go(func() {
			io.Copy(near, far)
			near.Close()
		})
	}
}

// cut ends every connection.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	clear(w.conns)
}

func (w *wire) set(down bool, up func(from, to net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down, w.up = down, up
}

// file is where a function says that it runs.
func await(t testing.TB, file string) string {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if text, _ := os.ReadFile(file); len(text) > 0 {
			return string(text)
		}
	}
	t.Fatalf("%s was not written", file)
	return ""
}

// A connection that breaks while the function runs costs nothing: the agent is asked.
func TestAnswerAfterTheConnectionBroke(t *testing.T) {
	f := functionOf(t, agentProbe)
	f.Timeout = 5 * time.Second
	c, w, _ := started(t, f)
	file := filepath.Join(t.TempDir(), "runs")
	result := make(chan pools.Result)
	go func() { result <- c.Invoke(context.Background(), request(f, `{"do":"child","file":"`+file+`"}`)) }()
	await(t, file)
	w.cut()
	r := <-result
	if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != spillway.CauseTimeout || !r.InstanceGone || !strings.Contains(string(r.Payload), "timed out") {
		t.Errorf("%+v %s", r.Outcome, r.Payload)
	}
}

// A request that the wire has swallowed is vouched for, and is not run when it comes late.
func TestRequestThatComesLate(t *testing.T) {
	f := functionOf(t, agentProbe)
	c, w, s := started(t, f)
	// The next connection passes until its handshake is over and then holds what comes.
	release, held := make(chan struct{}), make(chan struct{})
	w.cut()
	var once sync.Once
	w.set(false, func(from, to net.Conn) {
		first := false
		once.Do(func() { first = true })
		if !first {
			io.Copy(to, from)
			return
		}
		passTLS(to, from)
		var swallowed bytes.Buffer
		io.CopyN(&swallowed, from, 1)
		close(held)
		io.Copy(&swallowed, from) // until the client gives up on it
		<-release
		to.Write(swallowed.Bytes())
	})
	result := make(chan pools.Result)
	go func() { result <- c.Invoke(context.Background(), request(f, `{"do":"print","text":"it ran"}`)) }()
	<-held
	w.mu.Lock()
	for n := range w.conns {
		if n.LocalAddr().String() == w.addr {
			n.(*net.TCPConn).SetReadDeadline(time.Now()) // the wire reads no more, and the client's side is closed
			n.Close()
		}
	}
	w.mu.Unlock()
	r := <-result
	if r.Outcome.Class != spillway.NotExecuted || !strings.Contains(r.Outcome.Detail, "will not be run") {
		t.Errorf("%+v", r.Outcome)
	}
	close(release)
	// What was held arrives before this is answered, or never.
	if r := c.Invoke(context.Background(), request(f, `{"do":"print","text":"after"}`)); r.Outcome.Class != spillway.Executed {
		t.Errorf("%+v", r.Outcome)
	}
	s.stop()
	<-s.ended
	if text := s.log.String(); strings.Contains(text, "it ran") || !strings.Contains(text, "after") {
		t.Errorf("the log is %s", text)
	}
}

// passTLS passes the client's part of a handshake: hello, change of cipher, certificate
// and the rest in up to three records after it.
func passTLS(to, from net.Conn) {
	for {
		head := make([]byte, 5)
		if _, err := io.ReadFull(from, head); err != nil {
			return
		}
		body := make([]byte, int(head[3])<<8|int(head[4]))
		if _, err := io.ReadFull(from, body); err != nil {
			return
		}
		to.Write(append(head, body...))
		const applicationData, finished = 23, 64
		if head[0] == applicationData && len(body) < finished {
			return
		}
	}
}

func TestUnknownWhenTheAgentCannotBeAsked(t *testing.T) {
	f := functionOf(t, agentProbe)
	for name, c := range map[string]struct {
		end  func(*wire, *remote.Client, context.CancelFunc)
		says string
	}{
		"unreachable": {func(w *wire, _ *remote.Client, _ context.CancelFunc) {
			w.set(true, nil)
			w.cut()
		}, "could not be asked"},
		"closed":    {func(_ *wire, c *remote.Client, _ context.CancelFunc) { c.Close() }, "is not asked any more"},
		"cancelled": {func(w *wire, _ *remote.Client, cancel context.CancelFunc) { w.set(true, nil); w.cut(); cancel() }, "could not be asked"},
	} {
		t.Run(name, func(t *testing.T) {
			client, w, s := started(t, f)
			client.SetGraces(100 * time.Millisecond)
			file := filepath.Join(t.TempDir(), "runs")
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r := request(f, `{"do":"child","file":"`+file+`"}`)
			r.Deadline = time.Now().Add(5 * time.Second)
			result := make(chan pools.Result)
			go func() { result <- client.Invoke(ctx, r) }()
			await(t, file)
			c.end(w, client, cancel)
			got := <-result
			if got.Outcome.Class != spillway.Unknown || !strings.Contains(got.Outcome.Detail, c.says) || !got.Outcome.Usage.Estimated || got.InstanceGone {
				t.Errorf("%+v", got.Outcome)
			}
			s.stop() // the deadline has ended it, or does
			<-s.ended
		})
	}
}

// An agent that dies takes its function along: it is unknown how far that had come.
func TestAgentDies(t *testing.T) {
	ca, config := authority(t)
	p, err := launch(ca, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	c := remote.Dial(p.addr, config)
	defer c.Close()
	f := functionOf(t, agentProbe)
	if _, err := start(context.Background(), c, f); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "runs")
	result := make(chan pools.Result)
	go func() { result <- c.Invoke(context.Background(), request(f, `{"do":"child","file":"`+file+`"}`)) }()
	await(t, file)
	p.kill()
	// Another pod is given the address.
	serve(t, ca, p.addr, usual)
	if r := <-result; r.Outcome.Class != spillway.Unknown || !r.InstanceGone || !strings.Contains(r.Outcome.Detail, "the agent in the pod has ended") {
		t.Errorf("%+v, gone %v", r.Outcome, r.InstanceGone)
	}
	if r := c.Invoke(context.Background(), request(f, `{}`)); r.Outcome.Class != spillway.NotExecuted || !r.InstanceGone || r.Outcome.Cause != spillway.CauseCrashed {
		t.Errorf("another's agent: %+v, gone %v", r.Outcome, r.InstanceGone)
	}
}

func TestNothingListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	ca, _ := authority(t)
	c := dial(t, l.Addr().String(), ca)
	f := functionOf(t, agentProbe)
	if r := c.Invoke(context.Background(), request(f, `{}`)); r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseConnect || r.InstanceGone {
		t.Errorf("%+v", r.Outcome)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := c.Await(ctx); err == nil {
		t.Error("an agent was found")
	}
}

// SIGTERM ends nothing that is under way, and lets nothing begin.
func TestDrain(t *testing.T) {
	f := functionOf(t, agentProbe)
	f.Timeout = 5 * time.Second
	p, c := launched(t)
	if _, err := start(context.Background(), c, f); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "runs")
	result := make(chan pools.Result)
	go func() { result <- c.Invoke(context.Background(), request(f, `{"do":"child","file":"`+file+`"}`)) }()
	await(t, file)
	if r := c.Invoke(context.Background(), request(f, `{}`)); r.Outcome.Class != spillway.NotExecuted || !strings.Contains(r.Outcome.Detail, "has no place") {
		t.Errorf("a second call: %+v", r.Outcome)
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for {
		h, err := c.Health(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if h.Draining {
			break
		}
	}
	if r := c.Invoke(context.Background(), request(f, `{}`)); r.Outcome.Class != spillway.NotExecuted || !strings.Contains(r.Outcome.Detail, "told to end") {
		t.Errorf("a new call: %+v", r.Outcome)
	}
	if r := <-result; r.Outcome.Cause != spillway.CauseTimeout {
		t.Errorf("the call under way: %+v", r.Outcome)
	}
	<-p.exited
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
}

// Clocks do not matter: times travel as durations.
func TestUsageBeginsOnTheCallersClock(t *testing.T) {
	f := functionOf(t, agentProbe)
	c, _, _ := started(t, f)
	for n := range 3 {
		before := time.Now()
		r := c.Invoke(context.Background(), request(f, `{}`))
		u := r.Outcome.Usage
		if began := u.Started.Time(); began.Before(before.Add(-time.Millisecond)) || began.After(time.Now()) || (u.InitMicros > 0) != (n == 0) || u.MaxMemoryMiB == 0 || r.ExecutedVersion != "r1" {
			t.Errorf("%+v, version %q", u, r.ExecutedVersion)
		}
	}
	if r := c.Invoke(context.Background(), request(f, strings.Repeat("x", pools.MaxPayload+1))); r.Outcome.Cause != spillway.CauseRejected || r.Outcome.Class != spillway.NotExecuted {
		t.Error(r.Outcome)
	}
	late := request(f, `{}`)
	late.Deadline = time.Time{}
	late.Function = &spillway.Function{}
	if r := c.Invoke(context.Background(), late); r.Outcome.Cause != spillway.CauseRejected {
		t.Error(r.Outcome)
	}
}
