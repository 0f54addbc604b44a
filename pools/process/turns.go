package process

import (
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	// turnHolds is how long a start keeps its turn: one that is not ready by then is
	// long, or waits for something that is no processor.
	turnHolds = 20 * time.Millisecond
	// turnWaits is how long a start waits for its turn before it goes ahead without.
	turnWaits = 500 * time.Millisecond
)

// turns let as many starts run at once as there are processors. A hundred that share
// two processors all end last; one after the other, half of them end in half the time.
type turns chan struct{}

func openTurns() turns { return make(turns, runtime.GOMAXPROCS(0)) }

// take waits for a turn, for turnWaits or until ctx ends. The turn ends with the call
// of what it returns, or after turnHolds.
func (t turns) take(ctx context.Context) (end func()) {
	select {
	case t <- struct{}{}:
	default:
		timer := time.NewTimer(turnWaits)
		defer timer.Stop()
		select {
		case t <- struct{}{}:
		case <-timer.C:
			return func() {}
		case <-ctx.Done():
			return func() {}
		}
	}
	var once sync.Once
	leave := func() { once.Do(func() { <-t }) }
	timer := time.AfterFunc(turnHolds, leave)
	return func() { timer.Stop(); leave() }
}
