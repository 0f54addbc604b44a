package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/pools"
)

// liveCallers are the credentials that hold now.
type liveCallers struct {
	atomic.Pointer[auth.Authenticator]
}

// Authenticate implements httpapi.Authenticator.
func (c *liveCallers) Authenticate(r *http.Request, body []byte, now time.Time) (auth.Identity, error) {
	return c.Load().Authenticate(r, body, now)
}

// Authorise implements httpapi.Authenticator.
func (c *liveCallers) Authorise(ctx context.Context, id auth.Identity, namespace, function string) (auth.Permission, error) {
	return c.Load().Authorise(ctx, id, namespace, function)
}

// Precheck implements httpapi.Authenticator.
func (c *liveCallers) Precheck(r *http.Request) error { return c.Load().Precheck(r) }

// liveConfig is what was last loaded, and what came of the latest try.
type liveConfig struct {
	mu     sync.Mutex // one reload at a time, none while closing
	closed bool
	loaded *config.Loaded

	reloads, rejected atomic.Int64
	status            atomic.Pointer[reloaded]
	approved          atomic.Pointer[[]config.QuotaOverlay] // limits that hold in place of those of loaded

	ends   chan struct{} // another end of what holds than the one that is waited for
	looked chan struct{} // another outcome of a load
}

// rearm makes follow look again at when what was loaded ends.
func (l *liveConfig) rearm() {
	select {
	case l.ends <- struct{}{}:
	default:
	}
}

// reloaded is what came of loading the configuration, as the admin port says it.
type reloaded struct {
	At         time.Time `json:"at"`
	Generation int64     `json:"generation"` // that serves now
	Revision   string    `json:"revision"`   // of the configuration that serves now
	Changed    bool      `json:"changed"`    // by this load
	Error      string    `json:"error,omitempty"`
	Warnings   []string  `json:"warnings,omitempty"`
	// Faults of functions of a cluster, which serve as they were before, or not at all.
	Faults []string `json:"functionFaults,omitempty"`

	forAll string // what the owners of all functions may know of Error
}

// refused says why a load was.
func (r *reloaded) refused(why error) {
	r.Error, r.forAll = why.Error(), why.Error()
	if faults, ok := errors.AsType[config.Faults](why); ok {
		r.forAll = cluster.ForAll(faults)
	}
}

// maxFaultLines is how many faults of functions are told; conditions have all.
const maxFaultLines = 100

func faultLines(faults config.Faults) []string {
	var all []string
	for i, f := range faults {
		if i == maxFaultLines {
			return append(all, fmt.Sprintf("and %d more faults", len(faults)-i))
		}
		all = append(all, f.String())
	}
	return all
}

// begin takes the configuration of the start, without what flags override.
func (l *liveConfig) begin(loaded *config.Loaded, written config.Server) {
	first := *loaded
	first.Server = written
	l.loaded, l.ends, l.looked = &first, make(chan struct{}, 1), make(chan struct{}, 1)
	l.approved.Store(new(loaded.Overlaid()))
	l.status.Store(&reloaded{At: time.Now().UTC(), Generation: loaded.Platform.Generation, Revision: loaded.Platform.Revision, Warnings: loaded.Warnings, Faults: faultLines(loaded.FunctionFaults)})
}

// beganWith says that the start found faults, so that what was good before serves.
func (l *liveConfig) beganWith(faults config.Faults) {
	if len(faults) == 0 {
		return
	}
	said := *l.status.Load()
	said.refused(faults)
	l.rejected.Add(1)
	l.status.Store(&said)
}

// server is the program's own configuration, as it was last loaded, and the
// currency that everything is counted in.
func (l *liveConfig) server() (config.Server, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.loaded.Server, l.loaded.Platform.Currency
}

func (l *liveConfig) register(r prometheus.Registerer) {
	r.MustRegister(
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "spillway_config_reloads_total", Help: "Configurations that replaced another while serving."},
			func() float64 { return float64(l.reloads.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "spillway_config_rejected_total", Help: "Changed configurations that were refused."},
			func() float64 { return float64(l.rejected.Load()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "spillway_config_generation", Help: "Generation of the configuration that serves."},
			func() float64 { return float64(l.status.Load().Generation) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "spillway_config_last_load_successful", Help: "1 if the latest load of the configuration was good, else 0."},
			func() float64 {
				if l.status.Load().Error == "" {
					return 1
				}
				return 0
			}),
	)
}

