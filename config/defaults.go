package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

const (
	second = v1alpha1.Duration(time.Second)
	mib    = 1 << 20

	defaultPolicy    = "default"
	defaultOwnedPlan = "example-node"
	// minLambdaMemory is the least memory of a Lambda function.
	minLambdaMemory = v1alpha1.Bytes(128 * mib)
	// scfStep is the step of the memory of an SCF function from 128 MiB on.
	scfStep = v1alpha1.Bytes(128 * mib)
)

// scfLarge begin the names of the regions whose accounts have the larger memory quota.
var scfLarge = []string{"ap-beijing", "ap-chengdu", "ap-chongqing", "ap-guangzhou", "ap-hongkong", "ap-nanjing", "ap-shanghai"}

// fillDefaults gives every field that was not written its default, and adds the
// objects that there must be. Nothing else knows a default.
func (l *loading) fillDefaults() {
	l.addMissingObjects()
	for _, e := range l.all.pools {
		l.fillPool(e.object)
	}
	patient := l.patientPolicies()
	for _, e := range l.all.functions {
		l.fillFunction(e.object, patient)
	}
	for _, e := range l.all.policies {
		l.fillPolicy(e.object)
	}
	for _, e := range l.all.books {
		fillBook(e.object)
	}
	currency := l.currency()
	for _, e := range l.all.policies {
		fillSpend(e.object, currency)
	}
	for _, e := range l.all.quotas {
		fillQuota(e.object, currency)
	}
	for _, e := range l.all.servers {
		setDefault(&e.object.Spec.Auth.Anonymous, new(len(e.object.Spec.Auth.Keys)+len(e.object.Spec.Auth.Tokens) == 0 && !l.checks.InCluster))
		fillServer(e.object)
	}
}

// addMissingObjects makes the pool onprem if there is no pool, the burst policy
// default if none has that name, a price book and a server.
func (l *loading) addMissingObjects() {
	header := func(kind, name string) (*source, v1alpha1.Header) {
		s := &source{file: "(default " + kind + " " + name + ")", faults: (*[]Fault)(&l.faults), paths: l.paths}
		return s, v1alpha1.Header{APIVersion: v1alpha1.APIVersion, Kind: kind, Metadata: v1alpha1.Metadata{Name: name}}
	}
	if len(l.all.pools) == 0 && !l.broken && !l.checks.InCluster {
		s, h := header(v1alpha1.KindPool, "onprem")
		o := &v1alpha1.Pool{Header: h, Spec: v1alpha1.PoolSpec{Kind: "process"}}
		l.all.pools = append(l.all.pools, entry[v1alpha1.Pool]{s, &o.Header, o})
	}
	if !slices.ContainsFunc(l.all.policies, func(e entry[v1alpha1.BurstPolicy]) bool { return e.Metadata.Name == defaultPolicy }) {
		s, h := header(v1alpha1.KindBurstPolicy, defaultPolicy)
		o := &v1alpha1.BurstPolicy{Header: h}
		o.Spec.Mode, o.Spec.Order = "OnPremOnly", l.onPremNames()
		l.all.policies = append(l.all.policies, entry[v1alpha1.BurstPolicy]{s, &o.Header, o})
		byName(l.all.policies)
	}
	if len(l.all.books) == 0 {
		s, h := header(v1alpha1.KindPriceBook, "prices")
		o := &v1alpha1.PriceBook{Header: h}
		l.all.books = append(l.all.books, entry[v1alpha1.PriceBook]{s, &o.Header, o})
	}
	if len(l.all.servers) == 0 {
		s, h := header(v1alpha1.KindServer, "server")
		o := &v1alpha1.Server{Header: h}
		l.all.servers = append(l.all.servers, entry[v1alpha1.Server]{s, &o.Header, o})
	}
}

// patientPolicies are the policies that make functions of class offline of all.
func (l *loading) patientPolicies() map[string]bool {
	patient := map[string]bool{}
	for _, e := range l.all.policies {
		if e.object.Spec.Mode == "Offline" {
			patient[e.Metadata.Name] = true
		}
	}
	return patient
}

