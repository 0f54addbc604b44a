package config

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
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
	e.oneOf("spec.kind", spec.Kind, []string{"process", "lambda", "scf"}, "kube", "kubernetes", "offline")
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
		e.onlyOf("lambda", "spec.lambda")
		e.onlyOf("scf", "spec.scf")
		e.onlyOf("lambda or scf", "spec.limits")
		checkCapacity(e.source, "spec.capacity", spec.Capacity, 1)
		return
	}
	e.onlyOf("process", "spec.capacity", "spec.keepAlive")
	if spec.Kind == "lambda" {
		e.onlyOf("scf", "spec.scf", "spec.limits.memory", "spec.limits.rampPerMinute")
		e.endpoint("spec.lambda.endpoint", spec.Lambda.Endpoint)
		l.checkCredentials(e.source, "spec.lambda.credentials", spec.Lambda.Credentials)
	} else {
		e.onlyOf("lambda", "spec.lambda", "spec.limits.rampPer10s")
		e.endpoint("spec.scf.endpoint", spec.SCF.Endpoint)
		if !scfNamespace.MatchString(spec.SCF.Namespace) {
			e.fault("spec.scf.namespace", quoteShort(spec.SCF.Namespace)+" is not a namespace of SCF", "1 to 30 letters, digits, - and _, beginning with a letter")
		}
		l.checkCredentials(e.source, "spec.scf.credentials", spec.SCF.Credentials)
		e.memory("spec.limits.memory", spec.Limits.Memory, 64*mib, 1<<50)
		e.count("spec.limits.rampPerMinute", spec.Limits.RampPerMinute, 1, maxCount)
	}
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

