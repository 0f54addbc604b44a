// Package pooltest is the conformance suite that every pool passes. It invokes
// one function, the probe, and asks the probe's own reports what really ran, so
// that a pool cannot claim what did not happen.
package pooltest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

// Fixture is a pool under test. A pools.Starter is tested as an on-prem pool,
// any other as a cloud.
type Fixture struct {
	Pool pools.Pool
	// Probe runs the probe (see Build) with a time limit of a minute or more, Hasty
	// with one of seconds at most.
	Probe, Hasty *spillway.Function
	MiB          int64 // configured memory, which usage must report
	// Web runs the probe as a web function, with the time limit of Probe. Nil: the pool
	// has none.
	Web *spillway.Function

	// Listen makes the listener where the probe reports what really ran; nil: on the
	// loopback of this machine.
	Listen func() (net.Listener, error)

	// Kill makes an idle instance end by itself, on pools whose instances are not
	// processes. Nil asks the probe to exit.
	Kill func(spillway.InstanceID)
}

// Build compiles the probe into a directory of t with the file "bootstrap", a
// Lambda package, and returns the directory.
func Build(t testing.TB) string {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bootstrap"), "github.com/spillway-dev/spillway/pools/pooltest/probe/main")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return dir
}

// Run tests the pool of f.
func Run(t *testing.T, f Fixture) {
	s := &suite{Fixture: f, oracle: newOracle(t, f.Listen)}
	s.starter, _ = f.Pool.(pools.Starter)
	s.outcomes(t)
	s.details(t)
	if s.starter != nil {
		s.instances(t)
	}
	if s.Web != nil {
		s.web(t)
	}
}

type suite struct {
	Fixture
	starter pools.Starter // nil for a cloud
	oracle  *oracle
	ids     atomic.Uint64 // of invocations and instances
}

// call is one attempt in the making.
type call struct {
	pools.Request
	attempt
}

func (s *suite) call(f *spillway.Function, payload []byte) call {
	a := attempt{fmt.Sprintf("inv-%d", s.ids.Add(1)), "1"}
	custom := map[string]string{probe.CustomOracle: s.oracle.url, probe.CustomInvocation: a.invocation, probe.CustomAttempt: a.attempt}
	document, _ := json.Marshal(map[string]any{"custom": custom}) // strings always marshal
	return call{attempt: a, Request: pools.Request{
		Invocation: a.invocation, Attempt: 1, Function: f, Payload: payload,
		ClientContext: string(document), Deadline: time.Now().Add(patience),
	}}
}

func (s *suite) command(f *spillway.Function, c probe.Command) call {
	payload, _ := json.Marshal(c) // plain fields always marshal
	return s.call(f, payload)
}

// start makes an instance for c, if the pool has instances.
func (s *suite) start(t *testing.T, c *call) {
	t.Helper()
	if s.starter == nil {
		return
	}
	c.Instance = spillway.InstanceID(s.ids.Add(1))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.begin(ctx, c); err != nil {
		t.Fatalf("start an instance: %v", err)
	}
	t.Cleanup(func() { s.starter.StopInstance(context.Background(), c.Instance) })
}

// begin starts the instance of c. A pool that has no room for the moment, as a cluster has
// none whose nodes are slow to take a pod, is asked again.
func (s *suite) begin(ctx context.Context, c *call) error {
	for {
		_, err := s.starter.StartInstance(ctx, c.Instance, c.Function)
		if !errors.Is(err, pools.ErrNoRoom) {
			return err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// invoke runs c and checks what holds for every outcome.
func (s *suite) invoke(t *testing.T, ctx context.Context, c call) pools.Result {
	t.Helper()
	sent := string(c.Payload)
	result := s.Pool.Invoke(ctx, c.Request)
	o, ran := result.Outcome, s.oracle.ran(c.attempt)
	switch {
	case ran > 1:
		t.Errorf("one attempt ran %d times", ran)
	case o.Class == spillway.NotExecuted && ran != 0:
		t.Errorf("not executed (%v %s), but it ran", o.Cause, o.Detail)
	case o.Class == spillway.Executed && o.Cause == spillway.CauseNone && ran != 1:
		t.Errorf("executed, but it ran %d times", ran)
	case o.Class != spillway.Executed && o.FunctionError != spillway.FunctionOK:
		t.Errorf("%v with function error %q", o.Class, o.FunctionError)
	case o.Class == spillway.NotExecuted && result.InstanceGone && s.starter == nil:
		t.Errorf("a cloud pool reports an instance gone")
	}
	if sent != string(c.Payload) {
		t.Errorf("the pool modified the payload")
	}
	if len(result.Payload) > pools.MaxPayload || len(result.LogTail) > pools.MaxLogTail {
		t.Errorf("answer of %d bytes, log of %d: over the limit", len(result.Payload), len(result.LogTail))
	}
	if !c.LogTail && result.LogTail != nil {
		t.Errorf("a log tail nobody asked for")
	}
	return result
}

// once starts an instance if there are instances, and runs c on it.
func (s *suite) once(t *testing.T, c call) pools.Result {
	t.Helper()
	s.start(t, &c)
	return s.invoke(t, context.Background(), c)
}

// executed checks the class and the kind of a function's ending.
func executed(t *testing.T, r pools.Result, cause spillway.Cause) {
	t.Helper()
	if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != cause {
		t.Fatalf("outcome %v %v (%s), want executed %v", r.Outcome.Class, r.Outcome.Cause, r.Outcome.Detail, cause)
	}
}

// functionError checks that r is a failure of the function, as Lambda writes it.
func functionError(t *testing.T, r pools.Result) (kind, message string) {
	t.Helper()
	var body struct{ ErrorType, ErrorMessage *string }
	if r.Outcome.FunctionError != spillway.FunctionHandled && r.Outcome.FunctionError != spillway.FunctionUnhandled {
		t.Errorf("function error %q, want Handled or Unhandled", r.Outcome.FunctionError)
	}
	if err := json.Unmarshal(r.Payload, &body); err != nil || body.ErrorMessage == nil {
		t.Fatalf("payload %.200q is not a Lambda error: %v", r.Payload, err)
	}
	if body.ErrorType != nil {
		kind = *body.ErrorType
	}
	return kind, *body.ErrorMessage
}

// holding waits until the probe of c runs and holds its connection.
func (s *suite) holding(t *testing.T, c call) *hold {
	t.Helper()
	h := s.oracle.holdOf(c.attempt)
	await(t, h.arrived, "the probe of "+strconv.Quote(c.invocation)+" runs")
	return h
}
