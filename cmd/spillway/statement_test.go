package main

import (
	"testing"

	"github.com/spillway-dev/spillway"
)

// TestOwned: only machines that are there for their pool cost something while idle.
func TestOwned(t *testing.T) {
	o := ownedOf(&spillway.Platform{Currency: "USD", Pools: []*spillway.Pool{
		{Name: "own", Kind: spillway.PoolKubernetes, HourlyNano: 7}, {Name: "idle", Kind: spillway.PoolOffline}, {Name: "cloud", Kind: spillway.PoolLambda},
	}})
	if len(o.Pools) != 1 || o.Pools[0].Name != "own" || o.Pools[0].Hourly != 7 {
		t.Errorf("%+v", o.Pools)
	}
}
