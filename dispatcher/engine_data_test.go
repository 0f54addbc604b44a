package dispatcher_test

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/policy"
)

// epoch is 2026-11-20T10:00:00Z, the zero of times in test data.
var epoch = spillway.InstantOf(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC))

// TestEngine runs the data files: a platform, then events and the effects that
// they must have.
func TestEngine(t *testing.T) {
	datadriven.Walk(t, "testdata/engine", func(t *testing.T, path string) {
		w := &world{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return w.run(t, d)
		})
	})
}

// world is one Engine and the names that a data file gives to its calls.
type world struct {
	e      *dispatcher.Engine
	calls  map[string]dispatcher.Handle
	names  map[*dispatcher.Decision]string
	states map[string]*dispatcher.Decision
	policy map[string]bool // pools that the policy denies
}

func (w *world) run(t *testing.T, d *datadriven.TestData) string {
	arg := func(key, def string) string {
		for _, a := range d.CmdArgs {
			if a.Key == key && len(a.Vals) > 0 {
				return a.Vals[0]
			}
		}
		return def
	}
	name := func() string { return d.CmdArgs[0].Key }
	now := epoch
	if at := arg("at", ""); at != "" {
		delay, err := time.ParseDuration(at)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		now = epoch.Add(delay)
	}
	switch d.Cmd {
	case "platform":
		p, err := testplatform.Parse(d.Input)
		if err != nil {
			return err.Error()
		}
		*w = world{e: dispatcher.New(p), calls: map[string]dispatcher.Handle{}, names: map[*dispatcher.Decision]string{}, states: map[string]*dispatcher.Decision{}}
		return ""
	case "deny":
		w.policy = map[string]bool{name(): true}
		return ""
	case "admit", "preview":
		return w.admit(now, name(), arg("fn", ""), d.Cmd == "preview", arg("deadline", ""))
	case "queue": // so many calls that get no name and have no effect
		n, _ := strconv.Atoi(name())
		for i := range n {
			if out := w.admit(now, fmt.Sprint("queued", i), arg("fn", ""), false, ""); out != "" {
				return out
			}
		}
		return ""
	case "complete":
		return w.effects(w.e.Complete(now, w.calls[name()], ending(arg)))
	case "ready", "failed", "stopped", "exited", "placed":
		kind := map[string]dispatcher.ObservationKind{"ready": dispatcher.InstanceReady, "failed": dispatcher.InstanceFailed, "stopped": dispatcher.InstanceStopped, "exited": dispatcher.InstanceExited, "placed": dispatcher.InstancePlaced}[d.Cmd]
		id, _ := strconv.Atoi(name())
		return w.effects(w.e.Observe(now, dispatcher.Observation{Kind: kind, Instance: spillway.InstanceID(id), Detail: "Runtime.ExitError: exit status 1"}))
	case "unplaced", "refused":
		kind := map[string]dispatcher.ObservationKind{"unplaced": dispatcher.InstanceUnplaced, "refused": dispatcher.InstanceRefused}[d.Cmd]
		id, _ := strconv.Atoi(name())
		return w.effects(w.e.Observe(now, dispatcher.Observation{Kind: kind, Instance: spillway.InstanceID(id), Detail: "0/3 nodes are available"}))
	case "capacity":
		var found spillway.Resources
		for what, into := range map[string]*int64{"slots": &found.Slots, "cpu": &found.MilliCPU, "mib": &found.MiB} {
			n, err := strconv.ParseInt(arg(what, ""), 10, 64)
			if *into = n; err != nil {
				*into = spillway.Unlimited
			}
		}
		return w.effects(w.e.Observe(now, dispatcher.Observation{Kind: dispatcher.PoolCapacity, Capacity: found}))
	case "abandon":
		return w.effects(w.e.Abandon(now))
	case "ledger":
		kind := dispatcher.LedgerUp
		if name() == "down" {
			kind = dispatcher.LedgerDown
		}
		return w.effects(w.e.Observe(now, dispatcher.Observation{Kind: kind}))
	case "tick":
		return w.effects(w.e.Tick(now))
	case "next":
		if n := w.e.Next(); n != spillway.Never {
			return "next " + n.Sub(epoch).String()
		}
		return "next never"
	case "restore":
		money, _ := strconv.ParseInt(arg("spent", "0"), 10, 64)
		reserved, _ := strconv.ParseInt(arg("reserved", "0"), 10, 64)
		w.e.Restore([]dispatcher.Spent{{At: now, Amount: spillway.Nano(money)}}, []dispatcher.OpenIntent{{
			Invocation: "old", Attempt: 1, Function: spillway.FunctionKey{Namespace: "shop", Name: "a"}, Pool: "cloud",
			Admitted: now, Deadline: now.Add(5 * time.Second), Reserved: spillway.Nano(reserved), Resources: spillway.Resources{Slots: 1, MiB: 128}}})
		return ""
	case "quota":
		return w.quota(now)
	case "reload":
		p, err := testplatform.Parse(d.Input)
		if err != nil {
			return err.Error()
		}
		p.Generation = w.e.Platform().Generation + 1
		return w.effects(w.e.Reload(now, p, nil))
	case "split":
		return w.split(now, arg("fn", ""), arg("n", "10"))
	case "burst":
		return w.burst(now)
	case "explain":
		x := dispatcher.Explain(w.states[name()])
		x.Invocation = name()
		return x.Summary()
	}
	d.Fatalf(t, "unknown command %s", d.Cmd)
	return ""
}

