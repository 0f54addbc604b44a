package planning

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator/planner"
)

func TestOwnedByWithoutLimits(t *testing.T) {
	big := planner.NodeType{Name: "big", MiB: 25 << 20} // 25 TiB
	for _, x := range []struct {
		count, slots int64
		want         spillway.Resources
	}{
		{0, spillway.Unlimited, spillway.Resources{}},
		{2, spillway.Unlimited, spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: 50 << 20}},
		{2, 1_000_000, spillway.Resources{Slots: 2_000_000, MilliCPU: spillway.Unlimited, MiB: 50 << 20}},
	} {
		if o, err := OwnedBy([]planner.NodeType{big}, []int64{x.count}, x.slots); err != nil || o.Capacity != x.want {
			t.Errorf("%d nodes of %d slots: %+v %v", x.count, x.slots, o.Capacity, err)
		}
	}
	if o, err := OwnedBy([]planner.NodeType{big, small()}, []int64{1, 1}, spillway.Unlimited); err != nil || o.Capacity.MilliCPU != 400 {
		t.Errorf("%+v %v", o.Capacity, err)
	}
}

// TestVerifyKeepsToSlotsOfAPool: a pool that stands for a node takes no more calls at
// once than it is configured to.
func TestVerifyKeepsToSlotsOfAPool(t *testing.T) {
	var calls [][2]int64
	for range 20 { // at once, for which the memory and CPU of the pool are enough
		calls = append(calls, [2]int64{0, 60_000})
	}
	for _, x := range []struct {
		slots, most int64
		noted       bool
	}{{spillway.Unlimited, 20, false}, {50, 20, false}, {7, 7, true}} {
		c, sum := caseOf(t, written(t, calls))
		pool := c.ownPool()
		pool.Capacity = spillway.Resources{Slots: x.slots, MilliCPU: 2000, MiB: 20 * 128} // calls have 64 MiB, instances 128
		f := &Findings{Case: c, Nodes: []planner.NodeType{{Name: pool.Name, MilliCPU: 2000, MiB: 20 * 128, Hourly: 1, Min: 1, Max: 1}}, Summary: sum, Whole: true}
		var err error
		if f.Demand, err = MeasureDemand(t.Context(), c, time.Minute); err != nil {
			t.Fatal(err)
		}
		if f.Answer, err = Solve(t.Context(), f.Demand, Question{Nodes: f.Nodes, Burst: planner.Burst{Tiers: []planner.Tier{{PerGiBSecond: 1_000_000}}}}); err != nil {
			t.Fatal(err)
		}
		owned, err := f.Owned()
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Verify(t.Context(), owned, f.Demand.Length())
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range r.Platform.Pools {
			if !p.Kind.Cloud() && r.Pools[i].Peak.Slots != x.most {
				t.Errorf("%d slots: %d calls at once", x.slots, r.Pools[i].Peak.Slots)
			}
		}
		if noted := strings.Contains(strings.Join(f.notes(), "\n"), "keeps to the slots"); noted != x.noted {
			t.Errorf("%d slots: %v", x.slots, f.notes())
		}
	}
}
