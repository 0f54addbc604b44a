package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/spillway-dev/spillway"
)

const twoPools = `apiVersion: spillway.dev/v1alpha1
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
metadata: {name: home}
spec: {mode: OnPremOnly}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: away}
spec: {mode: CloudOnly}
---
apiVersion: spillway.dev/v1alpha1
kind: BurstPolicy
metadata: {name: only-lambda}
spec: {order: [lambda]}
---
`

// TestPermitted says for each function which pools are left, and why others are
// not: lambda is pool 0, onprem pool 1.
func TestPermitted(t *testing.T) {
	const bound = "burst: allow, cloud: [{pool: lambda}]"
	for _, c := range []struct {
		spec           string
		lambda, onprem spillway.Exclusion
	}{
		{"burst: deny", spillway.ExcludedBurst, spillway.ExcludedNot},
		{"burst: deny, cloud: [{pool: lambda}]", spillway.ExcludedBurst, spillway.ExcludedNot},
		{"burst: allow", spillway.ExcludedBinding, spillway.ExcludedNot},
		{bound, spillway.ExcludedNot, spillway.ExcludedNot},
		{bound + ", burstPolicy: home", spillway.ExcludedMode, spillway.ExcludedNot},
		{bound + ", burstPolicy: away", spillway.ExcludedNot, spillway.ExcludedMode},
		{bound + ", burstPolicy: only-lambda", spillway.ExcludedNot, spillway.ExcludedOrder},
		{bound + ", residency: [here]", spillway.ExcludedResidency, spillway.ExcludedNot},
		{bound + ", residency: [us-east-1]", spillway.ExcludedNot, spillway.ExcludedResidency},
		{bound + ", residency: [here, us-east-1]", spillway.ExcludedNot, spillway.ExcludedNot},
		{bound + ", resources: {memory: 2Gi}", spillway.ExcludedNot, spillway.ExcludedTooLarge},
		{bound + ", resources: {cpu: 2001m}", spillway.ExcludedNot, spillway.ExcludedTooLarge},
		{bound + ", resources: {cpu: 2, memory: 1Gi}", spillway.ExcludedNot, spillway.ExcludedNot},
	} {
		f := mustLoad(t, twoPools+function("f", c.spec)).Platform.Functions[0]
		if f.Excluded[0] != c.lambda || f.Excluded[1] != c.onprem {
			t.Errorf("%s: lambda %q, onprem %q; want %q, %q", c.spec, f.Excluded[0], f.Excluded[1], c.lambda, c.onprem)
		}
		for i, e := range f.Excluded[:2] {
			if f.Permitted.Has(i) != (e == spillway.ExcludedNot) {
				t.Errorf("%s: permitted %b, pool %d excluded %q", c.spec, f.Permitted, i, e)
			}
		}
		if f.Permitted.Has(2) {
			t.Errorf("%s: a pool that is not there is permitted", c.spec)
		}
	}
}

