package server_test

import (
	"container/heap"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

const equivalencePlatform = `
pool onprem process slots=3 keepalive=150ms
pool cloud lambda concurrency=6 init=1s
quota all onprem=3 cloud=5 budget=day:60000:reject
policy default Hybrid order=onprem,cloud wait=20ms
namespace shop quota=all
namespace media quota=all
function shop/a burst=allow maxwait=60ms timeout=1s
function media/b burst=allow maxwait=60ms timeout=1s
function media/stay maxwait=60ms timeout=1s
`

const coldStart = 5003 * time.Microsecond

// load is call i: when it comes and how long it runs. No two instants coincide.
func load(i int) (at, service time.Duration, function int) {
	at = time.Duration(1000+i*6000+i*i*37%1000) * time.Microsecond
	service = time.Duration(20_000+i*7919%50_000)*time.Microsecond + time.Duration(i)*time.Nanosecond*101
	if i%40 > 30 {
		at += 15 * time.Millisecond
	}
	return at, service, i % 3
}

const calls = 300

// TestLiveAndVirtualAgree runs one load through the live Server under a fake
// clock and through the Engine in virtual time. Placement, refusal and charge of
// every call are the same, also where windows of load start instances and end them.
func TestLiveAndVirtualAgree(t *testing.T) {
	for _, keep := range []string{"fixed", "windows stable=300ms"} {
		t.Run(keep, func(t *testing.T) {
			agree(t, strings.Replace(equivalencePlatform, "keepalive=150ms", "keepalive=150ms keep="+keep, 1))
		})
	}
}

func agree(t *testing.T, platform string) {
	p, err := testplatform.Parse(platform)
	if err != nil {
		t.Fatal(err)
	}
	virtual := runVirtual(t, p)
	var live []string
	synctest.Test(t, func(t *testing.T) { live = runLive(t, p) })
	seen := map[string]int{}
	for i := range virtual {
		if virtual[i] != live[i] {
			t.Errorf("call %d: virtual %q, live %q", i, virtual[i], live[i])
		}
		seen[strings.Fields(virtual[i])[1]]++
	}
	for _, want := range []string{"preferred", "overflow_wait", "pinned", "quota_exceeded", "budget_exceeded"} {
		if seen[want] == 0 {
			t.Errorf("the load never met %s: %v", want, seen)
		}
	}
}

// outcome is what both drivers must agree on.
func outcome(p *spillway.Platform, d *dispatcher.Decision, settled spillway.Nano) string {
	if d.Refusal != spillway.ReasonNone {
		return "refused " + d.Refusal.String()
	}
	return fmt.Sprintf("%s %s cold=%v waited=%v cost=%s", p.Pools[d.Pool].Name, d.Reason, d.Last().Cold, d.Waited, settled)
}

func runLive(t *testing.T, p *spillway.Platform) []string {
	step := func(r pools.Request) memory.Step {
		i, _ := strconv.Atoi(string(r.Payload))
		_, service, _ := load(i)
		return memory.Step{Service: service}
	}
	onprem := memory.New(memory.Options{Step: step, Start: func(context.Context, *spillway.Function) (pools.ColdStart, error) {
		return pools.ColdStart{Init: coldStart}, nil
	}})
	defer onprem.Close()
	cloud := memory.NewCloud(1, memory.Options{Step: step})
	book := new(bookOnly)
	s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: cloud}, Policy: permitAll{p}, Ledger: book})
	answers := make([]*server.Answer, calls)
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			at, _, fn := load(i)
			time.Sleep(at)
			a, err := s.Invoke(context.Background(), server.Ask{Function: p.Functions[fn].FunctionKey, Payload: []byte(strconv.Itoa(i))})
			if err != nil {
				t.Errorf("call %d: %v", i, err)
			}
			answers[i] = a
		})
	}
	wg.Wait()
	s.Close()
	settled := map[string]spillway.Nano{}
	for _, e := range book.lines {
		if e.Kind == billing.KindCharge {
			settled[e.Invocation] += e.Settled
		}
	}
	var out []string
	for _, a := range answers {
		out = append(out, outcome(p, a.Decision, settled[a.Decision.Call.ID]))
	}
	return out
}

// event of the virtual driver.
type event struct {
	at  spillway.Instant
	run func(now spillway.Instant) []dispatcher.Effect
}

type agenda []event

func (a agenda) Len() int           { return len(a) }
func (a agenda) Less(i, j int) bool { return a[i].at < a[j].at }
func (a agenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)        { *a = append(*a, x.(event)) }
func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func runVirtual(t *testing.T, p *spillway.Platform) []string {
	e := dispatcher.New(p)
	start := spillway.InstantOf(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) // as synctest's clock
	decisions, settled := make([]dispatcher.Decision, calls), make([]spillway.Nano, calls)
	var todo agenda
	verdict := testplatform.PermitAll(p)
	for i := range calls {
		at, _, fn := load(i)
		heap.Push(&todo, event{start.Add(at), func(now spillway.Instant) []dispatcher.Effect {
			_, effects := e.Admit(now, spillway.Call{ID: strconv.Itoa(i), Function: p.Functions[fn]}, verdict, &decisions[i])
			return effects
		}})
	}
	var take func(now spillway.Instant, effects []dispatcher.Effect)
	take = func(now spillway.Instant, effects []dispatcher.Effect) {
		for _, f := range append([]dispatcher.Effect(nil), effects...) {
			switch f.Kind {
			case dispatcher.StartInstance:
				heap.Push(&todo, event{now.Add(coldStart), func(now spillway.Instant) []dispatcher.Effect {
					return e.Observe(now, dispatcher.Observation{Kind: dispatcher.InstanceReady, Pool: f.Pool, Instance: f.Instance})
				}})
			case dispatcher.StopInstance:
				take(now, e.Observe(now, dispatcher.Observation{Kind: dispatcher.InstanceStopped, Pool: f.Pool, Instance: f.Instance}))
			case dispatcher.Start:
				i, _ := strconv.Atoi(f.Decision.Call.ID)
				_, service, _ := load(i)
				heap.Push(&todo, event{now.Add(service), func(now spillway.Instant) []dispatcher.Effect {
					micros := int64((service + time.Microsecond - 1) / time.Microsecond)
					usage := spillway.Usage{DurationMicros: micros, MemoryMiB: f.Function.Resources.MiB}
					return e.Complete(now, f.Call, dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed, Usage: usage}})
				}})
			case dispatcher.Post:
				i, _ := strconv.Atoi(f.Decision.Call.ID)
				settled[i] += f.Settled
			}
		}
	}
	last := start
	for len(todo) > 0 {
		if next := e.Next(); next < todo[0].at {
			last = max(last, next)
			take(last, e.Tick(last))
			continue
		}
		ev := heap.Pop(&todo).(event)
		if ev.at == last {
			t.Fatalf("two events at %v: the load must be free of ties", ev.at.Sub(start))
		}
		last = ev.at
		take(ev.at, ev.run(ev.at))
	}
	var out []string
	for i := range decisions {
		out = append(out, outcome(p, &decisions[i], settled[i]))
	}
	return out
}