func (l *loading) fillFunction(f *v1alpha1.Function, patient map[string]bool) {
	s := &f.Spec
	for i := range s.Revisions {
		if s.Revisions[i].Image == "" {
			setDefault(&s.Revisions[i].Handler, "bootstrap")
		}
	}
	if len(s.Traffic) == 0 && len(s.Revisions) == 1 {
		s.Traffic = []v1alpha1.Traffic{{Revision: s.Revisions[0].Name, Weight: new(int64(100))}}
	}
	setDefault(&s.Contract, "lambda")
	setDefault(&s.Class, "online")
	setDefault(&s.Concurrency, new(int64(1)))
	setDefault(&s.Resources.CPU, new(v1alpha1.MilliCPU(100)))
	setDefault(&s.Resources.Memory, new(v1alpha1.Bytes(128*mib)))
	setDefault(&s.Timeout, new(3*second))
	timeout := min(max(*s.Timeout, 0), maxExecution) // a faulty one must not spoil what follows from it
	setDefault(&s.BurstPolicy, defaultPolicy)
	if s.Class == "offline" || patient[s.BurstPolicy] {
		setDefault(&s.Deadline, new(maxDeadline))
		setDefault(&s.MaxWait, new(max(0, min(*s.Deadline, maxDeadline)-timeout)))
	}
	setDefault(&s.Deadline, new(timeout+10*second))
	setDefault(&s.MaxWait, new(min(2*second, *s.Deadline)))
	setDefault(&s.MinWarm, new(int64(0)))
	setDefault(&s.Burst, "deny")
	setDefault(&s.Retry, "never")
	for i := range s.Cloud {
		b := &s.Cloud[i]
		setDefault(&b.Function, f.Metadata.Name)
		setDefault(&b.Qualifier, "$LATEST")
		kind := ""
		if pool := l.pool(b.Pool); pool != nil {
			kind = pool.Kind
		}
		setDefault(&b.Memory, new(CloudMemory(kind, *s.Resources.Memory)))
		setDefault(&b.Timeout, new(max(timeout+second-1, second)/second*second))
	}
}

// CloudMemory is what a function that asks for so much memory has by default in a cloud
// of a kind, lambda or scf: no less than is sold there, and what SCF counts in.
func CloudMemory(kind string, asked v1alpha1.Bytes) v1alpha1.Bytes {
	memory := max(minLambdaMemory, v1alpha1.Bytes(ceilMiB(asked)*mib))
	if kind == "scf" {
		memory = (memory + scfStep - 1) / scfStep * scfStep
	}
	return memory
}

func (l *loading) fillPool(p *v1alpha1.Pool) {
	s := &p.Spec
	switch s.Kind {
	case "scf":
		setDefault(&s.InitTimeout, new(65*second))
	case "kubernetes", "offline":
		setDefault(&s.InitTimeout, new(60*second))
	}
	setDefault(&s.InitTimeout, new(10*second))
	switch s.Kind {
	case "offline":
		setDefault(&s.Region, "local")
		setDefault(&s.PricePlan, defaultOwnedPlan)
		setDefault(&s.Offline, new(v1alpha1.Offline{}))
		setDefault(&s.Offline.Node, defaultNode)
		if s.Kubernetes != nil {
			setDefault(&s.KeepAlive, new(10*second))
			fillKubernetes(s)
		}
	case "process", "kubernetes":
		setDefault(&s.Region, "local")
		setDefault(&s.KeepAlive, new(120*second))
		fillKeepAlive(s.KeepAlivePolicy)
		setDefault(&s.PricePlan, defaultOwnedPlan)
		if s.Kind == "kubernetes" {
			fillKubernetes(s)
			return
		}
		setDefault(&s.Capacity, new(v1alpha1.Capacity{}))
		machine := l.machine()
		setDefault(&s.Capacity.Slots, new(machine.Slots))
		setDefault(&s.Capacity.CPU, new(v1alpha1.MilliCPU(machine.MilliCPU)))
		setDefault(&s.Capacity.Memory, new(v1alpha1.Bytes(machine.MiB*mib)))
	case "lambda":
		setDefault(&s.PricePlan, "lambda-x86-"+s.Region)
		setDefault(&s.Lambda, new(v1alpha1.Lambda{}))
		setDefault(&s.Lambda.Credentials, &v1alpha1.Credentials{Environment: true})
		setDefault(&s.Limits, new(v1alpha1.CloudLimits{}))
		setDefault(&s.Limits.Concurrency, new(int64(1000)))
		setDefault(&s.Limits.RampPer10s, new(int64(1000)))
		setDefault(&s.Limits.RequestsPerSecond, new(10*min(*s.Limits.Concurrency, maxCount)))
	case "scf":
		setDefault(&s.PricePlan, "scf-"+s.Region)
		setDefault(&s.SCF, new(v1alpha1.SCF{}))
		setDefault(&s.SCF.Namespace, "default")
		setDefault(&s.SCF.Credentials, &v1alpha1.Credentials{Environment: true})
		setDefault(&s.Limits, new(v1alpha1.CloudLimits{}))
		memory := v1alpha1.Bytes(64000 * mib)
		if slices.ContainsFunc(scfLarge, func(prefix string) bool { return strings.HasPrefix(s.Region, prefix) }) {
			memory *= 2
		}
		setDefault(&s.Limits.Memory, new(memory))
		setDefault(&s.Limits.RampPerMinute, new(int64(500)))
	}
}

