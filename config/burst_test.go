package config

import (
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/spillway-dev/spillway"
)

const burstObjects = `apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: process}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: aws}
spec: {kind: lambda, region: us-east-1}
---
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: qq}
spec: {kind: scf, region: ap-guangzhou}
---
apiVersion: spillway.dev/v1alpha1
kind: PriceBook
metadata: {name: prices}
spec: {exchangeRates: [{from: CNY, to: USD, rate: "0.14", date: 2026-01-01, source: test}]}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: default}
spec:
  order: [onprem, qq, aws]
  weights: {onprem: 3, qq: 1}
  maxBurstShare: {percent: 20, of: gibSeconds, window: 2h, minimum: 7}
  maxBurstSpend: [{window: month, amount: 100}, {window: day, amount: 7, currency: CNY}]
  hysteresis: {openAfter: 2s, closeAfter: 30s, closeBelow: 80}
  regions: [ap-guangzhou]
  windows: [{days: [sat, sun], from: "20:00", to: "06:00", timeZone: Asia/Shanghai}]
  killSwitch: true
  shadow: true
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec:
  nominal: {onPrem: {slots: 10}}
  budgets: [{window: day, amount: 1}]
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: retail}
spec:
  parent: company
  namespaces: [shop]
  nominal: {onPrem: {slots: 6, memory: 1Gi}}
  borrowingLimit: {onPrem: {slots: 3}}
  lendingLimit: {onPrem: {slots: 4}}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: resize, namespace: shop}
spec:
  revisions:
  - {name: v1, package: {path: ../fn}}
  - {name: v2, package: {path: ../fn}, qualifier: canary}
  - {name: v3, package: {path: ../fn}}
  traffic: [{revision: v1, weight: 90}, {revision: v2, weight: 10}]
  burst: allow
  minWarm: 1
  cloud: [{pool: qq, qualifier: prod}, {pool: aws}]
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: site, namespace: shop}
spec: {revisions: [{name: v1, package: {path: ../fn}}], contract: http, burst: allow}
`

// TestBurstIsCompiledAsWritten follows every field of the burst contract, of
// borrowing and of revisions.
func TestBurstIsCompiledAsWritten(t *testing.T) {
	p := mustLoad(t, burstObjects).Platform
	aws, onprem, qq := poolIndex(p, "aws"), poolIndex(p, "onprem"), poolIndex(p, "qq")
	b := p.BurstPolicies[0]
	if b.Weights[onprem] != 3 || b.Weights[qq] != 1 || b.Weights[aws] != 0 {
		t.Errorf("weights %v", b.Weights)
	}
	if s := b.Share; s == nil || *s != (spillway.BurstShare{Percent: 20, Of: spillway.ShareGiBSeconds, Window: 2 * time.Hour, Minimum: 7}) {
		t.Errorf("share %+v", s)
	}
	if len(b.Spend) != 2 || b.Spend[0].Window != spillway.WindowDay || b.Spend[0].Limit != 980_000_000 || b.Spend[1].Limit != 100e9 {
		t.Errorf("spend %+v", b.Spend)
	}
	if b.Hysteresis != (spillway.Hysteresis{OpenAfter: 2 * time.Second, CloseAfter: 30 * time.Second, CloseBelowPercent: 80}) || !b.KillSwitch || !b.Shadow {
		t.Errorf("%+v", b)
	}
	for at, open := range map[string]bool{
		"2026-11-21T12:00:00Z": true, "2026-11-21T11:59:00Z": false, // Saturday 20:00 in Shanghai
		"2026-11-22T21:59:00Z": true, "2026-11-22T22:00:00Z": false, // Monday 06:00 there
		"2026-11-20T14:00:00Z": false, // Friday
	} {
		when, _ := time.Parse(time.RFC3339, at)
		if got := b.Windows[0].Holds(spillway.InstantOf(when)); got != open {
			t.Errorf("at %s open is %v", at, got)
		}
	}
	q := p.Quotas[1]
	if q.Borrowing[spillway.ClassOnPrem].Slots != 3 || q.Keep[spillway.ClassOnPrem] != (spillway.Resources{Slots: 2}) || q.Keep[spillway.ClassCloud] != (spillway.Resources{}) {
		t.Errorf("%+v", q)
	}
	lead := p.Function(spillway.FunctionKey{Namespace: "shop", Name: "resize"})
	if lead.Revision != "v1" || len(lead.Revisions) != 3 || lead.Revisions[1].Weight != 10 || !lead.Revisions[1].Canary() || lead.Revisions[2].MinWarm != 0 {
		t.Fatalf("%+v", lead)
	}
	if got := lead.Bindings[qq].Qualifier + " " + lead.Revisions[1].Bindings[qq].Qualifier; got != "prod canary" {
		t.Errorf("qualifiers %s", got)
	}
	if lead.Excluded[aws] != spillway.ExcludedRegion || !lead.Permitted.Has(qq) || lead.Permitted.Has(aws) {
		t.Errorf("excluded %v", lead.Excluded)
	}
	// 0.00011108 CNY at 0.14 is 0.0000155512 USD a GiB-second.
	if r := lead.Bindings[qq].Rate; r.PerGiBSecond != 15_551_200_000 || r.PerRequest != 186_200_000 {
		t.Errorf("rate %+v", r)
	}
	if l := p.Pools[qq].Limits; l.MemoryMiB != 128000 || l.RampPerMinute != 500 || l.Concurrency != 0 {
		t.Errorf("limits %+v", l)
	}
	if site := p.Function(spillway.FunctionKey{Namespace: "shop", Name: "site"}); site.Contract != spillway.ContractHTTP || site.Excluded[qq] != spillway.ExcludedContract {
		t.Errorf("%+v", site)
	}
}

// TestPoolsKeepTheirIndices: a successor has every pool where it was, and those that
// are gone are retired.
func TestPoolsKeepTheirIndices(t *testing.T) {
	first := mustLoad(t, burstObjects).Platform
	without := strings.Replace(burstObjects, "metadata: {name: aws}", "metadata: {name: zz}", 1)
	without = strings.ReplaceAll(strings.ReplaceAll(without, "order: [onprem, qq, aws]", "order: [onprem, qq]"), ", {pool: aws}", "")
	checks := testChecks
	checks.Previous = first
	second := loadNext(t, without, checks).Platform
	if second.Generation != 2 || len(second.Pools) != 4 || second.Pools[3].Name != "zz" {
		t.Fatalf("pools %v", second.Pools)
	}
	for i, pool := range first.Pools {
		next := second.Pools[i]
		if next.Name != pool.Name || next.Retired != (pool.Name == "aws") {
			t.Errorf("pool %d was %s and is %s, retired %v", i, pool.Name, next.Name, next.Retired)
		}
	}
	for _, f := range second.Functions {
		if f.Permitted.Has(0) || f.Excluded[0] != spillway.ExcludedRetired {
			t.Errorf("%s may use a retired pool: %v", f, f.Excluded[0])
		}
	}
	checks.Previous = second
	third := loadNext(t, burstObjects, checks).Platform
	if third.Pools[0].Name != "aws" || third.Pools[0].Retired || !third.Pools[3].Retired {
		t.Errorf("a pool that came back: %+v", third.Pools[0])
	}
}

func loadNext(t *testing.T, text string, checks Checks) *Loaded {
	t.Helper()
	unpack(t, &txtar.Archive{Files: []txtar.File{{Name: "conf/a.yaml", Data: []byte(text)}}})
	l, err := Load("conf", testDay, checks)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
