package quota_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/quota"
)

var start = spillway.InstantOf(time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC))

func nodes(slots int64, limit spillway.Nano, window spillway.Window, loc *time.Location) []spillway.QuotaNode {
	free := spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
	tight := free
	tight.Slots = slots
	return []spillway.QuotaNode{
		{Name: "company", Parent: quota.None, Nominal: [2]spillway.Resources{tight, tight},
			Budgets: []spillway.Budget{{Window: window, Limit: limit, Location: loc}}},
		{Name: "team", Parent: 0, Nominal: [2]spillway.Resources{free, free}},
	}
}

func take(t *quota.Tree, ask *quota.Ask) bool {
	_, ok := t.Check(ask)
	if ok {
		t.Reserve(ask)
	}
	return ok
}

func TestAncestorBlocks(t *testing.T) {
	tree := quota.New(nodes(1, 100, spillway.WindowDay, time.UTC))
	ask := quota.Ask{Leaf: 1, Need: spillway.Resources{Slots: 1}, Admitted: start}
	if !take(tree, &ask) {
		t.Fatal("first ask refused")
	}
	blocked, ok := tree.Check(&ask)
	if ok || blocked.Limit.Name != "company" || blocked.Limit.Used != 1 || blocked.Limit.Max != 1 {
		t.Fatalf("second ask: %v %v", blocked, ok)
	}
	tree.Release(&ask, 0)
	if !take(tree, &ask) {
		t.Fatal("refused after release")
	}
}

func TestNoBudgetMayNotSpend(t *testing.T) {
	tree := quota.New(nil)
	blocked, ok := tree.Check(&quota.Ask{Leaf: quota.None, Money: 1})
	if ok || blocked.Limit.Kind != spillway.LimitNoBudget {
		t.Fatalf("got %v %v", blocked, ok)
	}
}

// TestWindows follows calls over the end of an hour and a clock change: each
// belongs to the window of its admission.
func TestWindows(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tree := quota.New(nodes(10, 100, spillway.WindowHour, berlin))
	old := quota.Ask{Leaf: 1, Class: spillway.ClassCloud, Need: spillway.Resources{Slots: 1}, Money: 80, Admitted: start}
	if !take(tree, &old) {
		t.Fatal("refused")
	}
	next := old
	next.Admitted = start.Add(time.Hour) // 03:30 there, an hour later in the day that has 23
	if !take(tree, &next) {
		t.Fatal("the next hour has its own money")
	}
	late := old // admitted before the hour ended, placed after
	late.Money = 30
	if _, ok := tree.Check(&late); ok {
		t.Fatal("the old hour has 20 left")
	}
	tree.Release(&old, 10)
	if spent, reserved := tree.Spending(0, 0, start); spent != 10 || reserved != 0 {
		t.Fatalf("old hour: spent %d, reserved %d", spent, reserved)
	}
	if !take(tree, &late) {
		t.Fatal("the old hour has 90 left now")
	}
	if spent, reserved := tree.Spending(0, 0, next.Admitted); spent != 0 || reserved != 80 {
		t.Fatalf("new hour: spent %d, reserved %d", spent, reserved)
	}
}

// TestProperties: reserved and spent never pass a limit, and releasing all
// leaves nothing held.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Int64Range(0, 500).Draw(rt, "limit")
		slots := rapid.Int64Range(0, 6).Draw(rt, "slots")
		tree := quota.New(nodes(slots, spillway.Nano(limit), spillway.WindowDay, time.UTC))
		var held []quota.Ask
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			if len(held) > 0 && rapid.Bool().Draw(rt, "release") {
				i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
				tree.Release(&held[i], spillway.Nano(rapid.Int64Range(0, int64(held[i].Money)).Draw(rt, "spent")))
				held = append(held[:i], held[i+1:]...)
			} else {
				ask := quota.Ask{Leaf: 1, Class: spillway.ClassCloud, Admitted: start,
					Need:  spillway.Resources{Slots: rapid.Int64Range(0, 1<<62).Draw(rt, "need")},
					Money: spillway.Nano(rapid.Int64Range(1, 1<<62).Draw(rt, "money"))}
				if rapid.Bool().Draw(rt, "small") {
					ask.Need.Slots, ask.Money = 1, 40
				}
				if take(tree, &ask) {
					held = append(held, ask)
				}
			}
			spent, reserved := tree.Spending(0, 0, start)
			if used := tree.Used(0, spillway.ClassCloud).Slots; used > slots || used < 0 || int64(spent+reserved) > limit || reserved < 0 {
				rt.Fatalf("used %d of %d, spent %d and reserved %d of %d", used, slots, spent, reserved, limit)
			}
		}
		for i := range held {
			tree.Release(&held[i], 0)
		}
		if tree.Used(0, spillway.ClassCloud) != (spillway.Resources{}) {
			rt.Fatal("still held after all was released")
		}
	})
}

// BenchmarkReserveSettle is one hot namespace behind one lock, as a driver uses
// the tree. It fails if the limit was ever passed.
func BenchmarkReserveSettle(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(map[int]string{1: "goroutines=1", 64: "goroutines=64"}[workers], func(b *testing.B) {
			const slots = 32
			tree := quota.New(nodes(slots, spillway.MaxNano/2, spillway.WindowDay, time.UTC))
			var mu sync.Mutex
			var left, running, peak atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					ask := quota.Ask{Leaf: 1, Class: spillway.ClassCloud, Need: spillway.Resources{Slots: 1}, Money: 10, Admitted: start}
					for left.Add(-1) >= 0 {
						mu.Lock()
						ok := take(tree, &ask)
						mu.Unlock()
						if !ok {
							continue
						}
						if n := running.Add(1); n > peak.Load() {
							peak.Store(n)
						}
						running.Add(-1)
						mu.Lock()
						tree.Release(&ask, 1)
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if peak.Load() > slots {
				b.Fatalf("%d held at once, limit %d", peak.Load(), slots)
			}
		})
	}
}
