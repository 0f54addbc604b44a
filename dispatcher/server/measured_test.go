package server_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

// measured is a pool that says what it has.
type measured struct {
	*memory.Pool
	first spillway.Resources
	found chan spillway.Resources
}

func (m measured) Capacity() (spillway.Resources, <-chan spillway.Resources) { return m.first, m.found }

// TestMeasuredPool: what a pool is found to have holds from the first call on; a start
// that finds no room overflows, and a larger pool takes calls again.
func TestMeasuredPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform)
		if err != nil {
			t.Fatal(err)
		}
		var startErr error
		onprem := measured{memory.New(memory.Options{Start: func(context.Context, *spillway.Function) (pools.ColdStart, error) { return pools.ColdStart{}, startErr }}),
			spillway.Resources{}, make(chan spillway.Resources)}
		cloud := memory.NewCloud(1, memory.Options{})
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: cloud}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer onprem.Close()
		defer s.Close()
		invoke := func(want spillway.Reason) {
			t.Helper()
			a, err := s.Invoke(t.Context(), ask("a", ""))
			if err != nil || a.Decision.Reason != want {
				t.Fatalf("got %+v, %v; want %s", a, err, want)
			}
		}
		invoke(spillway.ReasonOverflowCapacity) // it has nothing
		one := spillway.Resources{Slots: 1, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
		onprem.found <- one
		synctest.Wait()
		startErr = fmt.Errorf("0 of 3 nodes: %w", pools.ErrNoRoom)
		invoke(spillway.ReasonOverflowCapacity)
		if v := s.View(); v.Pools[0].Slots != 0 {
			t.Errorf("%d slots after a start that found no room", v.Pools[0].Slots)
		}
		startErr = fmt.Errorf("exceeded quota: %w", pools.ErrQuota)
		onprem.found <- one
		synctest.Wait()
		invoke(spillway.ReasonReplaced)
		if v := s.View(); v.Pools[0].Slots != 1 {
			t.Errorf("%d slots after a quota of its own refused a start", v.Pools[0].Slots)
		}
		startErr = nil
		invoke(spillway.ReasonPreferred)
	})
}
