package dispatcher_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

const benchPlatform = `
pool onprem process slots=64
pool cloud lambda concurrency=100 ramp=1000 rps=1000000
quota company budget=month:900000000000:reject
quota retail parent=company onprem=64 cloud=64 budget=day:900000000000:reject
policy default Hybrid order=onprem,cloud max=64
policy burst CloudOnly order=cloud max=64
namespace shop quota=retail
function shop/a burst=allow
`

// warmEngine has one idle instance of shop/a.
func warmEngine(tb testing.TB) (*dispatcher.Engine, *spillway.Function) { return warmOn(tb, "") }

// warmOn is warmEngine with a keep-alive policy.
func warmOn(tb testing.TB, keep string) (*dispatcher.Engine, *spillway.Function) {
	p, err := testplatform.Parse(strings.Replace(benchPlatform, "onprem process", "onprem process "+keep, 1))
	if err != nil {
		tb.Fatal(err)
	}
	e, f, d := dispatcher.New(p), p.Functions[0], new(dispatcher.Decision)
	h, effects := e.Admit(epoch, spillway.Call{ID: "1", Function: f}, testplatform.PermitAll(p), d)
	e.Observe(epoch, dispatcher.Observation{Kind: dispatcher.InstanceReady, Instance: effects[0].Instance})
	e.Complete(epoch, h, executed)
	return e, f
}

var executed = dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed, Usage: spillway.Usage{BilledMillis: 100, DurationMicros: 99_500}}}

// BenchmarkAdmitComplete is one call from admission to answer, verdict at hand,
// on a warm instance and on a cloud.
func BenchmarkAdmitComplete(b *testing.B) {
	for _, c := range []struct {
		name   string
		policy int
		keep   string
	}{{"onprem", 0, ""}, {"cloud", 1, ""}, {"hybrid", 0, "keep=hybrid"}, {"forecast", 0, "keep=forecast"}, {"provisioned", 0, "keep=provisioned"}} {
		b.Run(c.name, func(b *testing.B) {
			e, f := warmOn(b, c.keep)
			f.Policy = c.policy
			verdict, d, now := testplatform.PermitAll(e.Platform()), new(dispatcher.Decision), epoch
			call := spillway.Call{ID: "2", Function: f}
			b.ReportAllocs()
			for b.Loop() {
				*d = dispatcher.Decision{}
				now = now.Add(time.Millisecond)
				h, _ := e.Admit(now, call, verdict, d)
				e.Complete(now, h, executed)
			}
		})
	}
}

// TestAdmitCompleteAllocates holds the hot path to no allocation.
func TestAdmitCompleteAllocates(t *testing.T) {
	for _, policy := range []int{0, 1} {
		e, f := warmEngine(t)
		f.Policy = policy
		verdict, d, now := testplatform.PermitAll(e.Platform()), new(dispatcher.Decision), epoch
		call := spillway.Call{ID: "2", Function: f}
		allocs := testing.AllocsPerRun(1000, func() {
			*d = dispatcher.Decision{}
			now = now.Add(time.Millisecond)
			h, _ := e.Admit(now, call, verdict, d)
			e.Complete(now, h, executed)
		})
		if allocs != 0 {
			t.Errorf("policy %d: Admit and Complete allocate %v times", policy, allocs)
		}
	}
}
