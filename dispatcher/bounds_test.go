package dispatcher_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

func platformOf(t *testing.T, text string) *spillway.Platform {
	t.Helper()
	p, err := testplatform.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestWaitingIsBounded: the calls of one namespace that wait are at most a thousand,
// and another namespace is not affected.
func TestWaitingIsBounded(t *testing.T) {
	p := platformOf(t, `
pool onprem process slots=1
policy default OnPremOnly order=onprem
namespace shop
namespace other
function shop/a maxwait=20s
function other/b maxwait=20s`)
	e := dispatcher.New(p)
	verdict := testplatform.PermitAll(p)
	refused := 0
	for i := range 1010 {
		d := new(dispatcher.Decision)
		e.Admit(epoch, spillway.Call{ID: fmt.Sprint(i), Function: p.Functions[0]}, verdict, d)
		if d.Refusal != spillway.ReasonNone {
			refused++
			if d.Limit.Kind != spillway.LimitWaiting || d.Limit.Max != 1000 {
				t.Fatalf("refused for %s", d.Limit)
			}
		}
	}
	if refused != 9 { // one has the place and a thousand wait
		t.Errorf("%d refused", refused)
	}
	d := new(dispatcher.Decision)
	if e.Admit(epoch, spillway.Call{ID: "other", Function: p.Functions[1]}, verdict, d); d.Refusal != spillway.ReasonNone {
		t.Errorf("another namespace was refused: %s", d.Limit)
	}
}

// TestCostBeyondCountingIsTheReservation: a provider that reports more than can be
// counted does not make the call free.
func TestCostBeyondCountingIsTheReservation(t *testing.T) {
	p := platformOf(t, `
pool cloud lambda
quota all budget=day:1000000000:reject
policy default CloudOnly order=cloud
namespace shop quota=all
function shop/a burst=allow`)
	e, d := dispatcher.New(p), new(dispatcher.Decision)
	h, _ := e.Admit(epoch, spillway.Call{ID: "1", Function: p.Functions[0]}, testplatform.PermitAll(p), d)
	e.Complete(epoch, h, dispatcher.Ending{Outcome: spillway.Outcome{Class: spillway.Executed, Usage: spillway.Usage{BilledMillis: math.MaxInt64, MemoryMiB: math.MaxInt64}}})
	if spent, reserved := e.Quota().Spending(0, 0, epoch); spent != d.Attempts[0].Reserved || spent == 0 || reserved != 0 {
		t.Errorf("spent %s, reserved %s, want %s and nothing", spent, reserved, d.Attempts[0].Reserved)
	}
}

// TestLongQueueIsLookedThrough: a call that fits has its turn although more than one
// pass of calls before it do not fit.
func TestLongQueueIsLookedThrough(t *testing.T) {
	p := platformOf(t, `
pool onprem process slots=2 mib=500
policy default OnPremOnly order=onprem
namespace shop
function shop/large mib=400 maxwait=20s
function shop/small mib=100 maxwait=20s`)
	e := dispatcher.New(p)
	admit := func(f, id int) *dispatcher.Decision {
		d := new(dispatcher.Decision)
		e.Admit(epoch, spillway.Call{ID: fmt.Sprint(id), Function: p.Functions[f]}, testplatform.PermitAll(p), d)
		return d
	}
	d := new(dispatcher.Decision)
	_, effects := e.Admit(epoch, spillway.Call{ID: "first", Function: p.Functions[0]}, testplatform.PermitAll(p), d)
	e.Observe(epoch, dispatcher.Observation{Kind: dispatcher.InstanceReady, Instance: effects[0].Instance})
	small := admit(1, 0) // takes the other slot
	for i := range 40 {
		admit(0, 100+i)
	}
	behind := admit(1, 1)
	if small.Tries != 1 || behind.Tries != 0 {
		t.Fatalf("the set-up: %d and %d attempts", small.Tries, behind.Tries)
	}
	// Each end of the small instance frees room for a small call only.
	for range 3 {
		e.Observe(epoch, dispatcher.Observation{Kind: dispatcher.InstanceFailed, Instance: 2, Detail: "test"})
		e.Observe(epoch, dispatcher.Observation{Kind: dispatcher.LedgerUp})
	}
	if behind.Tries != 1 {
		t.Errorf("the call behind the long queue waits on")
	}
}
