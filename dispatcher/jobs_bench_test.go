package dispatcher_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// teams share idle capacity in the benchmark.
const teams = 50

// queuedEngine is warmEngine with so many jobs that wait, and before those of each team
// a call: what is idle has room for them, their namespaces' quotas do not.
func queuedEngine(tb testing.TB, jobs int) (*dispatcher.Engine, *spillway.Function, []*dispatcher.Decision) {
	text := strings.Replace(benchPlatform, "pool cloud", "pool idle offline\npool cloud", 1) + "policy nightly Hybrid order=idle,cloud\n"
	for i := range teams {
		text += fmt.Sprintf("quota team%d parent=company offline=1\nnamespace team%d quota=team%d\nfunction team%d/night class=offline burst=allow maxwait=1h deadline=2h policy=nightly\n", i, i, i, i)
	}
	p, err := testplatform.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	e, f := dispatcher.New(p), p.Function(spillway.FunctionKey{Namespace: "shop", Name: "a"})
	h, effects := e.Admit(epoch, spillway.Call{ID: "1", Function: f}, testplatform.PermitAll(p), new(dispatcher.Decision))
	e.Observe(epoch, dispatcher.Observation{Kind: dispatcher.InstanceReady, Instance: effects[0].Instance})
	e.Complete(epoch, h, executed)
	idle := dispatcher.Observation{Kind: dispatcher.PoolCapacity, Pool: poolIndex(tb, p, "idle"), Capacity: spillway.Resources{Slots: spillway.Unlimited, MilliCPU: 1 << 40, MiB: 1 << 40}}
	e.Observe(epoch, idle)
	var waiting []*dispatcher.Decision
	for i := range jobs + min(jobs, teams) { // the first of each team runs
		if i >= teams && i < 2*teams {
			waiting = append(waiting, new(dispatcher.Decision))
			night := p.Function(spillway.FunctionKey{Namespace: fmt.Sprint("team", i%teams), Name: "night"})
			e.Admit(epoch, spillway.Call{ID: fmt.Sprint("night", i), Function: night}, testplatform.PermitAll(p), waiting[len(waiting)-1])
		}
		j := dispatcher.Job{UID: fmt.Sprint("job", i), Namespace: fmt.Sprint("team", i%teams), Name: "j", Pod: "p", Node: "node", MaxWait: -1,
			Need: spillway.Resources{Slots: 1, MilliCPU: 500, MiB: 1}}
		if a, _ := e.AdmitJob(epoch, j, testplatform.PermitAll(p), new(dispatcher.Decision)); a.State == dispatcher.JobWaiting {
			waiting = append(waiting, a.Decision)
		}
	}
	if n := e.View(epoch).Waiting; len(waiting) != jobs+n || n != min(jobs, teams) {
		tb.Fatalf("%d jobs and calls wait, %d of them calls, want %d jobs", len(waiting), n, jobs)
	}
	return e, f, waiting
}

func poolIndex(tb testing.TB, p *spillway.Platform, name string) int {
	for i, pool := range p.Pools {
		if pool.Name == name {
			return i
		}
	}
	tb.Fatalf("no pool %s", name)
	return -1
}

// BenchmarkBesideJobs is a call from admission to answer while jobs and offline calls wait. They cost it
// nothing: the bar is 1.05 times what it takes when none does.
func BenchmarkBesideJobs(b *testing.B) {
	for _, c := range []struct {
		jobs, policy int
	}{{0, 0}, {10_000, 0}, {0, 1}, {10_000, 1}} {
		b.Run(fmt.Sprintf("%s/jobs=%d", []string{"onprem", "cloud"}[c.policy], c.jobs), func(b *testing.B) {
			e, f, _ := queuedEngine(b, c.jobs)
			f.Policy = c.policy
			verdict, d, now := testplatform.PermitAll(e.Platform()), new(dispatcher.Decision), epoch
			call := spillway.Call{ID: "2", Function: f}
			b.ReportAllocs()
			for b.Loop() {
				*d = dispatcher.Decision{}
				now = now.Add(10 * time.Microsecond) // none is forgotten meanwhile
				h, _ := e.Admit(now, call, verdict, d)
				e.Complete(now, h, executed)
				if e.Next() <= now {
					e.Tick(now)
				}
			}
		})
	}
}

// TestOnlineCallsLookAtNoJob: a call that is admitted and ends decides about none of the
// jobs and calls that wait for idle room, and neither does time that passes, once all of them were looked at.
func TestOnlineCallsLookAtNoJob(t *testing.T) {
	e, f, jobs := queuedEngine(t, 1000)
	now := epoch
	for range 100 {
		if e.Next() > now.Add(time.Second) {
			break
		}
		now = max(now, e.Next())
		e.Tick(now)
	}
	if next := e.Next(); next <= now.Add(time.Second) {
		t.Fatalf("jobs that do not fit are looked at again and again, next in %v", next.Sub(now))
	}
	for _, d := range jobs { // what is decided anew has its limit written
		d.Limit = spillway.Limit{}
	}
	for i := range 2 {
		f.Policy = i
		h, _ := e.Admit(now, spillway.Call{ID: "2", Function: f}, testplatform.PermitAll(e.Platform()), new(dispatcher.Decision))
		e.Complete(now, h, executed)
	}
	for _, d := range jobs {
		if d.Limit != (spillway.Limit{}) {
			t.Fatalf("%s was looked at for an online call", d.Call.ID)
		}
	}
	e.EndJob(now, "job0", dispatcher.JobEnd{Attempt: 1, Outcome: spillway.Outcome{Class: spillway.Executed}})
	if jobs[0].Tries != 1 {
		t.Errorf("%s, the first of its namespace that waits, waits on when a job has ended", jobs[0].Call.ID)
	}
}
