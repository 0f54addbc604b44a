package simulator_test

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
)

const idlePools = `apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: cloud}
spec: {kind: lambda, region: us-east-1}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: idle}
spec: {kind: offline, kubernetes: {runtimeImage: 'localhost/spillway:dev', allowTags: true}}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: all}
spec: {namespaces: [shop], budgets: [{window: day, amount: "100"}]}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec: {order: [cloud]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: again, namespace: shop}
spec: {class: offline, retry: idempotent, timeout: 1m, maxWait: 10m, deadline: 20m, burst: allow, cloud: [{pool: cloud}], revisions: [{name: v1, package: {path: ../fn}}]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: once, namespace: shop}
spec: {class: offline, timeout: 1m, maxWait: 10m, deadline: 20m, revisions: [{name: v1, package: {path: ../fn}}]}
`

// TestIdleCapacity: calls of class offline wait for what is idle or go to a cloud, and
// begin again when it is taken back, if they may; what they ran is paid.
func TestIdleCapacity(t *testing.T) {
	const idle = 1
	w := &world{t, simulator.Config{
		Platform: platform(t, idlePools), Policy: permitAll{}, Functions: []int{0, 1}, Start: start, Length: time.Hour, Step: time.Minute,
		Pools: []simulator.PoolModel{cloud: constant(300 * time.Millisecond), idle: constant(100 * time.Millisecond)},
	}}
	room := func(slots int64) spillway.Resources {
		return spillway.Resources{Slots: slots, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
	}
	once := call(0, 30*time.Second)
	once.Function = 1
	r := w.run(call(0, 30*time.Second), once)
	if r.Pools[cloud].Executed != 1 || r.Pools[idle].Executed != 0 || r.Reasons[spillway.ReasonOverflowWait] != 1 || r.Refused != 1 || r.Waits.Max() < 10*time.Minute {
		t.Errorf("nothing is idle: %d in the cloud, %d in idle capacity, %d refused, reasons %v", r.Pools[cloud].Executed, r.Pools[idle].Executed, r.Refused, r.Reasons)
	}
	w.config.Pools[idle].Capacity = []simulator.CapacityStep{{At: time.Minute, Capacity: room(2)}, {At: 80 * time.Second, Capacity: room(0)}, {At: 3 * time.Minute, Capacity: room(1)}}
	r = w.run(call(0, 30*time.Second), once)
	p := r.Pools[idle]
	if p.Reclaimed != 2 || p.Executed != 3 || p.DurationMicros != 2*19_900_000+30_000_000 || r.Pools[cloud].Executed != 0 || r.Refused != 0 || r.Latency.Max() < 210*time.Second {
		t.Errorf("%d reclaimed, %d executed for %d µs, %d in the cloud, %d refused, at most %s", p.Reclaimed, p.Executed, p.DurationMicros, r.Pools[cloud].Executed, r.Refused, r.Latency.Max())
	}
}
