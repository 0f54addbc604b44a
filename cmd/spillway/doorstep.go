package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway/dispatcher/httpapi"
)

// doorstep is what probes and Prometheus read of a server in a cluster, from before it
// has anything until it has ended.
type doorstep struct {
	waits atomic.Pointer[string] // for what, before there is an app
	shown atomic.Pointer[http.Handler]
	at    net.Addr
	http  *http.Server
	log   *slog.Logger
	ended chan error
}

// doorWithin bounds closing it.
const doorWithin = time.Second

// openDoorstep listens at an address.
func openDoorstep(at string, log *slog.Logger) (*doorstep, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, wrongInput("--metrics: %w", err)
	}
	d := &doorstep{at: l.Addr(), log: log, ended: make(chan error, 1)}
	d.http = httpapi.HealthServer(d.ready, prometheus.NewRegistry(), log)
	starting := d.http.Handler
	d.shown.Store(&starting)
	d.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*d.shown.Load()).ServeHTTP(w, r) })
	go func() { d.ended <- d.http.Serve(l) }()
	return d, nil
}

// close lets answers that are under way end.
func (d *doorstep) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), doorWithin)
	defer cancel()
	if d.http.Shutdown(ctx) != nil {
		_ = d.http.Close() // of connections that are open still
	}
	if err := <-d.ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// show is of an app from now on.
func (d *doorstep) show(a *app) {
	d.shown.Store(&httpapi.HealthServer(a.ready, a.metrics, d.log).Handler)
}

func (d *doorstep) ready() error {
	if waits := d.waits.Load(); waits != nil {
		return errors.New(*waits)
	}
	return errors.New("starting")
}
