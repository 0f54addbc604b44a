package main

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/dispatcher"
)

// How often what is in use is written into statuses, if it has changed, and how long
// that may take.
const (
	publishEvery  = 5 * time.Second
	publishWithin = 10 * time.Second
)

// publishUse writes what is in use and what is served into statuses until ctx ends. What
// cannot be written is said once, until it can be again.
func (a *app) publishUse(ctx context.Context, from *inCluster, to *cluster.Publisher) {
	every := time.NewTicker(publishEvery)
	defer every.Stop()
	unwritten := false
	var unstarted map[types.UID]notStarted
	for {
		trying, cancel := context.WithTimeout(ctx, publishWithin)
		err := a.publishOnce(trying, from, to, &unstarted)
		cancel()
		if err != nil && !unwritten && ctx.Err() == nil {
			a.log.Warn("what is in use cannot be written into statuses", "error", err)
		}
		unwritten = err != nil
		select {
		case <-every.C:
		case <-a.live.looked: // at objects that were changed
		case <-ctx.Done():
			return
		}
	}
}

func (a *app) publishOnce(ctx context.Context, from *inCluster, to *cluster.Publisher, unstarted *map[types.UID]notStarted) error {
	objects, err := from.source.All(ctx)
	if err != nil {
		return err
	}
	use := useOf(a.server.View(), *a.live.approved.Load())
	use.Instances = a.server.Instances()
	use.Served = from.servedNow(objects, a.live.status.Load().forAll)
	*unstarted = notStarting(objects, *unstarted, a.failedStarts(), use.Instances)
	sayFailing(use.Served, *unstarted)
	return to.Publish(ctx, time.Now(), objects, use)
}

// sweepEvery is how often packages are taken away that no function names.
const sweepEvery = time.Hour

// sweepPackages takes them away until ctx ends.
func (a *app) sweepPackages(ctx context.Context) {
	every := time.NewTicker(sweepEvery)
	defer every.Stop()
	for {
		if err := a.sweepOnce(ctx, time.Now()); err != nil && ctx.Err() == nil {
			a.log.Warn("packages that nothing uses stay", "error", err)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

// sweepOnce lets no reload begin meanwhile, which would find packages that are going.
func (a *app) sweepOnce(ctx context.Context, now time.Time) error {
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	return a.from.sweep(ctx, a.deployed, a.server.Platform(), now)
}

// useOf is what a view says of pools and quotas, of which some have limits that were
// approved.
func useOf(v dispatcher.View, approved []config.QuotaOverlay) cluster.Use {
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
	for _, o := range approved {
		q, known := use.Quotas[o.Quota]
		if known {
			q.Approved = &kube.Approved{Base: o.Base, Nominal: o.Nominal}
			use.Quotas[o.Quota] = q
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
