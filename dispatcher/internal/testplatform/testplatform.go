// Package testplatform builds small platforms for tests from a few lines of text,
// without the configuration loader:
//
//	pool onprem process slots=2 mib=1024 keepalive=60s keep=hybrid
//	pool cloud lambda concurrency=10 ramp=0 rps=0 init=1s
//	pool idle offline node=node
//	quota company budget=day:5.0:reject cloud=8
//	quota retail parent=company onprem=2
//	quota media parent=company onprem=4 keep=1 borrow=2 cloudborrow=1
//	policy default Hybrid order=onprem,cloud wait=0s max=100
//	policy split Hybrid order=onprem,cloud weights=3,1 share=20:invocations:60s:10 spend=day:5000
//	policy calm Hybrid order=onprem,cloud open=2s close=5s below=50 hours=480-1200 kill shadow
//	namespace shop quota=retail
//	function shop/a timeout=1s mib=128 burst=allow maxwait=1s policy=default
//	function shop/a rev=v2 weight=10 digest=d2
//
// Money is in the platform's currency; a cloud's price is fixed at 16.6667e-6 per
// GiB-second and 2e-7 a request.
package testplatform

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/policy"
)

// CloudRate is the price of every cloud binding.
var CloudRate = spillway.Rate{PerRequest: 200_000_000, PerGiBSecond: 16_666_700_000, IncrementMillis: 1, MinimumMillis: 1}

// Parse builds the platform that text describes.
func Parse(text string) (*spillway.Platform, error) {
	b := &builder{p: &spillway.Platform{Generation: 1, Revision: "test", Currency: "USD"}}
	for _, line := range strings.Split(text, "\n") {
		if fields := strings.Fields(line); len(fields) > 0 {
			if err := b.line(fields); err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
		}
	}
	b.link()
	b.p.Index()
	return b.p, nil
}

// PermitAll is a verdict that permits every pool of p.
func PermitAll(p *spillway.Platform) *policy.Verdict {
	return &policy.Verdict{ID: "v1", Revision: "r1", Generation: p.Generation, Permitted: ^spillway.PoolSet(0)}
}

type builder struct{ p *spillway.Platform }

type options map[string]string

func (o options) text(key, def string) string {
	if v, ok := o[key]; ok {
		return v
	}
	return def
}