var scfNamespace = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,29}$`)

// endpoint checks a URL; an empty one is not written.
func (s *source) endpoint(path, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		s.fault(path, "is not a plain URL", "http://HOST:PORT or https://HOST, without user and query")
	}
}

func (l *loading) checkCredentials(s *source, path string, c *v1alpha1.Credentials) {
	switch {
	case (c.File != "") == c.Environment:
		s.fault(path, "needs one of file and environment", "{file: PATH} or {environment: true}")
	case c.File != "":
		l.checkSecretFile(s, path+".file", c.File)
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
	e.labels("spec.regions", spec.Regions, maxRegions)
	checkWeights(e.source, spec)
	if s := spec.MaxBurstShare; s != nil {
		if s.Percent == nil {
			e.fault("spec.maxBurstShare.percent", "is required", "0 to 100")
		}
		e.count("spec.maxBurstShare.percent", s.Percent, 0, 100)
		e.oneOf("spec.maxBurstShare.of", s.Of, []string{"invocations", "gibSeconds"})
		e.duration("spec.maxBurstShare.window", s.Window, 60*second, 24*3600*second)
		e.count("spec.maxBurstShare.minimum", s.Minimum, 0, maxCount)
	}
	if h := spec.Hysteresis; h != nil {
		e.duration("spec.hysteresis.openAfter", h.OpenAfter, 0, 600*second)
		e.duration("spec.hysteresis.closeAfter", h.CloseAfter, 0, 3600*second)
		e.count("spec.hysteresis.closeBelow", h.CloseBelow, 1, 100)
	}
	checkSpend(e.source, spec.MaxBurstSpend)
	checkWindows(e.source, spec.Windows)
}

func checkWeights(s *source, spec *v1alpha1.BurstPolicySpec) {
	var total int64
	for _, pool := range sortedKeys(spec.Weights) {
		path := join("spec.weights", pool)
		n := spec.Weights[pool]
		if n < 0 || n > 1000 {
			s.fault(path, fmt.Sprintf("%d is out of range", n), "0 to 1000")
			return
		}
		if !slices.Contains(spec.Order, pool) {
			s.fault(path, quoteShort(pool)+" is not in the order of the policy", alternatives(spec.Order))
		}
		if s.faulty(path) {
			return
		}
		total += n
	}
	if len(spec.Weights) > 0 && total == 0 {
		s.fault("spec.weights", "are all zero", "at least one above zero")
	}
}

func checkSpend(s *source, all []v1alpha1.BurstSpend) {
	budgets := make([]v1alpha1.Budget, len(all))
	for i, b := range all {
		budgets[i] = v1alpha1.Budget{Window: b.Window, Amount: b.Amount, Currency: b.Currency, TimeZone: b.TimeZone, AtLimit: "redirect"}
	}
	checkBudgets(s, "spec.maxBurstSpend", budgets)
}

// dayNames are the days of the week as people write them, from Monday on.
var dayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

const maxWindows = 64

func checkWindows(s *source, all []v1alpha1.BurstWindow) {
	if n := len(all); n > maxWindows {
		s.fault("spec.windows", fmt.Sprintf("has %d entries", n), fmt.Sprintf("at most %d", maxWindows))
		return
	}
	for i, w := range all {
		path := index("spec.windows", i)
		for j, day := range w.Days {
			s.oneOf(index(path+".days", j), day, dayNames)
		}
		from, fromOK := s.clock(path+".from", w.From, 24*60-1)
		to, toOK := s.clock(path+".to", w.To, 24*60)
		if fromOK && toOK && from == to {
			s.fault(path+".to", "is the beginning too", "another time; 00:00 to 24:00 is the whole day")
		}
		if _, err := zone(w.TimeZone); err != nil {
			s.fault(path+".timeZone", "unknown time zone "+quoteShort(w.TimeZone), "an IANA name such as UTC or Asia/Shanghai")
		}
	}
}

var clockForm = regexp.MustCompile(`^([01][0-9]|2[0-4]):([0-5][0-9])$`)

// clock reads HH:MM as minutes since midnight, up to most.
func (s *source) clock(path, text string, most int) (int, bool) {
	allowed := fmt.Sprintf("HH:MM up to %02d:%02d", most/60, most%60)
	parts := clockForm.FindStringSubmatch(text)
	switch {
	case text == "":
		s.fault(path, "is required", allowed)
		return 0, false
	case parts == nil:
		s.fault(path, quoteShort(text)+" is not a time of day", allowed)
		return 0, false
	}
	minutes := minutesOf(text)
	if minutes > most {
		s.fault(path, quoteShort(text)+" is out of range", allowed)
		return 0, false
	}
	return minutes, true
}

// minutesOf reads a time of day that was checked.
func minutesOf(text string) int {
	var h, m int
	_, _ = fmt.Sscanf(text, "%d:%d", &h, &m)
	return h*60 + m
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
	for _, side := range []struct {
		name                   string
		nominal, borrow, lends *v1alpha1.Capacity
	}{
		{"onPrem", spec.Nominal.OnPrem, spec.BorrowingLimit.OnPrem, spec.LendingLimit.OnPrem},
		{"cloud", spec.Nominal.Cloud, spec.BorrowingLimit.Cloud, spec.LendingLimit.Cloud},
	} {
		checkCapacity(e.source, "spec.borrowingLimit."+side.name, side.borrow, 0)
		checkCapacity(e.source, "spec.lendingLimit."+side.name, side.lends, 0)
		e.withNominal("spec.borrowingLimit."+side.name, side.borrow, side.nominal)
		e.withNominal("spec.lendingLimit."+side.name, side.lends, side.nominal)
		e.withinNominal("spec.lendingLimit."+side.name, side.lends, side.nominal)
	}
	if spec.Parent == "" && spec.BorrowingLimit != (v1alpha1.Nominal{}) {
		e.fault("spec.borrowingLimit", "a root has nobody to borrow from", "only with spec.parent")
	}
	checkBudgets(e.source, "spec.budgets", spec.Budgets)
}

// dimensions are what a Capacity has, by the names that people write.
func dimensions(c *v1alpha1.Capacity) map[string]*int64 {
	if c == nil {
		return nil
	}
	return map[string]*int64{"slots": c.Slots, "cpu": (*int64)(c.CPU), "memory": (*int64)(c.Memory)}
}

// withNominal refuses dimensions that the nominal does not limit.
func (s *source) withNominal(path string, c, nominal *v1alpha1.Capacity) {
	limited := dimensions(nominal)
	for _, name := range sortedKeys(dimensions(c)) {
		if dimensions(c)[name] != nil && limited[name] == nil {
			s.fault(path+"."+name, "means nothing where nominal does not limit it", strings.Replace(path, path[5:strings.LastIndex(path, ".")], "nominal", 1)+"."+name+" too")
		}
	}
}

// withinNominal refuses dimensions above the nominal.
func (s *source) withinNominal(path string, c, nominal *v1alpha1.Capacity) {
	limited := dimensions(nominal)
	for _, name := range sortedKeys(dimensions(c)) {
		if n := dimensions(c)[name]; n != nil && limited[name] != nil && *n > *limited[name] {
			s.fault(path+"."+name, "is more than nominal", "at most nominal")
		}
	}
}

func checkBudgets(s *source, at string, budgets []v1alpha1.Budget) {
	if n := len(budgets); n > 3 {
		s.fault(at, fmt.Sprintf("has %d entries", n), "at most one each for hour, day and month")
		return
	}
	seen := map[string]int{}
	for i, b := range budgets {
		path := index(at, i)
		s.oneOf(path+".window", b.Window, []string{"hour", "day", "month"})
		if first, ok := seen[b.Window]; ok {
			s.fault(path+".window", fmt.Sprintf("%s is already for each %s", index(at, first), b.Window), "one budget for each window")
		}
		seen[b.Window] = i
		if b.Amount == nil {
			s.fault(path+".amount", "is required", v1alpha1.Amount(0).Syntax())
		}
		s.currency(path+".currency", b.Currency)
		s.oneOf(path+".atLimit", b.AtLimit, []string{"reject", "redirect"})
		if _, err := zone(b.TimeZone); err != nil {
			s.fault(path+".timeZone", "unknown time zone "+quoteShort(b.TimeZone), "an IANA name such as UTC or Asia/Shanghai")
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