func TestFunctionIsCompiledAsWritten(t *testing.T) {
	p := mustLoad(t, twoPools+`apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: resize, namespace: shop}
spec:
  revisions: [{name: v1, package: {path: ../fn}}, {name: v2, package: {path: ../fn}}]
  traffic: [{revision: v1, weight: 0}, {revision: v2, weight: 100}]
  resources: {cpu: 0.25, memory: 100M}
  timeout: 2500ms
  deadline: 20s
  maxWait: 0s
  minWarm: 2
  burst: allow
  retry: idempotent
  dataClass: open
  residency: [us-east-1, here]
  env: {B: "2", A: "1"}
  cloud: [{pool: lambda, qualifier: live}]
`).Platform
	f := p.Function(spillway.FunctionKey{Namespace: "shop", Name: "resize"})
	cwd, _ := os.Getwd()
	want := *f
	want.Revision, want.Handler = "v2", "bootstrap"
	want.Package.Path = cwd + "/fn"
	want.Resources = spillway.Resources{Slots: 1, MilliCPU: 250, MiB: 96}
	want.Timeout, want.Deadline, want.MaxWait, want.MinWarm = 2500*time.Millisecond, 20*time.Second, 0, 2
	want.Burst, want.Retry, want.DataClass = spillway.BurstAllow, spillway.RetryIdempotent, "open"
	want.Residency, want.Env = []string{"here", "us-east-1"}, []string{"A=1", "B=2"}
	want.Policy = slices.IndexFunc(p.BurstPolicies, func(b spillway.BurstPolicy) bool { return b.Name == "default" })
	if got := fmt.Sprintf("%+v", *f); got != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %s\nwant %+v", got, want)
	}
	// Three seconds, and ten of INIT, of 128 MiB = 1.625 GiB-seconds at
	// 0.0000166667, and one request at 0.0000002, in billionths rounded up.
	b := f.Bindings[0]
	if b.Name != "resize" || b.Qualifier != "live" || b.MiB != 128 || b.Timeout != 3*time.Second || b.WorstCase != 27084+200 {
		t.Errorf("binding: %+v", b)
	}
	if !digestForm.MatchString(f.Package.Digest) {
		t.Errorf("the package is not pinned: %q", f.Package.Digest)
	}
}

func TestQuotaTree(t *testing.T) {
	p := mustLoad(t, function("resize", "burst: deny")+
		object("Quota", "b-leaf", "{parent: a-team, namespaces: [shop], nominal: {onPrem: {cpu: 1500m}}}")+
		object("Quota", "a-team", "{parent: z-company, department: retail, namespaces: [media]}")+
		object("Quota", "z-company", "{department: all, budgets: [{window: month, amount: 10}, {window: day, amount: '5', currency: CNY, timeZone: Asia/Shanghai, atLimit: redirect}]}")+
		object("Quota", "alone", "{namespaces: [lab], nominal: {cloud: {slots: 0, memory: 1500Ki}}}")+
		object("PriceBook", "p", "{exchangeRates: [{from: CNY, to: USD, rate: '0.1400000001', date: 2026-01-01, until: 2027-01-01, source: s}]}")).Platform
	var names []string
	for i, q := range p.Quotas {
		if q.Parent >= i {
			t.Errorf("quota %s stands before its parent", q.Name)
		}
		names = append(names, q.Name)
	}
	if want := []string{"alone", "z-company", "a-team", "b-leaf"}; !slices.Equal(names, want) {
		t.Fatalf("quotas %q, want %q", names, want)
	}
	u := spillway.Unlimited
	if got, want := p.Quotas[3].Nominal[spillway.ClassOnPrem], (spillway.Resources{Slots: u, MilliCPU: 1500, MiB: u}); got != want {
		t.Errorf("on-prem limit %v, want %v", got, want)
	}
	if got, want := p.Quotas[0].Nominal[spillway.ClassCloud], (spillway.Resources{Slots: 0, MilliCPU: u, MiB: 1}); got != want {
		t.Errorf("cloud limit %v, want %v", got, want)
	}
	day, month := p.Quotas[1].Budgets[0], p.Quotas[1].Budgets[1]
	if day.Limit != 700_000_000 || day.Location.String() != "Asia/Shanghai" || day.AtLimit != spillway.AtLimitRedirect || day.Window != spillway.WindowDay {
		t.Errorf("day: %+v", day)
	}
	if month.Limit != 10_000_000_000 || month.Location != time.UTC || month.AtLimit != spillway.AtLimitReject {
		t.Errorf("month: %+v", month)
	}
	for i, want := range []spillway.Namespace{{Name: "lab", Quota: 0}, {Name: "media", Department: "retail", Quota: 2}, {Name: "shop", Department: "retail", Quota: 3}} {
		got := p.Namespaces[i]
		want.UID = got.UID
		if got != want || len(got.UID) != 36 {
			t.Errorf("namespace %+v, want %+v", got, want)
		}
	}
}

