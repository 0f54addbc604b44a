package main

import (
	"context"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/dispatcher"
)

// How often what is in use is written into statuses, if it has changed, and how long
// that may take.
const (
	publishEvery  = 5 * time.Second
	publishWithin = 10 * time.Second
)

// publishUse writes what is in use into the statuses of pools and quotas until ctx
// ends. What cannot be written is said once, until it can be again.
func (a *app) publishUse(ctx context.Context, to *cluster.Publisher) {
	every := time.NewTicker(publishEvery)
	defer every.Stop()
	failing := false
	for {
		trying, cancel := context.WithTimeout(ctx, publishWithin)
		err := to.Publish(trying, useOf(a.server.View()))
		cancel()
		if err != nil && !failing && ctx.Err() == nil {
			a.log.Warn("what is in use cannot be written into statuses", "error", err)
		}
		failing = err != nil
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// useOf is what a view says of pools and quotas.
func useOf(v dispatcher.View) cluster.Use {
	use := cluster.Use{Pools: map[string]cluster.PoolUse{}, Quotas: map[string]cluster.QuotaUse{}}
	for _, p := range v.Pools {
		if p.Retired {
			continue
		}
		of := cluster.PoolUse{InUse: slotCount(p.Running + p.Idle + p.Starting)}
		if p.Slots > 0 || !p.Cloud {
			of.Capacity = slotCount(p.Slots)
		}
		use.Pools[p.Name] = of
	}
	for _, q := range v.Quotas {
		use.Quotas[q.Name] = cluster.QuotaUse{
			InUse:    v1alpha1.Nominal{OnPrem: slotCount(q.OnPrem.Used), Cloud: slotCount(q.Cloud.Used)},
			Borrowed: v1alpha1.Nominal{OnPrem: borrowed(q.OnPrem), Cloud: borrowed(q.Cloud)},
		}
	}
	return use
}

func slotCount(n int64) *v1alpha1.Capacity { return &v1alpha1.Capacity{Slots: &n} }

func borrowed(u dispatcher.UseView) *v1alpha1.Capacity {
	if u.Borrowed == 0 {
		return nil
	}
	return slotCount(u.Borrowed)
}
