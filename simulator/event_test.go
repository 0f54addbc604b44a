package simulator

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
)

// TestEvents come in order of time, and those of one instant as they were scheduled.
func TestEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q events
		var want, got []event
		for i, at := range rapid.SliceOfN(rapid.Int64Range(0, 5), 1, 40).Draw(t, "at") {
			e := event{at: spillway.Instant(at), instance: spillway.InstanceID(i)}
			q.push(e)
			want = append(want, e)
		}
		slices.SortStableFunc(want, func(a, b event) int { return int(a.at - b.at) })
		for q.next() != spillway.Never {
			got = append(got, q.pop())
		}
		for i := range want {
			if len(got) != len(want) || got[i].instance != want[i].instance || got[i].at != want[i].at {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	})
}