func TestPricesUntilTheFirstChange(t *testing.T) {
	l := mustLoad(t, object("Pool", "p", "{kind: process, pricePlan: mine}")+
		object("PriceBook", "b", `{plans: [
  {plan: mine, version: a, kind: owned, source: s, validTo: 2026-12-01, owned: {hourly: 1, allocatable: {cpu: 1, memory: 1Gi}}},
  {plan: mine, version: b, kind: owned, source: s, validFrom: 2026-12-01, owned: {hourly: 2, allocatable: {cpu: 1, memory: 1Gi}}}]}`))
	if want := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC); !l.PricesUntil.Equal(want) || l.Platform.Pools[0].HourlyNano != 1e9 {
		t.Errorf("until %s, hourly %d", l.PricesUntil, l.Platform.Pools[0].HourlyNano)
	}
}

func TestCloudPool(t *testing.T) {
	p := mustLoad(t, object("Pool", "a", "{kind: lambda, region: us-east-1, initTimeout: 1s, limits: {concurrency: 50}, lambda: {endpoint: 'http://127.0.0.1:9800', credentials: {file: ../secret}}}"),
		txtar.File{Name: "secret"}).Platform.Pools[0]
	cwd, _ := os.Getwd()
	if p.Limits != (spillway.CloudLimits{Concurrency: 50, RampPer10s: 1000, RequestsPerSecond: 500}) || p.InitTimeout != time.Second ||
		p.Lambda != (spillway.LambdaEndpoint{Endpoint: "http://127.0.0.1:9800", CredentialsFrom: "file:" + cwd + "/secret"}) {
		t.Errorf("pool: %+v", p)
	}
}

func TestWarnings(t *testing.T) {
	const mine = "pool onprem is billed"
	for want, text := range map[string]string{
		"has burst: allow but no cloud binding":    twoPools + function("f", "burst: allow"),
		"no budget covers namespace shop":          twoPools + function("f", "burst: allow, cloud: [{pool: lambda}]"),
		"no cloud pool may run it: lambda: mode":   twoPools + function("f", "burst: allow, burstPolicy: home, cloud: [{pool: lambda}]"),
		"minWarm: 9 does not fit":                  twoPools + function("f", "minWarm: 9"),
		"residency mars is the region of no pool":  twoPools + function("f", "residency: [here, mars]"),
		"callers without credentials are accepted": "",
		"built-in plan example-node":               twoPools + function("f", "burst: deny"),
	} {
		l := mustLoad(t, text)
		if !slices.ContainsFunc(l.Warnings, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("no warning %q in %q", want, l.Warnings)
		}
	}
	covered := mustLoad(t, twoPools+function("f", "burst: allow, minWarm: 2, residency: [here, us-east-1], cloud: [{pool: lambda}]")+
		object("Quota", "q", "{namespaces: [shop], budgets: [{window: day, amount: 1}]}")+object("Server", "s", "{auth: {tokens: [{tokenFrom: {file: t}, identity: a, invoke: ['*']}]}}"),
		txtar.File{Name: "conf/t"})
	if left := slices.DeleteFunc(covered.Warnings, func(w string) bool { return strings.HasPrefix(w, mine) }); len(left) > 0 {
		t.Errorf("warnings without a cause: %q", left)
	}
	if err := os.Chmod("conf/t", 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := Load("conf", testDay, testChecks)
	if err != nil || !slices.ContainsFunc(l.Warnings, func(w string) bool { return strings.Contains(w, "chmod 600") }) {
		t.Errorf("a secret that others can read: %v, %v", l, err)
	}
}

func TestWarningsAreListedUpToALimit(t *testing.T) {
	text := strings.Builder{}
	text.WriteString(twoPools)
	for i := range 150 {
		text.WriteString(function(fmt.Sprintf("f%d", i), "burst: allow"))
	}
	w := mustLoad(t, text.String()).Warnings
	// One for each function, one for the price plan, one for anonymous callers.
	if len(w) != maxWarnings+1 || w[maxWarnings] != "and 52 more warnings" {
		t.Errorf("%d warnings, last %q", len(w), w[len(w)-1])
	}
}
