package dispatcher_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// keeperPlatforms differ in what a reload may change: policy, room, code, functions.
var keeperPlatforms = []string{`
pool onprem process slots=9 mib=2000 keepalive=2m keep=forecast worth=2h
policy default OnPremOnly order=onprem
namespace shop
function shop/a maxwait=5s
function shop/b maxwait=5s mib=300 minwarm=1
function shop/c maxwait=5s at-once=2
`, `
pool onprem process slots=9 mib=2000 keepalive=2m keep=forecast worth=2h
policy default OnPremOnly order=onprem
namespace shop
function shop/b maxwait=5s mib=300 minwarm=2
function shop/a maxwait=5s digest=d2
`, `
pool onprem process slots=4 mib=900 keepalive=2m keep=hybrid
policy default OnPremOnly order=onprem
namespace shop
function shop/c maxwait=5s at-once=2
function shop/b maxwait=5s mib=300
function shop/a maxwait=5s
`, `
pool onprem process slots=9 mib=2000 keepalive=2m keep=provisioned share=60 window=10m
policy default OnPremOnly order=onprem
namespace shop
function shop/a maxwait=5s
function shop/b maxwait=5s mib=300
function shop/c maxwait=5s at-once=2
`, `
pool onprem process slots=9 mib=2000 keepalive=2m
policy default OnPremOnly order=onprem
namespace shop
function shop/a maxwait=5s
function shop/b maxwait=5s mib=300
function shop/c maxwait=5s at-once=2
`, `
pool onprem process slots=9 mib=2000 keepalive=2m keep=windows stable=20s
policy default OnPremOnly order=onprem
namespace shop
function shop/a maxwait=5s
function shop/b maxwait=5s mib=300 minwarm=1
function shop/c maxwait=5s at-once=2
`, `
pool onprem process slots=6 mib=1500 keepalive=2m keep=windows stable=20s
policy default OnPremOnly order=onprem
quota q onprem=3
namespace shop quota=q
function shop/c maxwait=5s at-once=2
function shop/b maxwait=5s mib=300 minwarm=1
function shop/a maxwait=5s digest=d3
`}

// TestKeeperProperties calls functions with rhythms that policies learn, with
// failures, exits and reloads in between. What holds for any Engine holds here, and
// the Engine's instances are those that its effects made.
func TestKeeperProperties(t *testing.T) {
	var all []*spillway.Platform
	for i, text := range keeperPlatforms {
		p, err := testplatform.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Generation = int64(i + 1)
		all = append(all, p)
	}
	ahead := 0
	rapid.Check(t, func(rt *rapid.T) {
		p := all[rapid.IntRange(0, len(all)-1).Draw(rt, "first")]
		e := dispatcher.New(p)
		o := &oracle{t: rt, e: e, p: p, now: epoch, excess: map[string]int64{}, running: map[*dispatcher.Decision]attemptSeen{}, unknown: map[string]attemptSeen{},
			handles: map[*dispatcher.Decision]dispatcher.Handle{}, replied: map[*dispatcher.Decision]bool{},
			found: unlimited, instances: map[spillway.InstanceID]*instanceSeen{}, posted: map[string]billing.Kind{}}
		period := time.Duration(rapid.SampledFrom([]int{1, 70, 185, 400}).Draw(rt, "period")) * time.Second
		calls := 0
		for range rapid.IntRange(5, 40).Draw(rt, "rounds") {
			f := o.p.Functions[rapid.IntRange(0, len(o.p.Functions)-1).Draw(rt, "function")]
			for range rapid.IntRange(1, 5).Draw(rt, "burst") {
				calls++
				d := new(dispatcher.Decision)
				h, effects := e.Admit(o.now, spillway.Call{ID: fmt.Sprint(calls), Function: f}, testplatform.PermitAll(o.p), d)
				o.handles[d] = h
				o.take(effects)
			}
			for range 12 {
				o.now = o.now.Add(100 * time.Millisecond)
				o.instanceEvent(e, startOf(rapid.IntRange(0, 15).Draw(rt, "failure") == 0))
				o.completeOne(e, executed)
			}
			switch rapid.IntRange(0, 19).Draw(rt, "more") {
			case 0:
				o.reload(e, all[rapid.IntRange(0, len(all)-1).Draw(rt, "next")])
			case 1, 2:
				o.exit(e)
			}
			ahead += o.rest(e, rapid.IntRange(0, 3).Draw(rt, "prompt"), rapid.IntRange(0, 3).Draw(rt, "fails") == 0, period+time.Duration(rapid.IntRange(0, 9).Draw(rt, "jitter"))*time.Second)
			o.sameInstances(e)
		}
		o.finish(e)
	})
	if ahead == 0 {
		t.Error("no instance was ever started ahead: the test shows nothing")
	}
}

func startOf(fails bool) dispatcher.ObservationKind {
	if fails {
		return dispatcher.InstanceFailed
	}
	return dispatcher.InstanceReady
}

// rest lets time pass as a driver does, and returns how many instances were started
// in it. After each tick so many of them begin to work, or fail. It fails when the Engine asks for the same instant again and again.
func (o *oracle) rest(e *dispatcher.Engine, prompt int, fails bool, d time.Duration) (started int) {
	end := o.now.Add(d)
	for range 1000 {
		next := e.Next()
		if next > end {
			break
		}
		o.now = max(o.now, next)
		for _, f := range e.Tick(o.now) {
			if f.Kind == dispatcher.StartInstance {
				started++
			}
			o.take([]dispatcher.Effect{f})
		}
		for range prompt {
			o.instanceEvent(e, startOf(fails))
		}
	}
	if next := e.Next(); next <= o.now {
		o.t.Fatalf("the Engine has work at %s without end, now %s", next.Time(), o.now.Time())
	}
	o.now = max(o.now, end)
	return started
}

// sameInstances compares the Engine's count with what its effects made.
func (o *oracle) sameInstances(e *dispatcher.Engine) {
	var running, idle, starting int64
	for _, in := range o.instances {
		switch {
		case in.stopping, in.gone:
		case !in.ready:
			starting++
		case in.calls > 0:
			running++
		default:
			idle++
		}
	}
	if v := e.View(o.now).Pools[0]; v.Running != running || v.Idle != idle || v.Starting < starting {
		o.t.Fatalf("the Engine has %d busy, %d idle and %d starting instances, effects made %d, %d and %d", v.Running, v.Idle, v.Starting, running, idle, starting)
	}
	var counted int64
	for _, revisions := range e.Instances() {
		for _, n := range revisions {
			counted += n
		}
	}
	if counted != running+idle {
		o.t.Fatalf("the Engine counts %d instances of revisions that are started, effects made %d", counted, running+idle)
	}
}
