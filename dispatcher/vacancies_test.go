package dispatcher

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
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
			places -= max(0, coming-n)
			coming = min(coming, n)
			v.atMost(n)
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
