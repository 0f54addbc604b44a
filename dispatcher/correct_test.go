package dispatcher_test

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// correctPlatform has a quota under another, a burst policy that may spend, whose
// purse comes after the quotas, and a namespace without a quota.
const correctPlatform = `
pool onprem process slots=1
pool cloud lambda init=1s
quota all budget=day:1000000:redirect
quota some parent=all budget=day:1000000:redirect
policy default Hybrid order=onprem,cloud spend=day:1000000
namespace shop quota=some
namespace free
function shop/a burst=allow timeout=1s maxwait=10s
function free/a burst=allow
`

// booked is what was spent in one day by the leaf of shop, its parent and the burst policy.
type booked struct{ leaf, parent, purse spillway.Nano }

func bookedOn(e *dispatcher.Engine, day spillway.Instant) booked {
	spent := func(node int) spillway.Nano {
		n, _ := e.Quota().Spending(node, 0, day)
		return n
	}
	return booked{parent: spent(0), leaf: spent(1), purse: spent(2)}
}

// correctEngine is an Engine whose budgets have spent an amount yesterday and today.
func correctEngine(t *testing.T, amount spillway.Nano) (*dispatcher.Engine, *spillway.Platform) {
	t.Helper()
	p, err := testplatform.Parse(correctPlatform)
	if err != nil {
		t.Fatal(err)
	}
	e := dispatcher.New(p)
	for _, at := range []spillway.Instant{epoch.Add(-24 * time.Hour), epoch} {
		for node := range 3 {
			e.Restore([]dispatcher.Spent{{Node: node, At: at, Amount: amount}}, nil)
		}
	}
	return e, p
}

// TestCorrect books corrections where the call was booked, in the window of its
// admission, also when its function is gone.
func TestCorrect(t *testing.T) {
	full, less, more := booked{1000, 1000, 1000}, booked{700, 700, 700}, booked{1200, 1200, 1200}
	for name, test := range map[string]struct {
		namespace, function string
		admitted            time.Duration // after epoch
		by                  spillway.Nano
		yesterday, today    booked
	}{
		"less today":                {"shop", "a", -time.Hour, -300, full, less},
		"more today":                {"shop", "a", -time.Hour, 200, full, more},
		"less yesterday":            {"shop", "a", -20 * time.Hour, -300, less, full},
		"before that":               {"shop", "a", -48 * time.Hour, -300, full, full},
		"function that is gone":     {"shop", "b", 0, -300, full, booked{700, 700, 1000}},
		"namespace without a quota": {"free", "a", 0, -300, full, booked{1000, 1000, 700}},
		"namespace that is gone":    {"gone", "a", 0, -300, full, full},
	} {
		t.Run(name, func(t *testing.T) {
			e, _ := correctEngine(t, 1000)
			effects := e.Correct(epoch, spillway.FunctionKey{Namespace: test.namespace, Name: test.function}, epoch.Add(test.admitted), test.by)
			if len(effects) != 0 {
				t.Errorf("effects %+v", effects)
			}
			if got := bookedOn(e, epoch.Add(-24*time.Hour)); got != test.yesterday {
				t.Errorf("yesterday: %+v, want %+v", got, test.yesterday)
			}
			if got := bookedOn(e, epoch); got != test.today {
				t.Errorf("today: %+v, want %+v", got, test.today)
			}
			if used := e.Quota().Used(1, spillway.ClassCloud); used != (spillway.Resources{}) {
				t.Errorf("a correction holds %+v", used)
			}
		})
	}
}

// TestCorrectWakes gives money back while a call waits on-prem for want of it: the
// call bursts at once, not with the next event.
func TestCorrectWakes(t *testing.T) {
	e, p := correctEngine(t, 1_000_000)
	shop := spillway.FunctionKey{Namespace: "shop", Name: "a"}
	admit := func(id string) []dispatcher.Effect {
		call := spillway.Call{ID: id, Function: p.Function(shop), Caller: "test"}
		_, effects := e.Admit(epoch, call, testplatform.PermitAll(p), new(dispatcher.Decision))
		return effects
	}
	if effects := admit("first"); len(effects) != 1 || effects[0].Kind != dispatcher.StartInstance {
		t.Fatalf("with on-prem free: %+v", effects)
	}
	if effects := admit("second"); len(effects) != 0 {
		t.Fatalf("without money: %+v", effects)
	}
	if effects := e.Correct(epoch, shop, epoch, 1); len(effects) != 0 {
		t.Fatalf("after more was spent: %+v", effects)
	}
	effects := e.Correct(epoch.Add(time.Second), shop, epoch, -500_000)
	if len(effects) != 1 || effects[0].Kind != dispatcher.Start || effects[0].Decision.Call.ID != "second" || p.Pools[effects[0].Pool].Name != "cloud" {
		t.Fatalf("after money came back: %+v", effects)
	}
	if effects := e.Correct(epoch.Add(time.Second), shop, epoch, -1); len(effects) != 0 {
		t.Errorf("again: %+v", effects)
	}
}
