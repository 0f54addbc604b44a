package idle_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/provider/idle"
)

func drawGuests(t *rapid.T, most int) []idle.GuestFacts {
	var guests []idle.GuestFacts
	for i := range rapid.IntRange(0, most).Draw(t, "guests") {
		g := idle.GuestFacts{
			UID: fmt.Sprintf("g%02d", i), Node: rapid.SampledFrom([]string{"n1", "n1", "n1", "n2"}).Draw(t, "node"),
			Holds:    idle.Quantities{MilliCPU: rapid.Int64Range(0, 4).Draw(t, "cpu") * 1000, MiB: rapid.Int64Range(0, 4).Draw(t, "mib") * 1024, Pods: 1},
			Started:  epoch.Add(-time.Duration(rapid.IntRange(0, 5).Draw(t, "minutes")) * time.Minute),
			Duration: time.Duration(rapid.IntRange(0, 10).Draw(t, "takes")) * time.Minute, Deadline: spillway.Never,
			Movable: rapid.IntRange(0, 3).Draw(t, "movable") > 0, Leaving: rapid.IntRange(0, 5).Draw(t, "leaving") == 0,
		}
		if rapid.Bool().Draw(t, "hurried") {
			g.Deadline = epoch.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "deadline")) * time.Minute)
		}
		if rapid.IntRange(0, 4).Draw(t, "gpu") == 0 {
			g.Holds.Extended = idle.ExtendedOf(map[string]int64{gpu: 1})
		}
		guests = append(guests, g)
	}
	return guests
}

func drawPressure(t *rapid.T) idle.Pressure {
	need := idle.Quantities{MilliCPU: rapid.Int64Range(0, 12_000).Draw(t, "need cpu"), MiB: rapid.Int64Range(0, 12_000).Draw(t, "need mib")}
	need.Extended = idle.ExtendedOf(map[string]int64{gpu: rapid.Int64Range(0, 2).Draw(t, "need gpus")})
	return idle.Pressure{Node: "n1", Need: need}
}

// held sums what those of the node hold that are in chosen or already leaving.
func held(guests []idle.GuestFacts, chosen []string) (sum idle.Quantities) {
	for _, g := range guests {
		if g.Node == "n1" && (g.Leaving || slices.Contains(chosen, g.UID)) {
			sum = sum.Plus(g.Holds)
		}
	}
	return sum
}

// TestVictimsProperties: enough is freed, or all that help go; nobody goes who is not
// needed; and nobody fails while those who can go on are enough.
func TestVictimsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		guests, p := drawGuests(t, 40), drawPressure(t)
		c := idle.Victims(epoch, p, guests)
		if freed := held(guests, c.UIDs); !freed.Equal(c.Freed) || !p.Need.Beyond(freed).Equal(c.Short) {
			t.Fatalf("freed %v, said %+v", freed, c)
		}
		var everybody, movable []string
		for _, g := range guests {
			if chosen := slices.Contains(c.UIDs, g.UID); chosen && (g.Leaving || g.Node != "n1") {
				t.Fatalf("chosen: %+v", g)
			}
			everybody = append(everybody, g.UID)
			if g.Movable {
				movable = append(movable, g.UID)
			}
		}
		if !p.Need.Within(c.Freed) && !p.Need.Smaller(c.Freed).Equal(p.Need.Smaller(held(guests, everybody))) {
			t.Fatalf("%v is too little, and others hold some", c.Freed)
		}
		for i := range c.UIDs {
			if p.Need.Within(held(guests, slices.Delete(slices.Clone(c.UIDs), i, i+1))) {
				t.Fatalf("%s need not go: %+v", c.UIDs[i], c)
			}
		}
		if fails := slices.ContainsFunc(c.UIDs, func(uid string) bool { return !slices.Contains(movable, uid) }); fails && p.Need.Within(held(guests, movable)) {
			t.Fatalf("somebody fails without need: %+v", c)
		}
		shuffled := rapid.Permutation(guests).Draw(t, "order")
		if again := idle.Victims(epoch, p, shuffled); !slices.Equal(again.UIDs, c.UIDs) {
			t.Fatalf("in another order %v, not %v", again.UIDs, c.UIDs)
		}
	})
}

// TestVictimsAreCheapest: of few guests no set that frees enough is better.
func TestVictimsAreCheapest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		guests, p := drawGuests(t, 9), drawPressure(t)
		c := idle.Victims(epoch, p, guests)
		if !p.Need.Within(c.Freed) {
			return
		}
		got := price(guests, c.UIDs)
		for mask := range 1 << len(guests) {
			var set []string
			for i := range guests {
				if g := &guests[i]; mask&(1<<i) != 0 && g.Node == "n1" && !g.Leaving {
					set = append(set, g.UID)
				}
			}
			if other := price(guests, set); p.Need.Within(held(guests, set)) && slices.Compare(other[:], got[:]) < 0 {
				t.Fatalf("%v loses %v, %v would lose %v", c.UIDs, got, set, other)
			}
		}
	})
}

// price is what a set loses, in words of its own: who fails, who comes to be late,
// core-milliseconds, guests.
func price(guests []idle.GuestFacts, set []string) (p [4]int64) {
	for _, g := range guests {
		if !slices.Contains(set, g.UID) {
			continue
		}
		elapsed := epoch.Sub(g.Started)
		if !g.Movable {
			p[0]++
		}
		inTime := g.Started.Add(g.Duration) <= g.Deadline && epoch <= g.Deadline
		if inTime && epoch.Add(max(elapsed, g.Duration)) > g.Deadline {
			p[1]++
		}
		p[2] += elapsed.Milliseconds() * g.Holds.MilliCPU
		p[3]++
	}
	return p
}
