package dispatcher_test

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

const stalePlatform = `
pool onprem process slots=1
pool cloud lambda init=1s
quota all budget=day:1000000:reject
policy default Hybrid order=onprem,cloud
policy away CloudOnly order=cloud
namespace shop quota=all
function shop/a burst=allow timeout=1s maxwait=10s
function shop/cloudy burst=allow timeout=1s policy=away
function shop/home timeout=1s maxwait=10s
`

func staleEngine(t *testing.T) (*dispatcher.Engine, func(name string, stale bool) (*dispatcher.Decision, []dispatcher.Effect)) {
	t.Helper()
	p, err := testplatform.Parse(stalePlatform)
	if err != nil {
		t.Fatal(err)
	}
	e := dispatcher.New(p)
	return e, func(name string, stale bool) (*dispatcher.Decision, []dispatcher.Effect) {
		t.Helper()
		call := spillway.Call{ID: name, Function: p.Function(spillway.FunctionKey{Namespace: "shop", Name: name}), Caller: "test", Stale: stale}
		d := new(dispatcher.Decision)
		_, effects := e.Admit(epoch, call, testplatform.PermitAll(p), d)
		return d, effects
	}
}

// TestStaleStaysOnPrem has on-prem full: a call whose permission is stale waits for it
// and goes to no cloud, also when nothing else can become of it.
func TestStaleStaysOnPrem(t *testing.T) {
	e, admit := staleEngine(t)
	if _, effects := admit("a", true); len(effects) != 1 || effects[0].Kind != dispatcher.StartInstance {
		t.Fatalf("with on-prem free: %+v", effects)
	}
	if d, effects := admit("a", false); len(effects) != 1 || effects[0].Kind != dispatcher.Start || d.Pool != 1 {
		t.Fatalf("a fresh one goes to the cloud: %+v", effects)
	}
	d, effects := admit("a", true)
	if len(effects) != 0 {
		t.Fatalf("a stale one with on-prem full: %+v", effects)
	}
	for at := e.Next(); at != spillway.Never && d.Answered == 0; at = e.Next() {
		for _, effect := range e.Tick(at) {
			if effect.Kind == dispatcher.Start && effect.Decision == d {
				t.Fatalf("it was sent to pool %d", effect.Pool)
			}
		}
	}
	if d.Refusal != spillway.ReasonNoCapacity || d.Answered.Sub(epoch) != 10*time.Second {
		t.Errorf("refused %s after %s, want no_capacity at the end of its wait", d.Refusal, d.Answered.Sub(epoch))
	}
	cloud := dispatcher.Explain(d).Pools[1]
	if cloud.Permitted || cloud.Filter != "permission" || cloud.Detail == "" {
		t.Errorf("the cloud is explained as %+v", cloud)
	}
}

// TestStaleWithoutOnPrem: a call that only a cloud could run is refused as unavailable, and
// not as denied: its caller may try again.
func TestStaleWithoutOnPrem(t *testing.T) {
	_, admit := staleEngine(t)
	d, _ := admit("cloudy", true)
	if d.Refusal != spillway.ReasonUnavailable || d.Limit.Kind != spillway.LimitPermission {
		t.Errorf("refused %s for %s", d.Refusal, d.Limit)
	}
	if x := dispatcher.Explain(d); x.Limit == nil || x.Limit.Kind != spillway.LimitPermission || x.Pools[0].Filter != "permission" {
		t.Errorf("explained as %+v, %+v", x.Limit, x.Pools)
	}
	if d, _ = admit("cloudy", false); d.Refusal != spillway.ReasonNone || d.Pool != 1 {
		t.Errorf("a fresh one: %s, pool %d", d.Refusal, d.Pool)
	}
}

// TestStaleChangesNoReason: what stays on-prem anyway says so.
func TestStaleChangesNoReason(t *testing.T) {
	_, admit := staleEngine(t)
	d, _ := admit("home", true)
	if d.Reason != spillway.ReasonPinned || dispatcher.Explain(d).Pools[1].Filter != "excluded" {
		t.Errorf("%s, %+v", d.Reason, dispatcher.Explain(d).Pools)
	}
}
