package cloud

import (
	"slices"
	"sync"
	"time"
)

// latest is the version that exists without being published.
const latest = "$LATEST"

// function is a Function with what the account holds of it; the fleet's mutex guards the rest.
type function struct {
	Function
	reserved *int // Reserved is what it was at the start
	share    *share
	ramp     *meter // its own on Lambda, the account's on SCF
	weight   int    // of a call in its share

	idle      map[string][]*environment // by version; the last used is last
	inFlight  int
	peak      int
	coldStart int
	throttles map[string]int // by reason
}

// environment is one execution environment: it runs one call at a time.
type environment struct {
	runner  runner
	version string
	since   time.Time // idle since
}

// fleet is the account: its environments and its limits.
type fleet struct {
	mu        sync.Mutex
	functions map[string]*function
	shared    *share
	inFlight  int
	peak      int
	idleFor   time.Duration
	newShare  func(limit int) *share // of a reservation
	least     int                    // that reservations leave of shared
}

func newFleet(c Config) *fleet {
	f := &fleet{functions: map[string]*function{}, idleFor: c.IdleTimeout, least: lambdaUnreserved}
	free := c.Concurrency
	f.newShare = func(n int) *share {
		return &share{limit: n, reasons: lambdaReserved, requests: newMeter(n*rateFactor, time.Second)}
	}
	ramp := func() *meter { return newMeter(c.RampPer10s, 10*time.Second) }
	if c.Provider == SCF {
		free = c.MemoryQuota
		f.least = scfUnreserved
		f.newShare = func(n int) *share { return &share{limit: n, reasons: scfReasons} }
		account := newMeter(c.RampPerMinute, time.Minute)
		ramp = func() *meter { return account }
	}
	for _, spec := range c.Functions {
		fn := &function{Function: spec, reserved: spec.Reserved, ramp: ramp(), weight: 1, idle: map[string][]*environment{}, throttles: map[string]int{}}
		if c.Provider == SCF {
			fn.weight = spec.MiB
		}
		if spec.Reserved != nil {
			fn.share = f.newShare(*spec.Reserved)
			free -= *spec.Reserved
		}
		f.functions[spec.Name] = fn
	}
	f.shared = &share{limit: free, reasons: scfReasons}
	if c.Provider != SCF {
		f.shared.reasons, f.shared.requests = lambdaShared, newMeter(c.Concurrency*rateFactor, time.Second)
	}
	for _, fn := range f.functions {
		if fn.share == nil {
			fn.share = f.shared
		}
	}
	return f
}

// acquire admits a call: with an idle environment, or with nil when one has to be
// started, or with the reason why not. What is admitted must be released.
func (f *fleet) acquire(now time.Time, fn *function, version string) (e *environment, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	idle := fn.idle[version]
	ramp := fn.ramp
	if len(idle) > 0 {
		ramp = nil
	}
	if reason := fn.share.admit(now, ramp, fn.weight); reason != "" {
		fn.throttles[reason]++
		return nil, reason
	}
	fn.inFlight++
	fn.peak = max(fn.peak, fn.inFlight)
	f.inFlight++
	f.peak = max(f.peak, f.inFlight)
	if len(idle) == 0 {
		fn.coldStart++
		return nil, ""
	}
	e = idle[len(idle)-1]
	fn.idle[version] = idle[:len(idle)-1]
	return e, ""
}

// replace counts the start of an environment in place of one that had died while idle.
func (f *fleet) replace(fn *function) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn.coldStart++
}

// release ends a call; e is kept for the next one unless it is nil.
func (f *fleet) release(now time.Time, fn *function, e *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn.share.inFlight -= fn.weight
	fn.inFlight--
	f.inFlight--
	if e != nil {
		e.since = now
		fn.idle[e.version] = append(fn.idle[e.version], e)
	}
}

// expired takes out the environments that were idle for too long; all if now is zero.
func (f *fleet) expired(now time.Time) []*environment {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*environment
	for _, fn := range f.functions {
		for version, idle := range fn.idle {
			fn.idle[version] = slices.DeleteFunc(idle, func(e *environment) bool {
				old := now.IsZero() || !now.Before(e.since.Add(f.idleFor))
				if old {
					out = append(out, e)
				}
				return old
			})
		}
	}
	return out
}

func (f *fleet) environments(fn *function) int {
	n := fn.inFlight
	for _, idle := range fn.idle {
		n += len(idle)
	}
	return n
}
