package simulator_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
)

// TestFetchChangesNothing: reading ahead has no part in what is decided, also while
// the platform is replaced because a pool has another capacity.
func TestFetchChangesNothing(t *testing.T) {
	yaml, mapping := fmt.Sprintf(twoPools, 20), []int{}
	for i := range 30 {
		yaml += fmt.Sprintf(shopFunction, fmt.Sprintf("f%02d", i))
		mapping = append(mapping, i)
	}
	mapping[7] = -1 // left out
	p, all := platform(t, yaml), hundred(30, 5_000, 3*time.Millisecond)
	owned := constant(200 * time.Millisecond)
	whole := p.Pools[0].Capacity
	if p.Pools[0].Kind.Cloud() {
		whole = p.Pools[1].Capacity
	}
	owned.Capacity = []simulator.CapacityStep{{At: 5 * time.Second, Capacity: spillway.Resources{}}, {At: 9 * time.Second, Capacity: whole}}
	models := []simulator.PoolModel{owned, constant(300 * time.Millisecond)}
	if p.Pools[0].Kind.Cloud() {
		models[0], models[1] = models[1], models[0]
	}
	var first *simulator.Result
	for _, from := range []int{math.MaxInt, 0} {
		calls := *all
		r, err := simulator.RunFetching(t.Context(), simulator.Config{Platform: p, Policy: permitAll{}, Calls: &calls, Functions: mapping,
			Start: spillway.InstantOf(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)), Length: time.Minute, Seed: 1, Step: time.Second, Pools: models}, from, from)
		if err != nil {
			t.Fatal(err)
		}
		r.Platform = nil // a reload makes another one of the same content
		if first == nil {
			first = r
		} else if !reflect.DeepEqual(first, r) {
			t.Errorf("%d placed and %d refused without, %d and %d with", first.Placed, first.Refused, r.Placed, r.Refused)
		}
	}
	if first.Skipped == 0 || first.Placed == 0 || first.Pools[0].Reclaimed+first.Pools[1].Reclaimed == 0 {
		t.Errorf("nothing to tell them apart by: %d skipped, %d placed", first.Skipped, first.Placed)
	}
}
