package dispatcher

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// TestVacancies does at random what an Engine does with places, and counts them: none
// is lost or made up, however many there are, and memory is bounded.
func TestVacancies(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var v vacancies
	now, places, coming := spillway.Instant(0), 0, 0
	for step := range 20000 {
		now = now.Add(time.Duration(rng.IntN(5000)) * time.Millisecond)
		switch kind := rng.IntN(10); {
		case kind < 4: // sometimes of an older place
			v.add(now.Add(-time.Duration(rng.IntN(3)*rng.IntN(100))*time.Second), 0)
			places++
		case kind < 6 && places > 0:
			v.drop()
			places--
			coming = v.coming
		case kind < 8 && places > 0: // one is started
			if g := &v.groups[rng.IntN(len(v.groups))]; g.coming < g.n {
				g.coming++
				v.coming++
				coming++
			}
		case kind == 8:
			_, ok := v.arrived(true)
			if ok != (coming > 0) {
				t.Fatalf("step %d: arrived %v with %d coming", step, ok, coming)
			}
			if ok {
				places, coming = places-1, coming-1
			}
		default:
			n := rng.IntN(3)
			if v.atMost(n, 0) != (coming > n) {
				t.Fatalf("step %d: at most %d of %d", step, n, coming)
			}
			coming = min(coming, n)
		}
		sum, sumComing := 0, 0
		for i, g := range v.groups {
			sum += g.n
			sumComing += g.coming
			if g.n < 1 || g.coming < 0 || g.coming > g.n || g.oldest > g.since || i > 0 && v.groups[i-1].since > g.since {
				t.Fatalf("step %d: groups %+v", step, v.groups)
			}
		}
		if sum != places || sumComing != v.coming || v.coming != coming || len(v.groups) > maxGroups || v.after(-1<<62) != places {
			t.Fatalf("step %d: %d places of %d, %d coming of %d, %d groups", step, sum, places, sumComing, coming, len(v.groups))
		}
	}
}

// TestVacanciesMerge fills the groups and adds one: the closest two become one.
func TestVacanciesMerge(t *testing.T) {
	var v vacancies
	for i := range maxGroups {
		v.add(spillway.Instant(0).Add(time.Duration(i*i)*10*time.Second), 0)
	}
	v.add(spillway.Instant(0).Add(time.Hour), 7)
	if g := v.groups[0]; len(v.groups) != maxGroups || g.n != 2 || g.oldest != 0 || g.since != spillway.Instant(10*time.Second) {
		t.Errorf("%d groups, the first %+v", len(v.groups), g)
	}
	if newest, ok := v.newest(); !ok || newest != spillway.Instant(time.Hour) || v.groups[maxGroups-1].retry != 7 {
		t.Errorf("the newest is %+v", v.groups[maxGroups-1])
	}
}

// keptEngine has a function with two places without an instance, last in use at
// different times: one is being started for the older.
func keptEngine(t *testing.T, atOnce int) (*Engine, *functionState) {
	t.Helper()
	p, err := testplatform.Parse(fmt.Sprintf(`
pool onprem process slots=9 keep=forecast worth=2h
policy default OnPremOnly order=onprem
namespace shop
function shop/a at-once=%d`, atOnce))
	if err != nil {
		t.Fatal(err)
	}
	e := New(p)
	s := e.onPrem[0]
	fs := s.functions[0]
	fs.keeper = newKeeper(s.pool)
	fs.vacant.add(keptNow.Add(-time.Hour), 0)
	fs.vacant.add(keptNow.Add(-time.Minute), keptNow.Add(time.Minute))
	fs.vacant.groups[0].coming, fs.vacant.coming = 1, 1
	e.launch(keptNow, s, fs.fn)
	return e, fs
}

const keptNow = spillway.Instant(100 * time.Hour)

// admitKept admits a call to the one function.
func admitKept(e *Engine) {
	e.Admit(keptNow, spillway.Call{ID: "1", Function: e.platform.Functions[0]}, testplatform.PermitAll(e.platform), new(Decision))
}

// TestPlaceTaken: a call that takes the instance that was started for another place is
// in one place, and so are those that it shares the instance with. The other place is
// still there.
func TestPlaceTaken(t *testing.T) {
	for _, atOnce := range []int{1, 2} {
		e, fs := keptEngine(t, atOnce)
		for range atOnce {
			admitKept(e)
		}
		e.Observe(keptNow, Observation{Kind: InstanceReady, Instance: 1})
		if fs.inUse() != 1 || fs.vacant.coming != 0 || fs.vacant.after(-1) != 1 {
			t.Errorf("%d at once: %d in use, %+v", atOnce, fs.inUse(), fs.vacant)
		}
		if at := e.Next(); at > keptNow.Add(checkEvery) {
			t.Errorf("%d at once: the place is looked at in %v", atOnce, at.Sub(keptNow))
		}
	}
}

// TestPlaceNotStarted: a place whose instance did not start, or was taken away, is left
// alone for a while like one that has lost its instance.
func TestPlaceNotStarted(t *testing.T) {
	for _, kind := range []ObservationKind{InstanceFailed, InstanceReclaimed} {
		e, fs := keptEngine(t, 1)
		e.Observe(keptNow, Observation{Kind: kind, Instance: 1})
		if g := fs.vacant.groups; len(g) != 2 || fs.vacant.coming != 0 || g[0].coming != 0 || g[0].retry != keptNow.Add(aheadRetry) {
			t.Errorf("%d: %+v", kind, fs.vacant)
		}
		if fs.slot == 0 || fs.checkAt > keptNow.Add(aheadRetry) {
			t.Errorf("%d: nobody looks at it", kind)
		}
	}
}

// TestPlaceOfStranded has the instance taken away that calls wait for: they take the
// one that was started ahead.
func TestPlaceOfStranded(t *testing.T) {
	e, fs := keptEngine(t, 2)
	for range 3 { // two take what was started ahead, the third has another started
		admitKept(e)
	}
	fs.vacant.add(keptNow.Add(-time.Hour), 0)
	fs.vacant.groups[0].coming, fs.vacant.coming = 1, 1
	e.launch(keptNow, e.onPrem[0], fs.fn)
	e.Observe(keptNow, Observation{Kind: InstanceReclaimed, Instance: 1})
	e.Observe(keptNow, Observation{Kind: InstanceReady, Instance: 2})
	e.Observe(keptNow, Observation{Kind: InstanceReady, Instance: 3})
	if fs.inUse() != 2 || fs.vacant.coming != 0 || fs.vacant.after(-1) != 1 {
		t.Errorf("%d in use, %+v", fs.inUse(), fs.vacant)
	}
}
