package config

import (
	"slices"
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

// TestLapsedPrices: a rate that has run out closes the cloud that is billed in that
// currency, and nothing else, until there is another.
func TestLapsedPrices(t *testing.T) {
	const rate = `{from: CNY, to: USD, rate: "0.14", date: 2026-01-01, source: test}`
	l := mustLoad(t, strings.Replace(burstObjects, rate,
		`{from: CNY, to: USD, rate: "0.14", date: 2026-01-01, until: 2026-11-01, source: test}, {from: CNY, to: USD, rate: "0.15", date: 2026-12-01, source: test}`, 1))
	p := l.Platform
	qq, onprem := poolIndex(p, "qq"), poolIndex(p, "onprem")
	f := p.Function(spillway.FunctionKey{Namespace: "shop", Name: "resize"})
	if f.Excluded[qq] != spillway.ExcludedPrice || f.Permitted.Has(qq) || !f.Permitted.Has(onprem) || p.Pools[qq].PriceVersion != "" {
		t.Errorf("excluded %v, permitted %b", f.Excluded, f.Permitted)
	}
	if spend := p.BurstPolicies[0].Spend; spend[0].Limit != 0 || spend[1].Limit != 100e9 {
		t.Errorf("spend %+v", spend)
	}
	if want := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC); !l.PricesUntil.Equal(want) {
		t.Errorf("the next rate holds from %s, want %s", l.PricesUntil, want)
	}
	warned(t, l, "nothing is sent to pool qq", "spec.maxBurstSpend[1] in conf/a.yaml:23:18 counts as 0 USD")
	checks := testChecks
	checks.Previous = p
	unpack(t, &txtar.Archive{Files: []txtar.File{{Name: "conf/a.yaml", Data: []byte(burstObjects)}}})
	if again, err := Load("conf", testDay, checks); err != nil || !again.Platform.Functions[0].Permitted.Has(qq) {
		t.Errorf("a new rate does not open the cloud: %v", err)
	}
}

func warned(t *testing.T, l *Loaded, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !slices.ContainsFunc(l.Warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("no warning %q in %q", want, l.Warnings)
		}
	}
}

// TestWorstCaseOnSCF is 3 s and 65 s of INIT of 128 MiB, 8.5 GiB-seconds, and one
// request, in CNY at 0.14, each in billionths rounded up.
func TestWorstCaseOnSCF(t *testing.T) {
	p := mustLoad(t, burstObjects).Platform
	b := p.Function(spillway.FunctionKey{Namespace: "shop", Name: "resize"}).Bindings[poolIndex(p, "qq")]
	if b.MiB != 128 || b.Timeout != 3*time.Second || b.WorstCase != 132_186+187 {
		t.Errorf("binding %+v", b)
	}
}

func TestSCFDefaultsFollowTheRegion(t *testing.T) {
	for region, want := range map[string]int64{"ap-shanghai": 128000, "ap-shanghai-fsi": 128000, "ap-singapore": 64000, "eu-frankfurt": 64000} {
		p := mustLoad(t, object("Pool", "a", "{kind: scf, region: "+region+", pricePlan: mine}")+object("PriceBook", "b",
			"{plans: [{plan: mine, version: a, kind: scf, source: s, perRequest: 1, perGiBSecond: 1}]}")).Platform.Pools[0]
		if p.Limits != (spillway.CloudLimits{MemoryMiB: want, RampPerMinute: 500}) || p.SCF != (spillway.SCFEndpoint{Namespace: "default", CredentialsFrom: "environment"}) || p.InitTimeout != 65*time.Second {
			t.Errorf("%s: %+v", region, p)
		}
	}
}

// TestSpendMayStandAlone: one object is a list of one, in faults too.
func TestSpendMayStandAlone(t *testing.T) {
	spend := mustLoad(t, object("BurstPolicy", "p", "{maxBurstSpend: {window: hour, amount: 3}}")).Platform.BurstPolicies[1].Spend
	if len(spend) != 1 || spend[0] != (spillway.Budget{Limit: 3e9, Location: time.UTC, AtLimit: spillway.AtLimitRedirect}) {
		t.Errorf("spend %+v", spend)
	}
}

func TestRevisionsThatACloudCannotTellApart(t *testing.T) {
	warned(t, mustLoad(t, strings.Replace(burstObjects, ", qualifier: canary}", "}", 1)), "revisions v1 and v2 are both prod in pool qq")
	alone := strings.Replace(burstObjects, "  cloud: [{pool: qq, qualifier: prod}, {pool: aws}]\n", "", 1)
	warned(t, mustLoad(t, alone), "function shop/resize: the qualifier of revision v2 means nothing without a cloud binding")
	for _, w := range mustLoad(t, burstObjects).Warnings {
		if strings.Contains(w, "are both") {
			t.Errorf("unexpected: %s", w)
		}
	}
}

// TestTheFirstOfEqualsLeads, in the order in which they were written.
func TestTheFirstOfEqualsLeads(t *testing.T) {
	equal := strings.NewReplacer("weight: 90", "weight: 50", "weight: 10}", "weight: 50}", "name: v1, package", "name: zz, package", "revision: v1", "revision: zz").Replace(burstObjects)
	p := mustLoad(t, equal).Platform
	lead := p.Function(spillway.FunctionKey{Namespace: "shop", Name: "resize"})
	if lead.Revision != "zz" || lead.Canary() || !lead.Revisions[1].Canary() || lead.Revisions[0] != lead {
		t.Errorf("%s leads %v", lead.Revision, lead.Revisions)
	}
	for i, f := range p.Functions {
		if f.Index != i || p.RevisionOf(f.FunctionKey, f.Revision) != f {
			t.Errorf("function %d has index %d", i, f.Index)
		}
	}
}
