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
		{Name: "company", Parent: quota.None, Nominal: [spillway.ClassCount]spillway.Resources{tight, tight, tight},
			Budgets: []spillway.Budget{{Window: window, Limit: limit, Location: loc}}},
		{Name: "team", Parent: 0, Nominal: [spillway.ClassCount]spillway.Resources{free, free, free}},
	}
}

func take(t *quota.Tree, ask *quota.Ask) bool {
	if !t.Check(ask, new(quota.Blocked)) {
		return false
	}
	t.Reserve(ask)
	return true
}

func TestAncestorBlocks(t *testing.T) {
	tree := quota.New(nodes(1, 100, spillway.WindowDay, time.UTC))
	ask := quota.Ask{Leaf: 1, Need: spillway.Resources{Slots: 1}, Admitted: start}
	if !take(tree, &ask) {
		t.Fatal("first ask refused")
	}
	var blocked quota.Blocked
	ok := tree.Check(&ask, &blocked)
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
	var blocked quota.Blocked
	ok := tree.Check(&quota.Ask{Leaf: quota.None, Money: 1}, &blocked)
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
	if tree.Check(&late, new(quota.Blocked)) {
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

// cohort is a team that lends part of its slots and one that borrows.
func cohort(keep, borrow int64) *quota.Tree {
	free := spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
	four := free
	four.Slots = 4
	both := func(r spillway.Resources) [spillway.ClassCount]spillway.Resources {
		return [spillway.ClassCount]spillway.Resources{r, r, r}
	}
	return quota.New([]spillway.QuotaNode{
		{Name: "company", Parent: quota.None, Nominal: both(free)},
		{Name: "lender", Parent: 0, Nominal: both(four), Keep: both(spillway.Resources{Slots: keep})},
		{Name: "borrower", Parent: 0, Nominal: both(four), Borrowing: both(spillway.Resources{Slots: borrow})},
	})
}

// TestBorrowing: a node borrows what its siblings lend and do not use, up to its
// borrowing limit, and never what they keep.
func TestBorrowing(t *testing.T) {
	for _, c := range []struct{ keep, borrow, lenderUses, want int64 }{
		{0, 0, 0, 4}, {0, 3, 0, 7}, {0, 9, 0, 8}, {1, 9, 0, 7}, {4, 9, 0, 4}, {1, 9, 1, 7}, {1, 9, 3, 5}, {0, 9, 4, 4},
	} {
		tree := cohort(c.keep, c.borrow)
		ask := func(leaf int) *quota.Ask {
			return &quota.Ask{Leaf: leaf, Need: spillway.Resources{Slots: 1}, Admitted: start}
		}
		for range c.lenderUses {
			if !take(tree, ask(1)) {
				t.Fatalf("%+v: the lender was refused", c)
			}
		}
		var got int64
		for take(tree, ask(2)) {
			got++
		}
		if got != c.want {
			t.Errorf("keep %d, borrow %d, lender uses %d: %d fit, want %d", c.keep, c.borrow, c.lenderUses, got, c.want)
		}
		for range got { // borrowed slots come back when they are released
			tree.Release(ask(2), 0)
		}
		if used := tree.Used(0, spillway.ClassOnPrem).Slots; used != c.lenderUses {
			t.Errorf("%+v: %d held at the end", c, used)
		}
	}
}

// TestBorrowingProperties: whatever is lent and borrowed, nothing passes the sum of
// nominals, and a node always gets what it keeps.
func TestBorrowingProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		keep, borrow := rapid.Int64Range(0, 4).Draw(rt, "keep"), rapid.Int64Range(0, 9).Draw(rt, "borrow")
		tree := cohort(keep, borrow)
		used := [3]int64{}
		for range rapid.IntRange(0, 80).Draw(rt, "steps") {
			leaf := rapid.IntRange(1, 2).Draw(rt, "leaf")
			ask := quota.Ask{Leaf: leaf, Need: spillway.Resources{Slots: 1}, Admitted: start}
			if used[leaf] > 0 && rapid.Bool().Draw(rt, "release") {
				tree.Release(&ask, 0)
				used[leaf]--
			} else if take(tree, &ask) {
				used[leaf]++
			} else if leaf == 1 && used[1] < keep {
				rt.Fatalf("the lender keeps %d, uses %d and was refused", keep, used[1])
			}
			if used[1] > 4 || used[2] > 4+borrow || max(used[1], keep)+used[2] > 8 {
				rt.Fatalf("lender %d (keeps %d), borrower %d (may borrow %d)", used[1], keep, used[2], borrow)
			}
			if tree.Used(0, spillway.ClassOnPrem).Slots != used[1]+used[2] {
				rt.Fatal("the root does not count what is used below")
			}
		}
	})
}

// TestPurse: money of a purse binds beside that of the leaf, and alone it is no
// leave to spend.
func TestPurse(t *testing.T) {
	all := append(nodes(9, 100, spillway.WindowDay, time.UTC), spillway.QuotaNode{Name: "policy", Parent: quota.None,
		Budgets: []spillway.Budget{{Window: spillway.WindowDay, Limit: 50, Location: time.UTC}}})
	tree := quota.New(all)
	ask := quota.Ask{Leaf: 1, Purse: 3, Class: spillway.ClassCloud, Need: spillway.Resources{Slots: 1}, Money: 30, Admitted: start}
	if !take(tree, &ask) {
		t.Fatal("refused")
	}
	var blocked quota.Blocked
	ok := tree.Check(&ask, &blocked)
	if ok || blocked.Limit.Kind != spillway.LimitBurstSpend || blocked.Limit.Used != 30 {
		t.Fatalf("got %v %v", blocked, ok)
	}
	tree.Release(&ask, 10)
	if spent, reserved := tree.Spending(2, 0, start); spent != 10 || reserved != 0 {
		t.Fatalf("spent %d, reserved %d", spent, reserved)
	}
	ask.Leaf = quota.None
	if ok := tree.Check(&ask, &blocked); ok || blocked.Limit.Kind != spillway.LimitNoBudget {
		t.Fatalf("got %v %v", blocked, ok)
	}
}

// TestClocksChangeAtMidnight: every instant is in the window that is said to hold
// it, also where a day has no midnight or two.
func TestClocksChangeAtMidnight(t *testing.T) {
	for _, zone := range []string{"America/Santiago", "America/Havana", "Atlantic/Azores", "Asia/Beirut", "Europe/Berlin", "UTC"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, window := range []spillway.Window{spillway.WindowHour, spillway.WindowDay, spillway.WindowMonth} {
			var end spillway.Instant
			for at := spillway.InstantOf(time.Date(2026, 1, 1, 12, 0, 0, 0, loc)); at.Time().Year() < 2027; at = at.Add(30 * time.Minute) {
				from, to := window.Bounds(at, loc)
				if at < from || to <= at {
					t.Fatalf("%s %s: %s is not in [%s, %s)", zone, window, at.Time().In(loc), from.Time().In(loc), to.Time().In(loc))
				}
				if end != 0 && from != end && at >= end {
					t.Fatalf("%s %s: a window ends at %s and the next begins at %s", zone, window, end.Time().In(loc), from.Time().In(loc))
				}
				end = to
			}
		}
	}
}
