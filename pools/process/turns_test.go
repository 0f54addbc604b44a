package process

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := make(turns, 1)
		began := time.Now()
		end := q.take(t.Context())
		go func() {
			time.Sleep(time.Millisecond)
			end()
		}()
		q.take(t.Context()) // of a start that takes long
		if waited := time.Since(began); waited != time.Millisecond {
			t.Errorf("the second start waited %v for the first", waited)
		}
		third := q.take(t.Context())
		if waited := time.Since(began); waited != time.Millisecond+turnHolds {
			t.Errorf("the third start waited %v: a long start keeps its turn", waited)
		}
		third()
		end() // again: it has no turn to give back
		if len(q) != 0 {
			t.Errorf("%d turns are taken", len(q))
		}
	})
}

func TestTurnsAreNotWaitedForForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := make(turns, 1)
		q <- struct{}{}
		began := time.Now()
		q.take(t.Context())()
		if waited := time.Since(began); waited != turnWaits {
			t.Errorf("waited %v", waited)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		q.take(ctx)()
		if waited := time.Since(began); waited != turnWaits || len(q) != 1 {
			t.Errorf("waited %v with a context that has ended; %d turns", waited, len(q))
		}
	})
}
