package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// validate checks each object by itself.
func (l *loading) validate() {
	for _, e := range l.all.functions {
		l.checkFunction(e)
	}
	for _, e := range l.all.pools {
		l.checkPool(e)
	}
	for _, e := range l.all.policies {
		checkPolicy(e)
	}
	for _, e := range l.all.quotas {
		checkQuota(e)
	}
	for _, e := range l.all.books {
		checkBook(e)
	}
	for _, e := range l.all.servers {
		l.checkServer(e)
	}
}

func (l *loading) checkPool(e entry[v1alpha1.Pool]) {
	spec := &e.object.Spec
	e.oneOf("spec.kind", spec.Kind, []string{"process", "lambda"}, "kube", "kubernetes", "offline", "scf")
	if e.faulty("spec.kind") {
		return
	}
	e.label("spec.region", spec.Region)
	if e.written("spec.pricePlan") {
		e.label("spec.pricePlan", spec.PricePlan)
	}
	e.duration("spec.initTimeout", spec.InitTimeout, v1alpha1.Duration(time.Millisecond), 300*second)
	if spec.Kind == "process" {
		e.duration("spec.keepAlive", spec.KeepAlive, v1alpha1.Duration(time.Millisecond), 24*3600*second)
		e.onlyOf("lambda", "spec.lambda", "spec.limits")
		checkCapacity(e.source, "spec.capacity", spec.Capacity, 1)
		return
	}
	e.onlyOf("process", "spec.capacity", "spec.keepAlive")
	l.checkLambda(e.source, spec.Lambda)
	e.count("spec.limits.concurrency", spec.Limits.Concurrency, 1, maxCount)
	e.count("spec.limits.rampPer10s", spec.Limits.RampPer10s, 1, maxCount)
	e.count("spec.limits.requestsPerSecond", spec.Limits.RequestsPerSecond, 1, 10*maxCount)
}

// onlyOf refuses fields that pools of the other kind do not have.
func (s *source) onlyOf(kind string, paths ...string) {
	for _, path := range paths {
		if s.written(path) {
			s.fault(path, "means nothing for this kind of pool", "only with spec.kind: "+kind)
		}
	}
}

// checkCapacity allows dimensions from least up; nil is not limited.
func checkCapacity(s *source, path string, c *v1alpha1.Capacity, least int64) {
	if c == nil {
		return
	}
	s.count(path+".slots", c.Slots, least, maxCount)
	s.cpu(path+".cpu", c.CPU, v1alpha1.MilliCPU(least), maxCount*1000)
	s.memory(path+".memory", c.Memory, v1alpha1.Bytes(least*mib), 1<<50)
}

func (l *loading) checkLambda(s *source, spec *v1alpha1.Lambda) {
	if spec.Endpoint != "" {
		u, err := url.Parse(spec.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			s.fault("spec.lambda.endpoint", "is not a plain URL", "http://HOST:PORT or https://HOST, without user and query")
		}
	}
	c := spec.Credentials
	switch {
	case (c.File != "") == c.Environment:
		s.fault("spec.lambda.credentials", "needs one of file and environment", "{file: PATH} or {environment: true}")
	case c.File != "":
		l.checkSecretFile(s, "spec.lambda.credentials.file", c.File)
	}
}

func checkPolicy(e entry[v1alpha1.BurstPolicy]) {
	spec := &e.object.Spec
	e.oneOf("spec.mode", spec.Mode, []string{"OnPremOnly", "Hybrid", "CloudOnly"}, "Offline")
	if e.written("spec.order") {
		e.labels("spec.order", spec.Order, spillway.MaxPools)
	}
	e.count("spec.maxBurstConcurrency", spec.MaxBurstConcurrency, 0, maxCount)
	e.duration("spec.onPremWaitBudget", spec.OnPremWaitBudget, 0, 60*second)
}

func checkQuota(e entry[v1alpha1.Quota]) {
	spec := &e.object.Spec
	if spec.Parent != "" {
		e.label("spec.parent", spec.Parent)
	}
	if spec.Department != "" {
		e.label("spec.department", spec.Department)
	}
	e.labels("spec.namespaces", spec.Namespaces, maxQuotas)
	checkCapacity(e.source, "spec.nominal.onPrem", spec.Nominal.OnPrem, 0)
	checkCapacity(e.source, "spec.nominal.cloud", spec.Nominal.Cloud, 0)
	if n := len(spec.Budgets); n > 3 {
		e.fault("spec.budgets", fmt.Sprintf("has %d entries", n), "at most one each for hour, day and month")
		return
	}
	seen := map[string]int{}
	for i, b := range spec.Budgets {
		path := index("spec.budgets", i)
		e.oneOf(path+".window", b.Window, []string{"hour", "day", "month"})
		if first, ok := seen[b.Window]; ok {
			e.fault(path+".window", fmt.Sprintf("spec.budgets[%d] is already for each %s", first, b.Window), "one budget for each window")
		}
		seen[b.Window] = i
		if b.Amount == nil {
			e.fault(path+".amount", "is required", v1alpha1.Amount(0).Syntax())
		}
		e.currency(path+".currency", b.Currency)
		e.oneOf(path+".atLimit", b.AtLimit, []string{"reject", "redirect"})
		if _, err := zone(b.TimeZone); err != nil {
			e.fault(path+".timeZone", "unknown time zone "+quoteShort(b.TimeZone), "an IANA name such as UTC or Asia/Shanghai")
		}
	}
}

// zone returns a named time zone. The machine's own is refused: it would make a
// budget depend on where the server runs.
func zone(name string) (*time.Location, error) {
	if name == "Local" || name == "" {
		return nil, fmt.Errorf("time zone %q", name)
	}
	return time.LoadLocation(name)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
