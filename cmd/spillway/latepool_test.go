package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

type openPool struct{ closed bool }

func (*openPool) Invoke(context.Context, pools.Request) pools.Result {
	return pools.Result{Outcome: spillway.Outcome{Class: spillway.Executed}}
}

func (p *openPool) Close() { p.closed = true }

// TestLatePool wants a pool that cannot be opened to run nothing, to be tried again
// after a while and not before, and then to be used.
func TestLatePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, usable := 0, false
		inner := new(openPool)
		p := &latePool{log: slog.New(slog.DiscardHandler), open: func(context.Context) (cloudPool, error) {
			if tries++; !usable {
				return nil, errors.New("no credentials")
			}
			return inner, nil
		}}
		invoke := func() spillway.OutcomeClass {
			defer synctest.Wait()
			return p.Invoke(t.Context(), pools.Request{}).Outcome.Class
		}
		if got := invoke(); got != spillway.NotExecuted || tries != 1 {
			t.Errorf("without credentials: %s", got)
		}
		usable = true
		if got := invoke(); got != spillway.NotExecuted || tries != 1 {
			t.Errorf("at once after a failure: %s after %d tries", got, tries)
		}
		time.Sleep(reopenAfter) // in the bubble's own time
		if got := invoke(); got != spillway.NotExecuted || tries != 2 {
			t.Errorf("a call waited for the pool: %s after %d tries", got, tries)
		}
		if got := invoke(); got != spillway.Executed || tries != 2 {
			t.Errorf("later: %s after %d tries", got, tries)
		}
		if p.Close(); !inner.closed {
			t.Error("not closed")
		}
		if got := invoke(); got != spillway.NotExecuted || tries != 2 {
			t.Errorf("after Close: %s after %d tries", got, tries)
		}
	})
}
