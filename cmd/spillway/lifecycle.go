package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools/process"
)

// closeWithin bounds what is done after the drain: stop pools, flush the ledger.
const closeWithin = 30 * time.Second

// addresses are where a server can be reached, as in DATA/server.json.
type addresses struct {
	Front string `json:"front"`
	Admin string `json:"admin"`
	PID   int    `json:"pid"`
}

// launch is the life of a server: load, open, serve, drain, close. first is wire's.
func launch(ctx context.Context, s streams, f *upFlags, from origin, first ...func(*app) error) error {
	hideMemory()
	saveMemory()
	loaded, err := loadFrom(from, nil, additions{})
	if err != nil {
		return err
	}
	written := loaded.Server
	if err := f.override(&loaded.Server); err != nil {
		return err
	}
	if loaded, err = withDeployed(from, loaded); err != nil {
		return err
	}
	log := f.logger(s.err)
	front, admin, err := listenBoth(loaded.Server.Listen, loaded.Server.Admin)
	if err != nil {
		return err
	}
	app, err := wire(ctx, from, loaded, written, log, first...)
	if err != nil {
		return errors.Join(err, front.Close(), admin.Close())
	}
	if err := app.requested.Sweep(); err != nil {
		log.Warn("files of quota requests that nothing uses stay", "error", err)
	}
	for i, w := range loaded.Warnings { // flags and port 0 change what they speak of
		loaded.Warnings[i] = strings.ReplaceAll(w, written.Listen, front.Addr().String())
	}
	at := addresses{"http://" + front.Addr().String(), "http://" + admin.Addr().String(), os.Getpid()}
	if err := app.publish(at); err != nil {
		return errors.Join(err, front.Close(), admin.Close(), app.close())
	}
	app.banner(s.err, at)
	spendMemory()
	return app.run(ctx, front, admin, log)
}

// hideMemory keeps other processes of the same user, such as functions where there
// is no root, from reading this one's memory and environment.
func hideMemory() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }

// run serves until ctx ends or a listener fails, and then drains.
func (a *app) run(ctx context.Context, front, admin net.Listener, log *slog.Logger) error {
	failed := make(chan error, 2)
	var serving sync.WaitGroup
	start := func(name string, serve func() error) {
		serving.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	background, stop := context.WithCancel(context.Background())
	defer stop()
	start("front door", func() error { return a.front.Serve(a.bounded(front)) })
	start("admin port", func() error { return a.admin.Serve(process.WithoutFunctions(admin)) })
	serving.Go(func() {
		if err := a.policy.Watch(background); err != nil {
			log.Warn("changes of the policy are not seen until a restart", "error", err)
		}
	})
	if a.health != nil {
		start("health port", func() error { return a.health.Serve(a.healthAt) })
	}
	serving.Go(func() { a.follow(background) })
	for _, work := range a.besides {
		serving.Go(func() { work(background) })
	}
	serving.Go(func() { a.alerts.run(background, a.server.View, a.live.server) })
	var err error
	select {
	case <-ctx.Done():
		log.Info("draining", "timeout", a.loaded.Server.DrainTimeout.String())
	case err = <-failed:
		log.Error("stopping", "error", err)
	}
	err = errors.Join(err, a.drain())
	stop()
	err = errors.Join(err, a.admin.Close())
	if a.health != nil {
		err = errors.Join(err, a.health.Close())
	}
	serving.Wait()
	a.live.mu.Lock() // a reload that was asked for over the admin port ends first
	a.live.closed = true
	a.live.mu.Unlock()
	err = errors.Join(err, a.close())
	if err == nil {
		log.Info("stopped; every call was answered and is in the ledger")
	}
	return err
}

// drain lets calls in flight end. The door is shut first: who comes later is refused a
// connection, which is no answer and may be tried again at the next server, and who is in
// is served. The admin port says "not ready" meanwhile.
func (a *app) drain() error {
	a.leaving.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), a.loaded.Server.DrainTimeout)
	defer cancel()
	late := a.front.Shutdown(ctx)
	if err := a.server.Drain(ctx); err != nil {
		err = fmt.Errorf("drain: %w; they are ended now and billed for what they ran", err)
		return errors.Join(err, a.front.Close())
	}
	if late != nil {
		return errors.Join(fmt.Errorf("drain: answers not taken by their clients: %w", late), a.front.Close())
	}
	return nil
}

// ready reports why the server should not be sent calls, or nil.
func (a *app) ready() error {
	switch {
	case a.server == nil:
		return errors.New("starting")
	case a.leaving.Load():
		return server.ErrDraining
	}
	return a.server.Ready()
}

// publish writes the addresses to the data directory, whole or not at all.
func (a *app) publish(at addresses) error {
	text, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("write the addresses: %w", err)
	}
	path := filepath.Join(a.loaded.Server.DataDir, stateFile)
	if err := replaceFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("write the addresses: %w", err)
	}
	a.onClose(func() error { return os.Remove(path) })
	return nil
}

// onClose adds a step of close; the last added is done first.
func (a *app) onClose(step func() error) { a.closers = append(a.closers, step) }

// close ends what wire and publish made, in reverse order.
func (a *app) close() error {
	var all []error
	for len(a.closers) > 0 {
		last := len(a.closers) - 1
		all = append(all, a.closers[last]())
		a.closers = a.closers[:last]
	}
	return errors.Join(all...)
}