func (w *world) admit(now spillway.Instant, name, fn string, preview bool, deadline string) string {
	ns, f, _ := strings.Cut(fn, "/")
	p := w.e.Platform()
	function := p.Function(spillway.FunctionKey{Namespace: ns, Name: f})
	if function == nil {
		return "no function " + fn
	}
	call := spillway.Call{ID: name, Function: function, Caller: "test"}
	if deadline != "" {
		wait, _ := time.ParseDuration(deadline)
		call.Deadline = now.Add(wait)
	}
	verdict := &policy.Verdict{ID: "v", Generation: p.Generation, Permitted: ^spillway.PoolSet(0)}
	for i, pool := range p.Pools {
		if w.policy[pool.Name] {
			verdict.Permitted, verdict.Denials[i] = verdict.Permitted.Without(i), "denied by test"
		}
	}
	d := new(dispatcher.Decision)
	w.names[d], w.states[name] = name, d
	if preview {
		w.e.Preview(now, call, verdict, d)
		return w.outcome(d)
	}
	h, effects := w.e.Admit(now, call, verdict, d)
	w.calls[name] = h
	return w.effects(effects)
}

func ending(arg func(string, string) string) dispatcher.Ending {
	end := dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed}}
	ms, _ := strconv.ParseInt(arg("ms", "100"), 10, 64)
	end.Outcome.Usage = spillway.Usage{DurationMicros: ms * 1000, BilledMillis: ms}
	switch arg("outcome", "ok") {
	case "throttled":
		end.Outcome = spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseThrottled}
	case "rejected":
		end.Outcome = spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseRejected}
	case "connect":
		end.Outcome = spillway.Outcome{Class: spillway.NotExecuted, Cause: spillway.CauseConnect}
	case "unknown":
		end.Outcome = spillway.Outcome{Class: spillway.Unknown, Cause: spillway.CauseLost}
	case "reclaimed":
		end.Outcome.Cause, end.Outcome.FunctionError, end.InstanceGone = spillway.CauseReclaimed, spillway.FunctionUnhandled, true
	case "crashed":
		end.Outcome.Cause, end.Outcome.FunctionError, end.InstanceGone = spillway.CauseCrashed, spillway.FunctionUnhandled, true
	}
	return end
}