// reloadNow loads the configuration again and puts it in the place of the one that
// serves. A configuration with faults changes nothing.
func (a *app) reloadNow(ctx context.Context) (any, error) {
	ctx, done := a.untilStop(ctx)
	defer done()
	l := &a.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return l.status.Load(), errEnding
	}
	defer l.rearm()
	saveMemory() // as at the start: what is read leaves much garbage
	defer spendMemory()
	with, err := additionsOf(a.deployed, a.requested)
	if err != nil {
		return l.status.Load(), err
	}
	said, err := a.loadAndServe(ctx, with, func() error { return nil })
	if err != nil {
		l.rejected.Add(1)
		said.refused(err)
		a.log.Error("configuration refused, the last good one stays", "generation", said.Generation, "error", err)
	}
	l.status.Store(said)
	select {
	case l.looked <- struct{}{}:
	default:
	}
	return said, err
}

var errEnding = errors.New("the server is ending")

// loadAndServe reads the configuration directory and what is kept besides, and serves
// them unless they are as before. keep is the last that may fail, and is called once
// the configuration is found good. The caller holds live.mu.
func (a *app) loadAndServe(ctx context.Context, with additions, keep func() error) (*reloaded, error) {
	l := &a.live
	before := l.loaded.Platform
	said := &reloaded{At: time.Now().UTC(), Generation: before.Generation, Revision: before.Revision, Faults: l.status.Load().Faults}
	next, err := loadFrom(a.from, before, with)
	if err == nil && !due(l.loaded.PricesUntil) {
		err = pushedOut(l.loaded, next)
	}
	if err != nil {
		return said, err
	}
	said.Faults = faultLines(next.FunctionFaults)
	if next.Platform.Revision == before.Revision && reflect.DeepEqual(next.Server, l.loaded.Server) && maps.Equal(next.Conflicts, l.loaded.Conflicts) &&
		next.PricesUntil.Equal(l.loaded.PricesUntil) && !due(l.loaded.PricesUntil) {
		if said.Warnings = next.Warnings; l.status.Load().Error == "" {
			said.Warnings = l.status.Load().Warnings // with those of the reload that brought it
		}
		if err := a.readCallers(next); err != nil { // secrets are not part of a revision
			return said, err
		}
		if err := keep(); err != nil {
			return said, err
		}
		a.from.serves()
		return said, nil
	}
	if err := a.replace(ctx, next, said, keep); err != nil {
		return said, err
	}
	a.from.serves()
	l.reloads.Add(1)
	l.loaded, said.Changed = next, true
	l.approved.Store(new(next.Overlaid()))
	said.Generation, said.Revision, said.Warnings = next.Platform.Generation, next.Platform.Revision, append(said.Warnings, next.Warnings...)
	a.log.Info("configuration replaced", "generation", said.Generation, "functions", len(next.Platform.Functions), "warnings", said.Warnings)
	return said, nil
}

// pushedOut refuses a change that approved quota requests do not fit. Where something
// has ended of itself, nobody can be refused: the rest holds then.
func pushedOut(before, next *config.Loaded) error {
	for _, name := range slices.Sorted(maps.Keys(next.Misfits)) {
		if before.Misfits[name] == nil {
			return fmt.Errorf("%w\nthis is so with the limits of %s only; 'spillway quota revoke' takes an approval back", next.Misfits[name], name)
		}
	}
	return nil
}

// readCallers reads the secrets of callers again.
func (a *app) readCallers(next *config.Loaded) error {
	callers, err := authenticator(&next.Server)
	if err == nil {
		a.callers.Store(callers)
	}
	return err
}

func due(at time.Time) bool { return !at.IsZero() && !time.Now().Before(at) }

// spentWithin bounds how long all changes wait for the ledger.
const spentWithin = time.Minute

// replace puts a configuration in place, or returns an error and leaves everything
// as it was.
func (a *app) replace(ctx context.Context, next *config.Loaded, said *reloaded, keep func() error) error {
	before := a.live.loaded
	callers, err := authenticator(&next.Server)
	if err != nil {
		return err
	}
	opened := len(a.closers)
	changed, err := a.changedPools(ctx, before.Platform, next.Platform)
	if err != nil {
		return errors.Join(err, a.closeFrom(opened))
	}
	asking, cancel := context.WithTimeout(ctx, spentWithin)
	defer cancel()
	spent, err := a.spent(asking, next.Platform, dispatcher.NewBudgets(before.Platform, next.Platform))
	if err != nil {
		return errors.Join(fmt.Errorf("sum what new budgets have spent: %w", err), a.closeFrom(opened))
	}
	if err := a.policy.Swap(next.Platform); err != nil {
		return errors.Join(err, a.closeFrom(opened))
	}
	if err := keep(); err != nil {
		return errors.Join(err, a.policy.Swap(before.Platform), a.closeFrom(opened))
	}
	said.Warnings = fixedChanges(before, next)
	a.callers.Store(callers)
	a.server.Reload(next.Platform, changed, spent)
	if err := writeOwned(a.loaded.Server.DataDir, ownedOf(next.Platform)); err != nil {
		said.Warnings = append(said.Warnings, "reports without a server show the earlier cost of owned pools: "+err.Error())
	}
	return nil
}

