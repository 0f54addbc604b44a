package pooltest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

// instances tests what only a pools.Starter promises.
func (s *suite) instances(t *testing.T) {
	t.Run("UnknownInstance", s.testUnknownInstance)
	t.Run("StopInstance", s.testStop)
	t.Run("StartFails", s.testStartFails)
	t.Run("StartCancelled", s.testStartCancelled)
	t.Run("InstanceGone", s.testInstanceGone)
	t.Run("IdleExit", s.testIdleExit)
}

func (s *suite) testUnknownInstance(t *testing.T) {
	c := s.call(s.Probe, []byte(`{}`))
	c.Instance = spillway.InstanceID(s.ids.Add(1))
	s.refuses(t, c)
}

// refuses checks that the instance of c does not exist.
func (s *suite) refuses(t *testing.T, c call) {
	t.Helper()
	if r := s.invoke(t, t.Context(), c); r.Outcome.Class != spillway.NotExecuted {
		t.Errorf("an instance that does not exist: %v, want not executed", r.Outcome.Class)
	}
}

func (s *suite) testStop(t *testing.T) {
	c := s.call(s.Probe, []byte(`{}`))
	s.start(t, &c)
	s.starter.StopInstance(t.Context(), c.Instance)
	s.refuses(t, c)
	s.starter.StopInstance(t.Context(), c.Instance)
	s.starter.StopInstance(t.Context(), spillway.InstanceID(s.ids.Add(1)))
}

// variant returns the probe's function with another way to start.
func (s *suite) variant(start string) *spillway.Function {
	f := *s.Probe
	f.Env = append(slices.Clone(f.Env), probe.StartVariable+"="+start)
	slices.Sort(f.Env)
	return &f
}

func (s *suite) testStartFails(t *testing.T) {
	c := s.call(s.variant("exit"), []byte(`{}`))
	c.Instance = spillway.InstanceID(s.ids.Add(1))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.begin(ctx, &c)
	var failed *pools.StartError
	if !errors.As(err, &failed) || failed.Type == "" {
		t.Fatalf("start of a function that exits: %v, want a StartError with a type", err)
	}
	s.refuses(t, c)
}

func (s *suite) testStartCancelled(t *testing.T) {
	c := s.call(s.Probe, []byte(`{}`))
	h := s.oracle.holdOf(c.attempt)
	c.Function = s.variant(s.oracle.url + "/hold?invocation=" + c.invocation + "&attempt=1")
	c.Instance = spillway.InstanceID(s.ids.Add(1))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		failed <- s.begin(ctx, &c)
	}()
	await(t, h.arrived, "the instance starts")
	cancel()
	if err := <-failed; err == nil {
		t.Error("a cancelled start succeeded")
	}
	await(t, h.gone, "nothing of the instance is left")
	s.refuses(t, c)
}

func (s *suite) testInstanceGone(t *testing.T) {
	c := s.call(s.Probe, []byte(`{"n":1}`))
	s.start(t, &c)
	again := s.call(s.Probe, []byte(`{"n":2}`))
	again.Instance = c.Instance
	for _, c := range []call{c, again} {
		r := s.invoke(t, t.Context(), c)
		executed(t, r, spillway.CauseNone)
		if r.InstanceGone {
			t.Fatal("gone after an ordinary answer")
		}
	}
	crash := s.command(s.Probe, probe.Command{Do: probe.Exit})
	crash.Instance = c.Instance
	if r := s.invoke(t, t.Context(), crash); !r.InstanceGone {
		t.Error("not gone after it died")
	}
	last := s.call(s.Probe, []byte(`{"n":3}`))
	last.Instance = c.Instance
	s.refuses(t, last)
}

func (s *suite) testIdleExit(t *testing.T) {
	c := s.command(s.Probe, probe.Command{Do: probe.Doom})
	if s.Kill != nil {
		c = s.call(s.Probe, []byte(`{}`))
	}
	s.start(t, &c)
	r := s.invoke(t, t.Context(), c)
	executed(t, r, spillway.CauseNone)
	if s.Kill != nil {
		go s.Kill(c.Instance)
	} else {
		close(s.holding(t, c).release)
	}
	timeout := time.After(patience)
	for {
		select {
		case id, open := <-s.starter.Exits():
			if !open {
				t.Fatal("exits closed before the pool was")
			}
			if id == c.Instance {
				s.refuses(t, s.onSame(c))
				return
			}
			t.Errorf("exit of %d: it was not idle, or was stopped", id)
		case <-timeout:
			t.Fatalf("no exit delivered within %v", patience)
		}
	}
}

// onSame returns a new call on the instance of c.
func (s *suite) onSame(c call) call {
	next := s.call(s.Probe, []byte(`{}`))
	next.Instance = c.Instance
	return next
}