func (w *world) effects(effects []dispatcher.Effect) string {
	var b strings.Builder
	for _, f := range effects {
		p := w.e.Platform()
		pool := ""
		if f.Pool >= 0 && f.Kind != dispatcher.Reply {
			pool = p.Pools[f.Pool].Name
		}
		switch f.Kind {
		case dispatcher.Start:
			fmt.Fprintf(&b, "start %s on %s attempt %d", w.names[f.Decision], pool, f.Attempt)
			if f.Instance != 0 {
				fmt.Fprintf(&b, " instance %d", f.Instance)
			}
			fmt.Fprintf(&b, ": %s\n", f.Decision.Reason)
		case dispatcher.Post:
			id := "old"
			if f.Decision != nil {
				id = w.names[f.Decision]
			}
			fmt.Fprintf(&b, "post %s attempt %d %s %s\n", id, f.Attempt, f.Line, f.Settled)
		case dispatcher.Reply:
			fmt.Fprintf(&b, "reply %s: %s\n", w.names[f.Decision], w.outcome(f.Decision))
		case dispatcher.StartInstance:
			fmt.Fprintf(&b, "start instance %d of %s on %s\n", f.Instance, f.Function.FunctionKey, pool)
		case dispatcher.StopInstance:
			fmt.Fprintf(&b, "stop instance %d\n", f.Instance)
		}
	}
	return b.String()
}

func (w *world) outcome(d *dispatcher.Decision) string {
	if d.Refusal != spillway.ReasonNone {
		return fmt.Sprintf("refused %s (%s)", d.Refusal, d.Limit)
	}
	if d.Last() != nil {
		return fmt.Sprintf("%s after waiting %v", d.Class(), d.Waited)
	}
	return fmt.Sprintf("would go to %s: %s", w.e.Platform().Pools[d.Pool].Name, d.Reason)
}

func (w *world) quota(now spillway.Instant) string {
	var lines []string
	for i, q := range w.e.Platform().Quotas {
		line := fmt.Sprintf("%s: onprem %d, cloud %d", q.Name, w.e.Quota().Used(i, spillway.ClassOnPrem).Slots, w.e.Quota().Used(i, spillway.ClassCloud).Slots)
		for b := range q.Budgets {
			spent, reserved := w.e.Quota().Spending(i, b, now)
			line += fmt.Sprintf(", spent %s, reserved %s", spent, reserved)
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	calls, unknown := w.e.InFlight()
	return strings.Join(lines, "\n") + fmt.Sprintf("\nin flight %d, unknown %d", calls, unknown)
}

// split admits n calls of a function, which must not stay, and counts where their
// revisions and pools were.
func (w *world) split(now spillway.Instant, fn, n string) string {
	count, _ := strconv.Atoi(n)
	ns, f, _ := strings.Cut(fn, "/")
	lead := w.e.Platform().Function(spillway.FunctionKey{Namespace: ns, Name: f})
	var order []string
	for i := range count {
		picked, d := w.e.Pick(lead), new(dispatcher.Decision)
		h, effects := w.e.Admit(now, spillway.Call{ID: fmt.Sprint(i), Function: picked}, testplatform.PermitAll(w.e.Platform()), d)
		for len(effects) > 0 && effects[0].Kind == dispatcher.StartInstance {
			effects = w.e.Observe(now, dispatcher.Observation{Kind: dispatcher.InstanceReady, Pool: effects[0].Pool, Instance: effects[0].Instance})
		}
		order = append(order, fmt.Sprintf("%s/%s/%s", picked.Revision, w.e.Platform().Pools[d.Pool].Name, d.Reason))
		w.e.Complete(now, h, dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed, Usage: spillway.Usage{DurationMicros: 1000, BilledMillis: 1}}})
	}
	return strings.Join(order, "\n")
}

func (w *world) burst(now spillway.Instant) string {
	var b strings.Builder
	for _, v := range w.e.View(now).Bursts {
		fmt.Fprintf(&b, "%s: %s, in flight %d", v.Name, v.State, v.InFlight)
		if v.SharePercent != nil {
			fmt.Fprintf(&b, ", share %d%%", *v.SharePercent)
		}
		for _, s := range v.Spend {
			fmt.Fprintf(&b, ", spent %s of %s", s.Spent+s.Reserved, s.Limit)
		}
		if s := v.Shadow; s != nil {
			fmt.Fprintf(&b, ", shadow %d calls, %d refused, %s", s.Calls, s.Refused, s.Cost)
		}
		b.WriteString("\n")
	}
	return b.String()
}
