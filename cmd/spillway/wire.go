package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/config/requested"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/httpapi"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/policy/rego"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/pools/process"
	"github.com/spillway-dev/spillway/pools/scf"
)

// app is one server, wired and not yet listening.
type app struct {
	from     origin
	loaded   *config.Loaded // at the start
	live     liveConfig
	deployed *deployed.Store
	alerts   *alarm
	log      *slog.Logger
	metrics  *prometheus.Registry
	callers  liveCallers
	who      httpapi.Authenticator // the callers, and in a cluster those of its own
	link     *kubeLink             // of kubernetes pools
	policy   *rego.Source
	pools    map[int]pools.Pool
	onPrem   logReaders
	notes    [][2]string // of the banner, about pools
	ledger   *ledger.Ledger
	server   *server.Server
	door     *httpapi.Front
	front    *http.Server
	admin    *http.Server
	nodes    *http.Server // what virtual nodes of a cluster ask; nil: nothing
	nodesAt  net.Listener
	nodeAuth httpapi.NodeAuthenticator
	besides  []func(context.Context) // what runs beside the server
	lost     <-chan error            // why another serves now; nil: none can
	begun    atomic.Bool             // server is there
	leaving  atomic.Bool             // it drains
	// background ends when what runs beside the calls is to, by stop.
	background context.Context
	stop       context.CancelFunc

	requested  *requested.Store
	simulating sync.Mutex // one quota request at a time
	uploading  turns      // traces of quota requests
	exporting  turns      // usage

	closers []func() error
	closeBy time.Time // when all of them should have ended; zero until close
}

// wire builds everything that a configuration asks for, in the order in which the
// parts need each other. After an error nothing is left open.
// What flags override in loaded is as in the files in written. first prepares what is
// not as on one machine.
func wire(ctx context.Context, from origin, loaded *config.Loaded, written config.Server, log *slog.Logger, first ...func(*app) error) (*app, error) {
	a := &app{from: from, loaded: loaded, log: log, metrics: prometheus.NewRegistry(), pools: map[int]pools.Pool{}, deployed: deployedIn(loaded.Server.DataDir), requested: requestedIn(loaded.Server.DataDir)}
	a.background, a.stop = context.WithCancel(context.Background())
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	callers, err := authenticator(&loaded.Server) // before anything is made or started
	if err != nil {
		return nil, err
	}
	a.callers.Store(callers)
	a.who, a.link = &a.callers, newKubeLink(loaded.Server.DataDir, clusterAt(""))
	a.live.begin(loaded, written)
	a.live.register(a.metrics)
	a.alerts = newAlarm(a.metrics, log)
	for _, step := range first {
		if err := step(a); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	for _, step := range []func(context.Context) error{a.openLedger, a.openPools, a.openPolicy, a.startServer, a.buildPorts} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.close())
		}
	}
	return a, nil
}

// openPools makes every pool; on-prem ones keep their files in a directory each.
func (a *app) openPools(ctx context.Context) error {
	for i, p := range a.loaded.Platform.Pools {
		pool, err := a.openPool(ctx, p)
		if err != nil {
			return err
		}
		if pool != nil {
			a.pools[i] = pool
		}
	}
	return nil
}

// openPool makes one pool, which is closed with the app.
func (a *app) openPool(ctx context.Context, p *spillway.Pool) (pools.Pool, error) {
	switch p.Kind {
	case spillway.PoolProcess:
		return a.openProcess(p)
	case spillway.PoolKubernetes:
		return a.link.open(ctx, a, p)
	case spillway.PoolOffline:
		a.note("pool "+p.Name, "what the virtual node %s says it has", p.Node)
		if p.Kubernetes.RuntimeImage == "" {
			return nil, nil // it is the node that runs pods
		}
		return a.link.openOffline(ctx, a, p)
	case spillway.PoolLambda:
		at := "AWS Lambda, region " + p.Region
		if p.Lambda.Endpoint != "" {
			at = "AWS Lambda at " + p.Lambda.Endpoint
		}
		return a.openCloud(ctx, p, at, func(ctx context.Context) (cloudPool, error) { return lambda.New(ctx, p) }), nil
	case spillway.PoolSCF:
		at := "Tencent SCF, region " + p.Region
		if p.SCF.Endpoint != "" {
			at = "Tencent SCF at " + p.SCF.Endpoint
		}
		return a.openCloud(ctx, p, at, func(ctx context.Context) (cloudPool, error) { return scf.New(ctx, p) }), nil
	}
	return nil, fmt.Errorf("pool %s: nothing runs kind %s", p.Name, p.Kind)
}

func (a *app) openProcess(p *spillway.Pool) (pools.Pool, error) {
	pool, err := process.Open(process.Config{
		Dir: filepath.Join(a.loaded.Server.DataDir, "pools", p.Name), Region: p.Region, InitTimeout: p.InitTimeout,
	})
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	a.note("pool "+p.Name, "%s; memory limit: %s; %s", p.Capacity, pool.MemoryLimit(), pool.Isolation())
	forget := a.onPrem.add(pool)
	a.onClose(func() error {
		forget()
		ctx, cancel := a.closing()
		defer cancel()
		return pool.Close(ctx)
	})
	return pool, nil
}

