package dispatcher_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// TestJobs runs the stories of jobs: what is asked, and what is answered.
func TestJobs(t *testing.T) {
	datadriven.Walk(t, "testdata/jobs", func(t *testing.T, path string) {
		s := &jobStory{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
	})
}

type jobStory struct {
	world
	now   spillway.Instant
	asked map[string]dispatcher.Job
}

func (s *jobStory) run(t *testing.T, d *datadriven.TestData) string {
	arg := func(key, def string) string {
		for _, a := range d.CmdArgs {
			if a.Key == key && len(a.Vals) > 0 {
				return a.Vals[0]
			}
		}
		return def
	}
	number := func(key, def string) int64 {
		n, err := strconv.ParseInt(arg(key, def), 10, 64)
		if err != nil {
			d.Fatalf(t, "%s: %v", key, err)
		}
		return n
	}
	at := func(key string) (spillway.Instant, bool) {
		after, err := time.ParseDuration(arg(key, "-"))
		return epoch.Add(after), err == nil
	}
	if now, ok := at("at"); ok {
		s.now = now
	}
	switch d.Cmd {
	case "platform":
		s.now, s.asked = epoch, map[string]dispatcher.Job{}
		return s.world.run(t, d)
	case "job":
		return s.job(d.CmdArgs[0].Key, arg, number, at)
	case "end":
		return s.end(d.CmdArgs[0].Key, arg, number)
	case "room":
		c := spillway.Resources{Slots: spillway.Unlimited, MilliCPU: number("mcpu", "0"), MiB: 1 << 30}
		return s.effects(s.e.Observe(s.now, dispatcher.Observation{Kind: dispatcher.PoolCapacity, Pool: int(number("pool", "0")), Capacity: c}))
	case "restore-job":
		uid := d.CmdArgs[0].Key
		dec := new(dispatcher.Decision)
		s.names[dec] = uid
		ok := s.e.RestoreJob(dispatcher.OpenJob{UID: uid, Namespace: arg("ns", "shop"), Name: uid, Pod: uid + "-pod", Attempt: int(number("attempt", "1")),
			Pool: arg("pool", "idle"), Since: s.now, Placed: s.now, Need: spillway.Resources{Slots: 1, MilliCPU: number("mcpu", "1000"), MiB: 128}}, dec)
		return fmt.Sprint(ok)
	case "use":
		return s.use()
	}
	return s.world.run(t, d)
}

func (s *jobStory) job(uid string, arg func(string, string) string, number func(string, string) int64, at func(string) (spillway.Instant, bool)) string {
	p := s.e.Platform()
	j := dispatcher.Job{UID: uid, Namespace: arg("ns", "shop"), Name: uid, Pod: uid + "-pod", Node: arg("node", "node"), MaxWait: -1,
		Need: spillway.Resources{Slots: 1, MilliCPU: number("mcpu", "1000"), MiB: 128}, GPUs: number("gpus", "0"), Attempt: int(number("attempt", "0")),
		Before: int(number("before", "0")), CloudOnly: arg("only", "") == "cloud", NoRoom: arg("room", "") == "none"}
	if wait, err := time.ParseDuration(arg("wait", "-")); err == nil {
		j.MaxWait = wait
	}
	if deadline, ok := at("deadline"); ok {
		j.Deadline = deadline
	}
	j.Timeout, _ = time.ParseDuration(arg("timeout", "0s"))
	if burst := arg("burst", ""); burst != "" {
		j.Burst = p.Function(spillway.FunctionKey{Namespace: j.Namespace, Name: burst})
	}
	if before, ok := s.asked[uid]; ok && arg("wait", "")+arg("deadline", "")+arg("burst", "") == "" { // as it was asked before
		j.MaxWait, j.Deadline, j.Burst, j.Timeout = before.MaxWait, before.Deadline, before.Burst, before.Timeout
	}
	s.asked[uid] = j
	d := new(dispatcher.Decision)
	s.names[d] = uid
	a, effects := s.e.AdmitJob(s.now, j, testplatform.PermitAll(p), d)
	var b strings.Builder
	fmt.Fprintf(&b, "%s attempt %d", a.State, a.Attempt)
	if d := a.Decision; d != nil {
		s.states[uid] = d
		if d.Pool >= 0 {
			fmt.Fprintf(&b, " on %s: %s", p.Pools[d.Pool].Name, d.Reason)
		}
		if d.Limit.Kind != spillway.LimitNone {
			fmt.Fprintf(&b, " (%s)", d.Limit)
		}
		if d.Refusal != spillway.ReasonNone {
			fmt.Fprintf(&b, ", %s", d.Refusal)
		}
	}
	if a.Problem != nil {
		fmt.Fprintf(&b, ": %s", a.Problem)
	}
	if a.CloudAt != spillway.Never {
		fmt.Fprintf(&b, "; to a cloud at %s, %d for %s", a.CloudAt.Sub(epoch), a.Cloud, a.Cost)
	}
	return b.String() + "\n" + s.effects(effects)
}

func (s *jobStory) end(uid string, arg func(string, string) string, number func(string, string) int64) string {
	end := dispatcher.JobEnd{Attempt: int(number("attempt", "1"))}
	end.Outcome.Class = map[string]spillway.OutcomeClass{"executed": spillway.Executed, "not": spillway.NotExecuted, "unknown": spillway.Unknown}[arg("class", "executed")]
	if started, err := time.ParseDuration(arg("started", "-")); err == nil {
		end.Outcome.Usage.Started = epoch.Add(started)
	}
	effects, open := s.e.EndJob(s.now, uid, end)
	if !open {
		return "was not open"
	}
	return "ended\n" + s.effects(effects)
}

// use is what is held, and what waits.
func (s *jobStory) use() string {
	var b strings.Builder
	v := s.e.View(s.now)
	for _, j := range s.e.Jobs() {
		fmt.Fprintf(&b, "%s attempt %d: %s\n", j.UID, j.Attempt, j.State)
	}
	for i, q := range s.e.Platform().Quotas {
		fmt.Fprintf(&b, "quota %s: %dm\n", q.Name, s.e.Quota().Used(i, spillway.ClassOffline).MilliCPU)
	}
	for _, p := range v.Pools {
		if p.Offline != nil {
			fmt.Fprintf(&b, "pool %s: %dm of %dm\n", p.Name, p.Offline.HeldMilliCPU, p.Offline.MilliCPU)
		}
	}
	fmt.Fprintf(&b, "%d calls in flight", v.InFlight)
	return b.String()
}
