package dispatcher_test

import (
	"container/heap"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// load is an Engine under calls that arrive and take a time that are known before,
// in virtual time.
type load struct {
	e       *dispatcher.Engine
	due     arrivals
	handles map[*dispatcher.Decision]dispatcher.Handle
	took    map[string][]time.Duration // from admission to answer, of calls that ran, by namespace
	service time.Duration
}

// arrival is something that will happen: a call of fn, the end of one, an instance
// that becomes ready.
type arrival struct {
	at       spillway.Instant
	seq      int
	fn       *spillway.Function
	ended    *dispatcher.Decision
	instance spillway.InstanceID
	stopped  bool
}

type arrivals []arrival

func (a arrivals) Len() int { return len(a) }
func (a arrivals) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}
func (a arrivals) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *arrivals) Push(x any)   { *a = append(*a, x.(arrival)) }
func (a *arrivals) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func (l *load) add(a arrival) {
	a.seq = len(l.handles) + len(l.due)
	heap.Push(&l.due, a)
}

// run lets everything happen that is due, in order.
func (l *load) run(p *spillway.Platform) {
	verdict := testplatform.PermitAll(p)
	for n := 0; len(l.due) > 0; n++ {
		now := l.due[0].at
		if next := l.e.Next(); next < now {
			l.take(next, l.e.Tick(next))
			continue
		}
		a := heap.Pop(&l.due).(arrival)
		switch {
		case a.fn != nil:
			d := new(dispatcher.Decision)
			h, effects := l.e.Admit(now, spillway.Call{ID: fmt.Sprint(n), Function: a.fn}, verdict, d)
			l.handles[d] = h
			l.take(now, effects)
		case a.ended != nil:
			l.take(now, l.e.Complete(now, l.handles[a.ended], dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed}}))
		case a.stopped:
			l.take(now, l.e.Observe(now, dispatcher.Observation{Kind: dispatcher.InstanceStopped, Instance: a.instance}))
		default:
			l.take(now, l.e.Observe(now, dispatcher.Observation{Kind: dispatcher.InstanceReady, Instance: a.instance}))
		}
	}
}

// take carries effects out: instances start and stop in a millisecond, calls run
// for the service time.
func (l *load) take(now spillway.Instant, effects []dispatcher.Effect) {
	for _, f := range effects {
		switch f.Kind {
		case dispatcher.StartInstance:
			l.add(arrival{at: now.Add(time.Millisecond), instance: f.Instance})
		case dispatcher.StopInstance:
			l.add(arrival{at: now.Add(time.Millisecond), instance: f.Instance, stopped: true})
		case dispatcher.Start:
			l.add(arrival{at: now.Add(l.service), ended: f.Decision})
		case dispatcher.Reply:
			if f.Decision.Refusal == spillway.ReasonNone {
				ns := f.Decision.Call.Function.FunctionKey.Namespace
				l.took[ns] = append(l.took[ns], now.Sub(f.Decision.Admitted))
			}
		}
	}
}

// p99 returns the time that 99 of 100 of a namespace's calls took at most.
func (l *load) p99(namespace string) time.Duration {
	all := slices.Sorted(slices.Values(l.took[namespace]))
	return all[len(all)*99/100]
}

// switching is how long it takes to stop an instance of one function and start one
// of another.
const switching = 2 * time.Millisecond

// TestOneGreedyTenant: a tenant that sends fifty times as much as the others, and
// more than the pool can serve, at most doubles the p99 of the others. In a pool of
// four, where a call may have to wait for the whole of another, the time to switch an
// instance comes on top.
func TestOneGreedyTenant(t *testing.T) {
	for _, slots := range []int{4, 16, 64} {
		for _, service := range []time.Duration{5 * time.Millisecond, 50 * time.Millisecond, 400 * time.Millisecond} {
			t.Run(fmt.Sprintf("slots=%d/service=%s", slots, service), func(t *testing.T) {
				alone, together := quiet(t, slots, service, false), quiet(t, slots, service, true)
				for _, ns := range []string{"one", "two"} {
					a, b := alone.p99(ns), together.p99(ns)
					most := 2 * a
					if slots < 16 {
						most += switching
					}
					if b > most {
						t.Errorf("%s: p99 %s alone, %s beside the greedy tenant, want at most %s", ns, a, b, most)
					}
				}
				if n := len(together.took["greedy"]); n == 0 {
					t.Error("the greedy tenant got nothing")
				}
			})
		}
	}
}

// quiet is two tenants that use a twentieth of the pool each for a while, alone or
// beside one that sends fifty times as much.
func quiet(t *testing.T, slots int, service time.Duration, greedy bool) *load {
	p := platformOf(t, fmt.Sprintf(`
pool onprem process slots=%d keepalive=10m
policy default OnPremOnly order=onprem
namespace one
namespace two
namespace greedy
function one/f maxwait=30s deadline=60s timeout=60s
function two/f maxwait=30s deadline=60s timeout=60s
function greedy/f maxwait=30s deadline=60s timeout=60s`, slots))
	l := &load{e: dispatcher.New(p), handles: map[*dispatcher.Decision]dispatcher.Handle{}, took: map[string][]time.Duration{}, service: service}
	apart := service * 20 / time.Duration(slots) // of one tenant's calls: a twentieth of the pool
	const calls = 400
	for i := range calls {
		at := epoch.Add(time.Duration(i) * apart)
		l.add(arrival{at: at, fn: p.Functions[0]})
		l.add(arrival{at: at.Add(apart / 3), fn: p.Functions[1]})
		for j := 0; greedy && j < 50; j++ {
			l.add(arrival{at: at.Add(apart * time.Duration(j) / 50), fn: p.Functions[2]})
		}
	}
	l.run(p)
	return l
}
