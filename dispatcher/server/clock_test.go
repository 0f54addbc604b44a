package server

import (
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
)

// TestClockShared follows a wall clock that jumps ahead while a cloud attempt asks
// whether it is too late to be sent; the race detector must be content.
func TestClockShared(t *testing.T) {
	p, err := testplatform.Parse("pool cloud lambda\npolicy default CloudOnly order=cloud\nnamespace shop\nfunction shop/a burst=allow\n")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{clock: newClock()}
	d := &dispatcher.Decision{Tries: 1}
	d.Attempts[0].Placed = spillway.InstantOf(time.Now().Add(time.Minute)) // a busy machine may take seconds
	c := &call{s: s, decision: d}
	var both sync.WaitGroup
	both.Go(func() {
		for range 100 {
			s.mu.Lock()
			s.clock.base = s.clock.base.Add(-2 * maxDrift)
			s.clock.now()
			s.mu.Unlock()
		}
	})
	both.Go(func() {
		for range 100 {
			if c.tooLate(dispatcher.Effect{Attempt: 1, Function: p.Functions[0]}) {
				t.Error("too late at once")
				return
			}
		}
	})
	both.Wait()
}