// changedPools opens the pools that are new, those that run functions from now on, and
// those of clouds that are reached in another way now. The old connection is used up by the calls that have it.
func (a *app) changedPools(ctx context.Context, before, next *spillway.Platform) (map[int]pools.Pool, error) {
	changed := map[int]pools.Pool{}
	for i, p := range next.Pools {
		if p.Retired {
			continue
		}
		if i < len(before.Pools) {
			old := before.Pools[i]
			begins := p.Kind == spillway.PoolOffline && old.Kubernetes.RuntimeImage == "" && p.Kubernetes.RuntimeImage != ""
			moved := old.Kind.Cloud() && (old.Lambda != p.Lambda || old.SCF != p.SCF || old.InitTimeout != p.InitTimeout)
			if !begins && !moved {
				continue
			}
		}
		pool, err := a.openPool(ctx, p)
		if err != nil {
			return nil, err
		}
		if late, ok := pool.(*latePool); ok && late.firstErr != nil {
			return nil, fmt.Errorf("pool %s cannot be used: %w", p.Name, late.firstErr)
		}
		if pool != nil {
			changed[i] = pool
		}
	}
	return changed, nil
}

// fixedChanges names what differs and holds only from the next start on.
func fixedChanges(before, next *config.Loaded) []string {
	differs := map[string]bool{
		"listen":               before.Server.Listen != next.Server.Listen,
		"admin":                before.Server.Admin != next.Server.Admin,
		"dataDir":              before.Server.DataDir != next.Server.DataDir,
		"drainTimeout":         before.Server.DrainTimeout != next.Server.DrainTimeout,
		"anonymous":            before.Server.Anonymous != next.Server.Anonymous,
		"the policy directory": (before.PolicyDir == "") != (next.PolicyDir == ""),
		"region and initTimeout of an existing process pool":             false,
		"kubernetes, region and initTimeout of an existing pool of pods": false,
	}
	for i, p := range before.Platform.Pools {
		n := next.Platform.Pools[i]
		if p.Kubernetes.RuntimeImage != "" && !n.Retired && (p.Region != n.Region || p.InitTimeout != n.InitTimeout || !reflect.DeepEqual(p.Kubernetes, n.Kubernetes)) {
			differs["kubernetes, region and initTimeout of an existing pool of pods"] = true
			continue
		}
		if p.Kind == spillway.PoolProcess && !n.Retired && (p.Region != n.Region || p.InitTimeout != n.InitTimeout) {
			differs["region and initTimeout of an existing process pool"] = true
		}
	}
	var all []string
	for _, what := range slices.Sorted(maps.Keys(differs)) {
		if differs[what] {
			all = append(all, "a change of "+what+" holds from the next start on")
		}
	}
	return all
}

// closeFrom closes what was opened since there were n closers.
func (a *app) closeFrom(n int) error {
	var all []error
	for len(a.closers) > n {
		last := len(a.closers) - 1
		all = append(all, a.closers[last]())
		a.closers = a.closers[:last]
	}
	return errors.Join(all...)
}

// follow reloads the configuration when its directory changes, on SIGHUP, and when
// its prices end, until ctx does.
func (a *app) follow(ctx context.Context) {
	changes := make(chan struct{}, 1)
	hangUp := notifyHangUp()
	defer hangUp.stop()
	if err := a.from.watch(ctx, changes); err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.log.Warn("changes of the configuration are not seen by themselves; use 'spillway reload'", "error", err)
	}
	for {
		a.live.mu.Lock()
		until := a.live.loaded.PricesUntil
		a.live.mu.Unlock()
		var expired <-chan time.Time
		if !until.IsZero() {
			wait := time.Second
			if a.live.status.Load().Error != "" { // the next prices are not there yet
				wait = time.Minute
			}
			expired = time.After(max(time.Until(until), wait))
		}
		select {
		case <-ctx.Done():
			return
		case <-a.live.ends:
			continue
		case <-changes:
		case <-hangUp.c:
		case <-expired:
		}
		_, _ = a.reloadNow(ctx) // it logs and keeps what came of it
	}
}
