package config

import (
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/spillway-dev/spillway"
)

const idlePools = `apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: idle}
spec: {kind: offline, kubernetes: {runtimeImage: 'localhost/spillway:dev', allowTags: true}}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: lambda}
spec: {kind: lambda, region: us-east-1}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: process, region: here, capacity: {slots: 4, cpu: 2, memory: 1Gi}}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec: {mode: Hybrid}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: idle-only}
spec: {mode: Offline}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: away}
spec: {mode: CloudOnly}
---
`

func loadIdle(t *testing.T, pools, spec string) (*Loaded, error) {
	t.Helper()
	unpack(t, txtar.Parse([]byte("-- conf/a.yaml --\n"+pools+`apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: f, namespace: n}
spec: {revisions: [{name: v1, package: {path: ../fn}}], `+spec+"}\n")))
	return Load("conf", testDay, testChecks)
}

// TestClassOffline: idle, lambda and onprem are pools 0, 1 and 2.
func TestClassOffline(t *testing.T) {
	const bound = ", burst: allow, cloud: [{pool: lambda}]"
	for _, c := range []struct {
		spec                 string
		idle, lambda, onprem spillway.Exclusion
	}{
		{"class: online", spillway.ExcludedClass, spillway.ExcludedBurst, spillway.ExcludedNot},
		{"class: offline", spillway.ExcludedNot, spillway.ExcludedBurst, spillway.ExcludedClass},
		{"class: offline" + bound, spillway.ExcludedNot, spillway.ExcludedNot, spillway.ExcludedClass},
		{"class: offline, burstPolicy: away" + bound, spillway.ExcludedMode, spillway.ExcludedNot, spillway.ExcludedClass},
		{"class: online, minWarm: 1, burstPolicy: idle-only" + bound, spillway.ExcludedNot, spillway.ExcludedMode, spillway.ExcludedClass},
	} {
		l, err := loadIdle(t, idlePools, c.spec)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		f := l.Platform.Functions[0]
		if got := [3]spillway.Exclusion(f.Excluded[:3]); got != [3]spillway.Exclusion{c.idle, c.lambda, c.onprem} || f.Offline != (c.onprem == spillway.ExcludedClass) || f.MinWarm != 0 {
			t.Errorf("%s: excluded %v, offline %v, %d warm", c.spec, got, f.Offline, f.MinWarm)
		}
	}
}

// TestOfflineDefaults: what runs when there is room may wait for it.
func TestOfflineDefaults(t *testing.T) {
	l, err := loadIdle(t, idlePools, "class: offline, timeout: 5m")
	if err != nil {
		t.Fatal(err)
	}
	f, pool := l.Platform.Functions[0], l.Platform.Pools[0]
	if f.Deadline != time.Hour || f.MaxWait != 55*time.Minute {
		t.Errorf("deadline %s, maxWait %s", f.Deadline, f.MaxWait)
	}
	if pool.KeepAlive != 10*time.Second || pool.InitTimeout != time.Minute || len(pool.Kubernetes.Sizes) != 0 || pool.Kubernetes.RuntimeImage != "localhost/spillway:dev" {
		t.Errorf("%+v", pool)
	}
}

// TestModeOfflineDefaults: a policy gives them to functions that wrote nothing else, since
// a call that gives up after two seconds would find no room that becomes idle later.
func TestModeOfflineDefaults(t *testing.T) {
	byDefault := strings.Replace(idlePools, "{mode: Hybrid}", "{mode: Offline}", 1)
	for _, c := range []struct {
		pools, spec       string
		deadline, maxWait time.Duration
	}{
		{idlePools, "timeout: 5m", 5*time.Minute + 10*time.Second, 2 * time.Second},
		{idlePools, "timeout: 5m, burstPolicy: idle-only", time.Hour, 55 * time.Minute},
		{idlePools, "timeout: 5m, burstPolicy: idle-only, maxWait: 1s", time.Hour, time.Second},
		{idlePools, "timeout: 5m, burstPolicy: idle-only, maxWait: 0s", time.Hour, 0},
		{idlePools, "timeout: 5m, burstPolicy: idle-only, deadline: 20m", 20 * time.Minute, 15 * time.Minute},
		{byDefault, "timeout: 5m", time.Hour, 55 * time.Minute},
	} {
		l, err := loadIdle(t, c.pools, c.spec)
		if err != nil {
			t.Errorf("%s: %v", c.spec, err)
			continue
		}
		if f := l.Platform.Functions[0]; f.Deadline != c.deadline || f.MaxWait != c.maxWait {
			t.Errorf("%s: deadline %s, maxWait %s; want %s and %s", c.spec, f.Deadline, f.MaxWait, c.deadline, c.maxWait)
		}
	}
}

func TestNothingRunsOffline(t *testing.T) {
	without := strings.Replace(idlePools, ", kubernetes: {runtimeImage: 'localhost/spillway:dev', allowTags: true}", "", 1)
	for _, c := range []struct{ pools, spec, want string }{
		{without, "class: offline", "spec: no pool may run the function: idle: needs_pods, lambda: burst_denied, onprem: class"},
		{idlePools, "class: nearline", "spec.class: nearline is not supported in this version; allowed: online, offline"},
		{idlePools, "class: offline, minWarm: 2", "spec.minWarm: 2 would keep idle capacity that nothing uses; allowed: 0, or class: online"},
		{idlePools, "class: offline, contract: http", "spec.contract: http is for callers who wait, and class offline runs when there is room; allowed: lambda, or class: online"},
		{idlePools, "contract: http, burstPolicy: idle-only", "spec: no pool may run the function: idle: contract, lambda: burst_denied, onprem: class"},
		{strings.Replace(without, "kind: offline", "kind: offline, keepAlive: 1m", 1), "class: online", "spec.keepAlive: means nothing without instances of functions; allowed: only with spec.kubernetes"},
		{strings.Replace(idlePools, "allowTags: true", "allowTags: true, sizes: [{memory: 1Gi, cpu: 1}]", 1), "class: online", "spec.kubernetes.sizes: means nothing for this kind of pool; allowed: only with spec.kind: kubernetes"},
	} {
		if _, err := loadIdle(t, c.pools, c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.spec, err, c.want)
		}
	}
}