// openCloud tries to reach the cloud and goes on without it if it must.
func (a *app) openCloud(ctx context.Context, p *spillway.Pool, at string, open func(context.Context) (cloudPool, error)) pools.Pool {
	pool := &latePool{log: a.log, open: open}
	a.onClose(func() error { pool.Close(); return nil })
	a.note("pool "+p.Name, "%s; at most %s", at, atMost(p.Limits))
	if pool.firstErr = pool.tryOpen(ctx); pool.firstErr != nil {
		err := pool.firstErr
		a.note("WARNING", "%v; no call goes there until that works, which is tried again every %s", err, reopenAfter)
	}
	return pool
}

// atMost says how much may run at once.
func atMost(l spillway.CloudLimits) string {
	switch {
	case l.Concurrency > 0:
		return fmt.Sprintf("%d at once", l.Concurrency)
	case l.MemoryMiB > 0:
		return fmt.Sprintf("%d MiB at once", l.MemoryMiB)
	}
	return "what the account allows"
}

func (a *app) note(name, format string, args ...any) {
	a.notes = append(a.notes, [2]string{name, fmt.Sprintf(format, args...)})
}

// openPolicy loads the Rego, which is reloaded when it changes.
func (a *app) openPolicy(context.Context) (err error) {
	a.policy, err = rego.Open(a.loaded.PolicyDir, a.loaded.Platform, func(revision string, err error) {
		if err != nil {
			a.log.Error("policy refused, the last good one stays", "revision", revision, "error", err)
			return
		}
		a.log.Info("policy replaced", "revision", revision)
	})
	if err != nil {
		return err
	}
	count := func(name, help string, value func(rego.Stats) int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value(a.policy.Stats())) })
	}
	a.metrics.MustRegister(
		count("spillway_policy_evaluations_total", "Verdicts that were not in the cache.", func(s rego.Stats) int64 { return s.Evaluations }),
		count("spillway_policy_failures_total", "Verdicts that permit nothing because the policy failed.", func(s rego.Stats) int64 { return s.Failures }),
		count("spillway_policy_reloads_total", "Policies that replaced another while running.", func(s rego.Stats) int64 { return s.Reloads }),
		count("spillway_policy_rejected_total", "Changed policies that were refused.", func(s rego.Stats) int64 { return s.Rejected }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "spillway_policy_cached_verdicts", Help: "Verdicts in the cache."},
			func() float64 { return float64(a.policy.Stats().Cached) }),
	)
	return nil
}

// startServer builds the Engine, gives it back what the ledger knows, and starts
// driving it.
func (a *app) startServer(ctx context.Context) error {
	engine := dispatcher.New(a.loaded.Platform)
	c := server.Config{
		Engine: engine, Pools: a.pools, Policy: a.policy, Ledger: archive{a.ledger},
		Logger: a.log, Metrics: server.NewMetrics(a.metrics),
	}
	if err := a.restore(ctx, engine, &c); err != nil {
		return err
	}
	a.server = server.New(c)
	a.begun.Store(true)
	a.metrics.MustRegister(a.server.Collector())
	a.onClose(func() error {
		a.server.Close()
		ctx, cancel := a.closing()
		defer cancel()
		return a.server.Drain(ctx) // calls that a timed-out drain left are ending
	})
	return nil
}

// buildPorts makes the front door and the admin port.
func (a *app) buildPorts(context.Context) error {
	var err error
	a.door, err = httpapi.New(httpapi.Config{Server: a.server, Auth: a.who, Registerer: a.metrics, Logger: a.log})
	if err != nil {
		return err
	}
	a.front = a.door.Server()
	routes := a.deployRoutes()
	maps.Copy(routes, a.quotaRoutes())
	maps.Copy(routes, httpapi.OfflineRoutes(a.server, nil, a.log))
	if a.nodesAt != nil {
		a.nodes = httpapi.OfflineServer(a.server, a.nodeAuth, a.log)
	}
	a.admin = httpapi.AdminServer(httpapi.AdminConfig{
		Ready: a.ready, Metrics: a.metrics, Explain: a, Logger: a.log,
		Report: func(ctx context.Context, q httpapi.ReportQuery) (any, error) {
			return billOf(ctx, a.ledger, period{billing.By(q.By), q.From, q.To}, ownedOf(a.server.Platform()), time.Now())
		},
		Functions: func(context.Context) (any, error) { return functionList(a.server.Platform()), nil },
		Config:    func(context.Context) (any, error) { return a.live.status.Load(), nil },
		Reload:    a.reloadNow,
		Quota:     func(context.Context) (any, error) { return a.server.View(), nil },
		Routes:    routes,
	})
	return nil
}

// bounded limits the connections of the front door. Without credentials, being on
// this machine is what admits a caller, and functions are on it too.
func (a *app) bounded(l net.Listener) net.Listener {
	if a.loaded.Server.Anonymous {
		l = process.WithoutFunctions(l)
	}
	return a.door.Listen(l)
}

const databaseFile = "ledger.db" // as package ledger names it

// makeDataDir makes the directory of the ledger. Others may pass through it, since
// functions that run as users of their own live below it, and read nothing.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o711); errors.Is(err, syscall.ENOTDIR) {
		return wrongInput("the data directory %s is not a directory; name another with --data", dir)
	} else if err != nil {
		return fmt.Errorf("make the data directory: %w; name another with --data", err)
	}
	// SQLite would make it readable by all, and its other files are as it is.
	db, err := os.OpenFile(filepath.Join(dir, databaseFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make the ledger private: %w; name another data directory with --data", err)
	}
	return errors.Join(db.Chmod(0o600), db.Close())
}
