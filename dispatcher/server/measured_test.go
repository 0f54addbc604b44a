package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	seats chan spillway.InstanceID
}

func (m measured) Capacity() (spillway.Resources, <-chan spillway.Resources) { return m.first, m.found }

func (m measured) Placed() <-chan spillway.InstanceID { return m.seats }

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
			spillway.Resources{}, make(chan spillway.Resources), make(chan spillway.InstanceID)}
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
		startErr = errors.New("a start after one that found no room")
		invoke(spillway.ReasonOverflowCapacity)
		startErr = fmt.Errorf("exceeded quota: %w", pools.ErrQuota)
		time.Sleep(time.Second)
		invoke(spillway.ReasonReplaced)
		if v := s.View(); v.Pools[0].Slots != 1 {
			t.Errorf("%d slots after a quota of its own refused a start", v.Pools[0].Slots)
		}
		startErr = nil
		invoke(spillway.ReasonPreferred)
	})
}

// TestPlaceThatIsLate: a call that may burst waits for the place of its instance as long
// as its budget says, and for an instance that has one as long as its start takes.
func TestPlaceThatIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(strings.NewReplacer("slots=1", "slots=4", "default Hybrid", "default Hybrid wait=50ms", "shop/stay", "shop/b burst=allow").Replace(smallPlatform))
		if err != nil {
			t.Fatal(err)
		}
		has := spillway.Resources{Slots: 4, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
		seats := make(chan spillway.InstanceID, 1)
		onprem := measured{memory.New(memory.Options{Start: func(_ context.Context, f *spillway.Function) (pools.ColdStart, error) {
			if f.FunctionKey.Name == "b" {
				seats <- 2
			}
			time.Sleep(300 * time.Millisecond)
			return pools.ColdStart{}, nil
		}}), has, make(chan spillway.Resources), seats}
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: memory.NewCloud(1, memory.Options{})}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer onprem.Close()
		defer s.Close()
		late, err := s.Invoke(t.Context(), ask("a", ""))
		if err != nil || late.Decision.Reason != spillway.ReasonOverflowWait || late.Decision.Waited != 50*time.Millisecond || late.Decision.Tries != 2 {
			t.Fatalf("without a place: %+v, %v", late, err)
		}
		time.Sleep(time.Second)
		warm, err := s.Invoke(t.Context(), ask("a", ""))
		if err != nil || warm.Decision.Reason != spillway.ReasonPreferred || warm.Decision.Waited != 0 {
			t.Fatalf("its start went on: %+v, %v", warm, err)
		}
		cold, err := s.Invoke(t.Context(), ask("b", ""))
		if err != nil || cold.Decision.Reason != spillway.ReasonPreferred || cold.Decision.Waited != 300*time.Millisecond {
			t.Fatalf("with a place: %+v, %v", cold, err)
		}
	})
}

// follower is a pool that is told what its object says.
type follower struct {
	measured
	now *spillway.Pool
}

func (f *follower) Renew(now *spillway.Pool) { f.now = now }

// TestPoolsFollowTheirObjects at a reload.
func TestPoolsFollowTheirObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform)
		if err != nil {
			t.Fatal(err)
		}
		next, err := testplatform.Parse(strings.Replace(smallPlatform, "slots=1", "slots=2", 1))
		if err != nil {
			t.Fatal(err)
		}
		onprem := &follower{measured: measured{memory.New(memory.Options{}), p.Pools[0].Capacity, make(chan spillway.Resources), nil}}
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: memory.NewCloud(1, memory.Options{})}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer onprem.Close()
		defer s.Close()
		s.Reload(next, nil, nil)
		if onprem.now != next.Pools[0] {
			t.Errorf("told %+v", onprem.now)
		}
	})
}
