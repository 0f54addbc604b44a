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

// What follows the drain may take, one after the other. A cluster kills a pod that is not
// gone terminationGracePeriodSeconds after it was told to go.
const (
	answerWithin = 5 * time.Second  // answers of calls that are ended
	closeWithin  = 20 * time.Second // all that is closed, but for
	flushWithin  = 10 * time.Second // the ledger
	afterDrain   = answerWithin + closeWithin + flushWithin + releaseWithin + doorWithin
)

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
	if loaded, err = withDeployed(ctx, from, loaded); err != nil {
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
	from.serves() // nobody asks before it does
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
	failed := make(chan error, 5)
	var serving sync.WaitGroup
	start := func(name string, serve func() error) {
		serving.Go(func() {
			if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && (!a.leaving.Load() || !errors.Is(err, net.ErrClosed)) {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	background := a.background
	defer a.stop()
	start("front door", func() error { return a.front.Serve(a.bounded(front)) })
	start("admin port", func() error { return a.admin.Serve(process.WithoutFunctions(admin)) })
	serving.Go(func() {
		if err := a.policy.Watch(background); err != nil {
			log.Warn("changes of the policy are not seen until a restart", "error", err)
		}
	})
	if a.nodes != nil {
		start("nodes' port", func() error { return a.nodes.Serve(a.nodesAt) })
	}
	serving.Go(func() { a.follow(background) })
	for _, work := range a.besides {
		serving.Go(func() { work(background) })
	}
	serving.Go(func() { a.alerts.run(background, a.server.View, a.live.server) })
	serving.Go(func() { a.yield(background, failed) })
	var err error
	select {
	case <-ctx.Done():
		log.Info("draining", "timeout", a.loaded.Server.DrainTimeout.String())
	case err = <-failed:
		log.Error("stopping", "error", err)
	}
	err = errors.Join(err, a.drain())
	a.stop()
	err = errors.Join(err, a.admin.Close())
	if a.nodes != nil {
		err = errors.Join(err, a.nodes.Close())
	}
	serving.Wait()
	a.live.mu.Lock() // a reload that was asked for over the admin port ends first
	a.live.closed = true
	a.live.mu.Unlock()
	err = errors.Join(err, a.close())
	select {
	case late := <-failed: // while it drained
		err = errors.Join(err, late)
	default:
	}
	if err == nil {
		log.Info("stopped; every call was answered and is in the ledger")
	}
	return err
}

// yield waits until another server has taken over, also while this one drains: what this
// one does beside its calls is the other's from then on, and it takes no new ones.
func (a *app) yield(ctx context.Context, failed chan<- error) {
	select {
	case err := <-a.lost:
		a.stop()
		a.server.Refuse() // also on connections that are open
		failed <- err
	case <-ctx.Done():
	}
}

// untilStop ends with ctx, and besides when what runs beside the calls is to end. A change
// of what is served outlives the request that asked for it, and not the server.
func (a *app) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stopped := context.AfterFunc(a.background, cancel)
	return ctx, func() { stopped(); cancel() }
}

// drain lets calls in flight end. The door is shut first: who comes later is refused a
// connection, which is no answer and may be tried again at the next server, and who is in
// is served. The admin port says "not ready" meanwhile. Calls that take longer are ended
// while their callers can still be told: who is told nothing tries again.
func (a *app) drain() error {
	a.leaving.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), a.loaded.Server.DrainTimeout)
	defer cancel()
	shut := a.door.Leave(ctx)
	late := a.front.Shutdown(ctx)
	calls, _ := a.server.InFlight()
	if late != nil {
		a.server.Abandon()
	}
	answering, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	err := a.server.Drain(answering)
	if err = errors.Join(shut, err); late == nil {
		return err
	}
	switch unheard := a.front.Shutdown(answering); {
	case calls > 0:
		err = errors.Join(fmt.Errorf("drain: %d calls did not end within %s; they were ended and are billed for what they ran", calls, a.loaded.Server.DrainTimeout), err)
	case unheard != nil:
		err = errors.Join(fmt.Errorf("drain: requests or answers that their clients do not send or take: %w", late), err)
	}
	return errors.Join(err, a.front.Close())
}

// ready reports why the server should not be sent calls, or nil.
func (a *app) ready() error {
	switch {
	case !a.begun.Load():
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

// closing bounds one step of close; all of them have the same end.
func (a *app) closing() (context.Context, context.CancelFunc) {
	by := a.closeBy
	if by.IsZero() {
		by = time.Now().Add(closeWithin)
	}
	return context.WithDeadline(context.Background(), by)
}

// close ends what wire and publish made, in reverse order.
func (a *app) close() error {
	a.closeBy = time.Now().Add(closeWithin)
	var all []error
	for len(a.closers) > 0 {
		last := len(a.closers) - 1
		all = append(all, a.closers[last]())
		a.closers = a.closers[:last]
	}
	return errors.Join(all...)
}
