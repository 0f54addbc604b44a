package server

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
)

// TestAskAgainIn: up to 7,500 that wait do not ask more than 250 times a second, 30,000 not
// more than 1,000, and none asks so seldom that it is forgotten.
func TestAskAgainIn(t *testing.T) {
	for _, waiting := range []int{0, 1, 500, 1000, 5000, 7000, 7500, 30_000, 1_000_000} {
		in := askAgainIn(waiting)
		if rate := float64(waiting) / in.Seconds(); waiting <= 7500 && rate > 251 || waiting <= 30_000 && rate > 1001 || in < 2*time.Second || in > dispatcher.AskWithin/4 {
			t.Errorf("%d that wait ask again in %v", waiting, in)
		}
	}
}
