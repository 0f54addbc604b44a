package pooltest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/pooltest/probe"
)

// details tests what comes with an outcome.
func (s *suite) details(t *testing.T) {
	t.Run("LogTail", s.testLogTail)
	t.Run("Usage", s.testUsage)
	t.Run("ClientContext", s.testClientContext)
}

func (s *suite) testLogTail(t *testing.T) {
	first := s.command(s.Probe, probe.Command{Do: probe.Log, Text: "written by the first", Bytes: 8 << 10})
	s.start(t, &first)
	r := s.invoke(t, t.Context(), first) // not asked for: checked by invoke
	executed(t, r, spillway.CauseNone)

	second := s.command(s.Probe, probe.Command{Do: probe.Log, Text: "written by the second"})
	second.Instance, second.LogTail = first.Instance, true
	r = s.invoke(t, t.Context(), second)
	executed(t, r, spillway.CauseNone)
	if log := string(r.LogTail); !strings.Contains(log, "written by the second") || strings.Contains(log, "the first") {
		t.Errorf("log %.300q is not the invocation's own", log)
	}

	long := s.command(s.Probe, probe.Command{Do: probe.Log, Text: "the last line", Bytes: 64 << 10})
	long.Instance, long.LogTail = first.Instance, true
	r = s.invoke(t, t.Context(), long)
	executed(t, r, spillway.CauseNone)
	if !strings.Contains(string(r.LogTail), "the last line") {
		t.Errorf("log %.300q is not the end of what was written", r.LogTail)
	}

	failing := s.command(s.Probe, probe.Command{Do: probe.Fail, Text: "failed"})
	failing.Instance = first.Instance
	executed(t, s.invoke(t, t.Context(), failing), spillway.CauseNone)
}

func (s *suite) testUsage(t *testing.T) {
	for _, do := range []string{"", probe.Fail, probe.Exit, probe.Hang} {
		function := s.Probe
		if do == probe.Hang {
			function = s.Hasty
		}
		r := s.once(t, s.command(function, probe.Command{Do: do, Text: "failed"}))
		u := r.Outcome.Usage
		if r.Outcome.Class != spillway.Executed || u.Started <= 0 || u.DurationMicros <= 0 || u.MemoryMiB != s.MiB {
			t.Errorf("%q: %v with usage %+v, want executed, started, a duration and %d MiB", do, r.Outcome.Class, u, s.MiB)
		}
		if u.InitMicros < 0 || u.MaxMemoryMiB < 0 || u.CPUMicros < 0 {
			t.Errorf("%q: negative usage %+v", do, u)
		}
		if cloud := s.starter == nil; cloud != (u.BilledMillis > 0) {
			t.Errorf("%q: billed %d ms; a cloud says what it bills, an on-prem pool does not", do, u.BilledMillis)
		} else if cloud && u.BilledMillis*1000 < u.DurationMicros {
			t.Errorf("%q: billed %d ms for %d µs", do, u.BilledMillis, u.DurationMicros)
		}
	}
}

func (s *suite) testClientContext(t *testing.T) {
	c := s.command(s.Probe, probe.Command{Do: probe.Context})
	r := s.once(t, c)
	executed(t, r, spillway.CauseNone)
	var got map[string]string
	if err := json.Unmarshal(r.Payload, &got); err != nil || got[probe.CustomInvocation] != c.invocation {
		t.Errorf("the function saw client context %s (%v), want invocation %s", r.Payload, err, c.invocation)
	}

	huge := s.call(s.Probe, make([]byte, pools.MaxPayload+1))
	if r := s.once(t, huge); r.Outcome.Class == spillway.Unknown {
		t.Errorf("a request over the limit: unknown %s, want a refusal or an execution", r.Outcome.Detail)
	}
}
