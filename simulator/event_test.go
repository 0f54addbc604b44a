package simulator

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

// TestEvents come in order of time, and those of one instant as they were scheduled.
func TestEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q events
		var want []event
		var now spillway.Instant
		for i, after := range rapid.SliceOfN(rapid.Int64Range(0, 7), 1, 120).Draw(t, "after") {
			e := event{at: now.Add(time.Duration(after) * time.Second), what: uint64(i)}
			q.push(now, e)
			want = append(want, e)
			slices.SortStableFunc(want, func(a, b event) int { return cmp.Compare(a.at, b.at) })
			for range rapid.IntRange(0, 2).Draw(t, "take") {
				if len(want) == 0 {
					break
				}
				if rapid.Bool().Draw(t, "ahead") && len(q.near) == 0 {
					q.fill()
				}
				next := q.next()
				if got := q.pop(); got.at != next || got.at != want[0].at || got.what != want[0].what {
					t.Fatalf("%v, want %v", got, want[0])
				}
				now, want = next, want[1:]
			}
		}
		for _, w := range want {
			if got := q.pop(); got.what != w.what {
				t.Fatalf("%v, want %v", got, w)
			}
		}
		if !q.empty() || q.next() != spillway.Never {
			t.Fatal("there is more than was scheduled")
		}
	})
}
