package scenario

import (
	"errors"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/policy/rego"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Options say what a trace is replayed on.
type Options struct {
	Dir string // configuration directory; empty: the default platform
	// Standard sizes the default platform.
	Standard Standard
	// Adopt is the Quota below which tenants come that the configuration does not
	// know. Empty: their calls are left out; the default platform adopts all.
	Adopt string
	// Longest is the longest execution of the trace, as trace.Inspect finds it: the
	// timeout of adopted functions of which no durations are known.
	Longest  time.Duration
	PricesAt time.Time // which prices hold
	Seed     uint64
	Warm     bool
	Step     time.Duration // of the time series; zero: an even part of the trace
	Models   Models
	// Deployed and Overlays are what a server keeps besides Dir, as config.Checks has it.
	Deployed []string
	Overlays []config.QuotaOverlay
	// Policy returns the faults of Rego, as config.Checks has it.
	Policy func(dir string, p *spillway.Platform) []config.Fault
}

// Scenario is a run that can be made, and what there is to say about it.
type Scenario struct {
	simulator.Config
	Warnings []string
	Adopted  int      // functions that come from the trace alone
	Unknown  int      // functions whose calls are left out
	Standard Standard // of the default platform
}

// Load compiles the configuration and maps the functions of the trace to it. Its
// mistakes are config.Faults.
func Load(t *trace.Trace, o Options) (*Scenario, error) {
	checks := config.Checks{Policy: o.Policy, WithoutCode: true, Machine: machine, Deployed: o.Deployed, QuotaOverlays: o.Overlays}
	if o.Dir == "" {
		if o.Standard.Nodes <= 0 || o.Standard.Concurrency <= 0 {
			return nil, errors.New("the default platform needs a size: StandardFor finds one")
		}
		checks.Given = o.Standard.objects()
		o.Adopt = company
	}
	base, err := config.Load(o.Dir, o.PricesAt, checks)
	if err != nil {
		return nil, err
	}
	s := &Scenario{Standard: o.Standard}
	keys := s.match(t, base.Platform, o.Adopt != "")
	if s.Adopted > 0 {
		given, err := adopt(t, o.Longest, base.Platform, keys, o.Adopt)
		if err != nil {
			return nil, err
		}
		checks.Given = append(checks.Given, given...)
		if base, err = config.Load(o.Dir, o.PricesAt, checks); err != nil {
			return nil, err
		}
	}
	return s, s.fill(t, o, base, keys)
}

// keyOf is what a function would be called on a platform. In a usage export the tenant
// is the department that pays, and namespaces are apps.
func keyOf(t *trace.Trace, f *trace.Function) spillway.FunctionKey {
	if t.Format() == trace.Usage {
		return spillway.FunctionKey{Namespace: f.App, Name: f.Name}
	}
	return spillway.FunctionKey{Namespace: f.Tenant, Name: f.Name}
}

// match names for every function of the trace the one of the configuration that it
// is or will be; the zero key leaves it out.
func (s *Scenario) match(t *trace.Trace, p *spillway.Platform, adopt bool) []spillway.FunctionKey {
	tenants, functions := newLabels(), newLabels()
	known := map[string]bool{}
	for _, n := range p.Namespaces {
		known[n.Name] = true
	}
	keys := make([]spillway.FunctionKey, len(t.Functions()))
	for i, f := range t.Functions() {
		key := keyOf(t, &f)
		namespace := key.Namespace
		switch {
		case p.Function(key) != nil:
			keys[i] = key
		case adopt && !known[namespace]:
			s.Adopted++
			keys[i] = spillway.FunctionKey{Namespace: tenants.label(namespace), Name: functions.label(namespace + "/" + f.App + "/" + f.Name + "/" + f.Trigger)}
		default:
			s.Unknown++
		}
	}
	return keys
}

func (s *Scenario) fill(t *trace.Trace, o Options, l *config.Loaded, keys []spillway.FunctionKey) error {
	p := l.Platform
	source, err := rego.OpenOffline(l.PolicyDir, p)
	if err != nil {
		return err
	}
	models, err := o.Models.forPools(p, t.Start(), t.Length())
	if err != nil {
		return err
	}
	s.Warnings = l.Warnings
	s.Config = simulator.Config{
		Platform: p, Policy: source, Calls: t, Functions: make([]int, len(keys)), Start: spillway.InstantOf(t.Start()),
		Length: t.Length(), Seed: o.Seed, Pools: models, Warm: o.Warm, Step: o.Step,
	}
	if s.Step == 0 {
		s.Step = stepOf(t.Length())
	}
	for i, key := range keys {
		s.Functions[i] = -1
		if f := p.Function(key); f != nil {
			s.Functions[i] = f.Index
		}
	}
	return nil
}

// stepOf divides a trace into at most 1,500 whole minutes, or seconds if it is short.
func stepOf(length time.Duration) time.Duration {
	unit := time.Minute
	if length < time.Hour {
		unit = time.Second
	}
	const most = 1500
	return max((length/most+unit-1)/unit, 1) * unit
}