func (o options) number(key string, def int64) int64 {
	n, err := strconv.ParseInt(o.text(key, strconv.FormatInt(def, 10)), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func (o options) flag(key string) bool { return o[key] == "true" }

func (o options) duration(key, def string) time.Duration {
	d, err := time.ParseDuration(o.text(key, def))
	if err != nil {
		panic(err)
	}
	return d
}

func (b *builder) line(f []string) error {
	o := options{}
	var names []string
	for _, word := range f[1:] {
		if k, v, ok := strings.Cut(word, "="); ok {
			o[k] = v
		} else {
			names = append(names, word)
			o[word] = "true"
		}
	}
	switch f[0] {
	case "pool":
		b.pool(names, o)
	case "quota":
		b.quota(names, o)
	case "policy":
		b.policy(names, o)
	case "namespace":
		b.p.Namespaces = append(b.p.Namespaces, spillway.Namespace{Name: names[0], UID: "uid-" + names[0], Quota: b.find(o.text("quota", "")), Department: o.text("department", "")})
	case "function":
		return b.function(names, o)
	default:
		return fmt.Errorf("unknown object")
	}
	return nil
}

func (b *builder) pool(names []string, o options) {
	p := &spillway.Pool{Index: len(b.p.Pools), Name: names[0], Region: o.text("region", "local"), InitTimeout: o.duration("init", "1s"), PriceVersion: "test-1"}
	p.Retired = o.flag("retired")
	if names[1] == "offline" {
		p.Kind, p.Node, p.Capacity = spillway.PoolOffline, o.text("node", "node"), spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
		p.KeepAlive = o.duration("keepalive", "0s")
		p.Rate = spillway.Rate{PerVCPUSecond: 4_000_000_000, PerGiBSecond: 500_000_000, IncrementMillis: 1}
	} else if names[1] != "process" {
		p.Kind = map[string]spillway.PoolKind{"lambda": spillway.PoolLambda, "scf": spillway.PoolSCF}[names[1]]
		p.Limits = spillway.CloudLimits{Concurrency: o.number("concurrency", 1000), RampPer10s: o.number("ramp", 0), RequestsPerSecond: o.number("rps", 0),
			MemoryMiB: o.number("memory", 0), RampPerMinute: o.number("rampminute", 0)}
		p.Rate = CloudRate
		p.Rate.PerGiBSecond = p.Rate.PerGiBSecond * spillway.Femto(o.number("percent", 100)) / 100
	} else {
		p.Capacity = spillway.Resources{Slots: o.number("slots", 1), MilliCPU: o.number("mcpu", spillway.Unlimited), MiB: o.number("mib", spillway.Unlimited)}
		p.KeepAlive = o.duration("keepalive", "2m")
		p.KeepAlivePolicy = keepAlive(o)
		p.Rate = spillway.Rate{PerVCPUSecond: 10_000_000_000, PerGiBSecond: 1_000_000_000, IncrementMillis: 1}
	}
	b.p.Pools = append(b.p.Pools, p)
}

func (b *builder) quota(names []string, o options) {
	n := spillway.QuotaNode{Name: names[0], Parent: b.find(o.text("parent", ""))}
	for class, key := range [spillway.ClassCount]string{"onprem", "cloud", "offline"} {
		n.Nominal[class] = spillway.Resources{Slots: o.number(key, spillway.Unlimited), MilliCPU: o.number(key+"mcpu", spillway.Unlimited), MiB: o.number(key+"mib", spillway.Unlimited)}
	}
	n.Keep[spillway.ClassOnPrem].Slots = o.number("keep", 0)
	n.Borrowing[spillway.ClassOnPrem].Slots = o.number("borrow", 0)
	n.Borrowing[spillway.ClassCloud].Slots = o.number("cloudborrow", 0)
	if text, ok := o["budget"]; ok {
		n.Budgets = append(n.Budgets, budget(text))
	}
	b.p.Quotas = append(b.p.Quotas, n)
}

func budget(text string) spillway.Budget {
	parts := strings.Split(text, ":")
	window := map[string]spillway.Window{"hour": spillway.WindowHour, "day": spillway.WindowDay, "month": spillway.WindowMonth}[parts[0]]
	units, _ := strconv.ParseInt(parts[1], 10, 64)
	all := spillway.Budget{Window: window, Limit: spillway.Nano(units), Location: time.UTC}
	if len(parts) > 2 && parts[2] == "redirect" {
		all.AtLimit = spillway.AtLimitRedirect
	}
	return all
}

func (b *builder) find(quota string) int {
	for i, q := range b.p.Quotas {
		if q.Name == quota {
			return i
		}
	}
	return -1
}

func (b *builder) policy(names []string, o options) {
	mode := map[string]spillway.Mode{"OnPremOnly": spillway.ModeOnPremOnly, "Hybrid": spillway.ModeHybrid, "CloudOnly": spillway.ModeCloudOnly}[names[1]]
	p := spillway.BurstPolicy{Name: names[0], Mode: mode, OnPremWaitBudget: o.duration("wait", "0s"), MaxBurstConcurrency: o.number("max", spillway.Unlimited)}
	for i, pool := range b.p.Pools {
		if pool.Kind == spillway.PoolOffline {
			p.Order = append(p.Order, i)
		}
	}
	for _, name := range strings.Split(o["order"], ",") {
		for i, pool := range b.p.Pools {
			if pool.Name == name {
				p.Order = append(p.Order, i)
			}
		}
	}
	if text, ok := o["weights"]; ok {
		p.Weights = make([]int64, len(b.p.Pools))
		for i, w := range strings.Split(text, ",") {
			p.Weights[p.Order[len(p.Order)-strings.Count(o["order"], ",")-1+i]], _ = strconv.ParseInt(w, 10, 64)
		}
	}
	if text, ok := o["share"]; ok {
		p.Share = parseShare(strings.Split(text, ":"))
	}
	if text, ok := o["spend"]; ok {
		p.Spend = []spillway.Budget{budget(text)}
	}
	p.Hysteresis = spillway.Hysteresis{OpenAfter: o.duration("open", "0s"), CloseAfter: o.duration("close", "0s"), CloseBelowPercent: o.number("below", 0)}
	if text, ok := o["hours"]; ok {
		w := spillway.BurstWindow{Days: [7]bool{true, true, true, true, true, true, true}, Location: time.UTC}
		_, _ = fmt.Sscanf(text, "%d-%d", &w.From, &w.To)
		p.Windows = []spillway.BurstWindow{w}
	}
	p.KillSwitch, p.Shadow = o.flag("kill"), o.flag("shadow")
	b.p.BurstPolicies = append(b.p.BurstPolicies, p)
}

func parseShare(parts []string) *spillway.BurstShare {
	s := &spillway.BurstShare{}
	s.Percent, _ = strconv.ParseInt(parts[0], 10, 64)
	if parts[1] == "gibSeconds" {
		s.Of = spillway.ShareGiBSeconds
	}
	s.Window, _ = time.ParseDuration(parts[2])
	s.Minimum, _ = strconv.ParseInt(parts[3], 10, 64)
	return s
}

// link tells the leading revision of each function about the others.
func (b *builder) link() {
	b.p.Index()
	for _, lead := range b.p.Functions {
		if b.p.Function(lead.FunctionKey) != lead {
			continue
		}
		var all []*spillway.Function
		for _, f := range b.p.Functions {
			if f.FunctionKey == lead.FunctionKey {
				all = append(all, f)
			}
		}
		if len(all) > 1 {
			lead.Revisions = all
		}
	}
}

func (b *builder) function(names []string, o options) error {
	ns, name, _ := strings.Cut(names[0], "/")
	f := &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: ns, Name: name}, Index: len(b.p.Functions), Namespace: -1, Revision: o.text("rev", "v1"), Weight: o.number("weight", 100),
		Package:   spillway.Package{Digest: o.text("digest", "d1")},
		Resources: spillway.Resources{Slots: 1, MilliCPU: o.number("mcpu", 100), MiB: o.number("mib", 128)}, Concurrency: int(o.number("at-once", 1)),
		Timeout: o.duration("timeout", "1s"), Deadline: o.duration("deadline", "30s"), MaxWait: o.duration("maxwait", "1s"),
		MinWarm: int(o.number("minwarm", 0)), Image: o.text("image", ""),
	}
	n := int64(f.Concurrency)
	f.Instance = spillway.Resources{Slots: 1, MilliCPU: n * f.Resources.MilliCPU, MiB: n * f.Resources.MiB}
	for i, n := range b.p.Namespaces {
		if n.Name == ns {
			f.Namespace = i
		}
	}
	if f.Namespace < 0 {
		return fmt.Errorf("unknown namespace")
	}
	for i := range b.p.BurstPolicies {
		if b.p.BurstPolicies[i].Name == o.text("policy", "default") {
			f.Policy = i
		}
	}
	if o["burst"] == "allow" {
		f.Burst = spillway.BurstAllow
	}
	f.Offline = o["class"] == "offline"
	if o["contract"] == "http" {
		f.Contract = spillway.ContractHTTP
	}
	if o["retry"] == "idempotent" {
		f.Retry = spillway.RetryIdempotent
	}
	for i, pool := range b.p.Pools {
		switch {
		case pool.Retired:
			f.Excluded[i] = spillway.ExcludedRetired
		case !pool.Kind.Cloud() && f.Offline != (pool.Kind == spillway.PoolOffline):
			f.Excluded[i] = spillway.ExcludedClass
		case !pool.Kind.Cloud():
			f.Permitted = f.Permitted.With(i)
		case f.Burst == spillway.BurstDeny:
			f.Excluded[i] = spillway.ExcludedBurst
		default:
			f.Permitted = f.Permitted.With(i)
			binding := spillway.Binding{Name: name, MiB: f.Resources.MiB, Timeout: f.Timeout, Rate: pool.Rate, HTTPv2: f.Contract == spillway.ContractHTTP}
			worst, err := billing.WorstCase(binding, pool.InitTimeout)
			if err != nil {
				return err
			}
			binding.WorstCase = worst
			f.Bindings[i] = binding
		}
	}
	b.p.Functions = append(b.p.Functions, f)
	return nil
}