func (l *loading) fillPolicy(p *v1alpha1.BurstPolicy) {
	setDefault(&p.Spec.Mode, "Hybrid")
	setDefault(&p.Spec.ReservedConcurrency, "Show")
	if len(p.Spec.Order) == 0 {
		p.Spec.Order = append(l.onPremNames(), l.cloudNames()...)
	}
	setDefault(&p.Spec.OnPremWaitBudget, new(v1alpha1.Duration(50*time.Millisecond)))
	if s := p.Spec.MaxBurstShare; s != nil {
		setDefault(&s.Of, "invocations")
		setDefault(&s.Window, new(3600*second))
		setDefault(&s.Minimum, new(int64(100)))
	}
	if h := p.Spec.Hysteresis; h != nil {
		setDefault(&h.OpenAfter, new(v1alpha1.Duration(0)))
		setDefault(&h.CloseAfter, new(v1alpha1.Duration(0)))
		setDefault(&h.CloseBelow, new(int64(100)))
	}
	for i := range p.Spec.Windows {
		w := &p.Spec.Windows[i]
		if len(w.Days) == 0 {
			w.Days = slices.Clone(dayNames)
		}
		setDefault(&w.TimeZone, "UTC")
	}
}

func fillSpend(p *v1alpha1.BurstPolicy, currency string) {
	for i := range p.Spec.MaxBurstSpend {
		b := &p.Spec.MaxBurstSpend[i]
		setDefault(&b.Currency, currency)
		setDefault(&b.TimeZone, "UTC")
	}
}

// cloudNames returns the names of all cloud pools, sorted.
func (l *loading) cloudNames() []string {
	names := append(l.poolNames("lambda"), l.poolNames("scf")...)
	slices.Sort(names)
	return names
}

func fillBook(b *v1alpha1.PriceBook) {
	setDefault(&b.Spec.Currency, "USD")
	for i := range b.Spec.Plans {
		setDefault(&b.Spec.Plans[i].Currency, b.Spec.Currency)
	}
}

// currency is what the platform counts in.
func (l *loading) currency() string { return l.all.books[0].object.Spec.Currency }

func fillQuota(q *v1alpha1.Quota, currency string) {
	for i := range q.Spec.Budgets {
		b := &q.Spec.Budgets[i]
		setDefault(&b.Currency, currency)
		setDefault(&b.TimeZone, "UTC")
		setDefault(&b.AtLimit, "reject")
	}
}

func fillServer(s *v1alpha1.Server) {
	setDefault(&s.Spec.Listen, "127.0.0.1:8080")
	setDefault(&s.Spec.Admin, "127.0.0.1:8081")
	setDefault(&s.Spec.DataDir, stateDir())
	setDefault(&s.Spec.DrainTimeout, new(30*second))
	if len(s.Spec.Alerts.Budgets) == 0 {
		s.Spec.Alerts.Budgets = []int64{50, 80, 100}
	}
}

// stateDir returns where data of this user belongs.
func stateDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "spillway")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "spillway")
	}
	return filepath.Join(os.TempDir(), "spillway")
}

// poolNames returns the names of the pools of a kind, sorted, without those that
// are no names.
func (l *loading) poolNames(kind string) []string {
	var names []string
	for _, e := range l.all.pools {
		if e.object.Spec.Kind == kind && labelForm.MatchString(e.Metadata.Name) {
			names = append(names, e.Metadata.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (l *loading) machine() spillway.Resources {
	if l.checks.Machine == (spillway.Resources{}) {
		l.checks.Machine = thisMachine()
	}
	return l.checks.Machine
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
