package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// errInterrupted ends a run that the user does not want any more.
var errInterrupted = errors.New("interrupted; all programs were stopped")

// settleWithin bounds the wait for estimates: provider timeout, INIT limit and
// margin of the demo's functions are 13 s together.
const settleWithin = 40 * time.Second

// perform runs the whole demo on a stage.
func perform(ctx context.Context, s *stage, live bool, people *os.File) (*summary, error) {
	began := time.Now()
	all := script()
	w, err := s.start(ctx, all[0].Live)
	if err != nil {
		return nil, stopped(ctx, err)
	}
	platform, err := s.platform()
	if err != nil {
		w.abandon()
		return nil, err
	}
	fmt.Fprintf(people, "front door %s, admin %s\nstand-in clouds: Lambda %s, SCF %s\n\n", w.front, w.admin, w.clouds[0].Endpoint, w.clouds[1].Endpoint)
	t := newTally(all, cloudPools(platform))
	p := newProgress(all, t)
	e := &evidence{platform: platform, script: all}
	err = w.show(ctx, live, people, p, func(ctx context.Context) error { return w.play(ctx, p, &e.moments) })
	if err != nil {
		fmt.Fprintln(people, "stopping all programs")
		w.abandon()
		return nil, stopped(ctx, err)
	}
	e.sent, e.answers = t.all()
	result := &summary{evidence: e, Phases: t.figures(all), dir: s.dir, programs: s.programs}
	result.Samples = w.samples(ctx, e.answers)
	if err := errors.Join(w.collect(ctx, e), s.collect(ctx, e)); err != nil {
		return nil, stopped(ctx, err)
	}
	if result.reportText, result.Report, err = s.report(ctx); err != nil {
		return nil, stopped(ctx, err)
	}
	result.conclude(time.Since(began))
	return result, nil
}

// stopped turns whatever followed from a user's interrupt into that.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

func cloudPools(p *spillway.Platform) map[string]bool {
	all := map[string]bool{}
	for _, pool := range p.Pools {
		if pool.Kind.Cloud() {
			all[pool.Name] = true
		}
	}
	return all
}

// show runs work under a view of its progress.
func (w *world) show(ctx context.Context, live bool, people *os.File, p *progress, work func(context.Context) error) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	over, end := context.WithCancel(context.Background())
	var around sync.WaitGroup
	defer around.Wait()
	defer end()
	around.Go(func() { p.watch(over, w) })
	var drawing error
	around.Go(func() {
		if live {
			drawing = showLive(over, people, stop, p.frame)
			return
		}
		showPlain(over, people, p.frame)
	})
	err = work(ctx)
	if ctx.Err() != nil {
		err = errInterrupted // whatever else followed from it
	}
	end()
	around.Wait()
	return errors.Join(err, drawing)
}

// play runs the script and waits until the ledger has what is still unknown.
func (w *world) play(ctx context.Context, p *progress, m *moments) error {
	by := w.callers(p.script)
	for i, phase := range p.script {
		p.enter(i, "")
		if err := w.change(ctx, phase.Live, m); err != nil {
			return err
		}
		for _, fault := range phase.Faults {
			if err := w.inject(ctx, fault); err != nil {
				return err
			}
		}
		var midway error
		p.tally.begin(i)
		drive(ctx, i, phase, by, p.tally, func() { midway = phase.Midway.Do(ctx, w, p, m) })
		p.tally.end(i)
		if err := errors.Join(context.Cause(ctx), midway, w.died()); err != nil {
			return err
		}
	}
	return w.settle(ctx, p)
}

// settle waits until no attempt has an unknown outcome any more: each is estimated
// when its provider must have ended it.
func (w *world) settle(ctx context.Context, p *progress) error {
	late := time.Now().Add(settleWithin)
	for {
		v, err := w.view(ctx)
		switch {
		case err != nil:
			return errors.Join(fmt.Errorf("ask what is still open: %w", err), w.died())
		case v.Unknown == 0 && v.InFlight == 0:
			p.enter(len(p.script), "every call has its line in the ledger")
			return nil
		case time.Now().After(late):
			return fmt.Errorf("%d attempts are still open %s after the last call", v.Unknown, settleWithin)
		}
		p.enter(len(p.script), fmt.Sprintf("waiting until %d lost calls cannot be running any more", v.Unknown))
		pause(ctx, pollEvery)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// platform is the configuration as the server reads it.
func (s *stage) platform() (*spillway.Platform, error) {
	loaded, err := config.Load(s.path("conf"), time.Now(), config.Checks{Digest: pkgdigest.Digest})
	if err != nil {
		return nil, fmt.Errorf("read the demo's configuration: %w", err)
	}
	return loaded.Platform, nil
}
