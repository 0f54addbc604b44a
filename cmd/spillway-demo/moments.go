package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/examples/demo"
)

const (
	reloadWithin = 10 * time.Second // for the server to see a change by itself
	calmWithin   = 30 * time.Second // for what is in clouds to end
	lookAgain    = 10 * time.Millisecond
)

// moments is what the run noted while the rules changed.
type moments struct {
	kill   killed
	shadow shadowed
	bad    refusedFile
}

// killed is the life of the kill switch. The times are this process's clock, which
// is that of functions and stand-ins too.
type killed struct {
	acknowledged time.Time // the server's answer to the reload had come
	quiet        time.Time // and nothing was in a cloud any more
	lifted       time.Time // just before the files said something else
}

// shadowed is the life of shadow mode.
type shadowed struct {
	acknowledged time.Time
	ended        time.Time // just before the files said something else
	bursts       []dispatcher.BurstView
}

// refusedFile is what became of a file with a mistake in it.
type refusedFile struct {
	name          string
	status        int
	said          string
	before, after serving
	rules         [2]string // limits of the quota tree before and after
	restored      serving
	from, to      time.Time // while it was there
}

// change puts other rules into the files and waits until the server has seen them by
// itself.
func (w *world) change(ctx context.Context, live demo.Live, m *moments) error {
	if err := w.leave(ctx, m); err != nil {
		return err
	}
	before, err := w.config(ctx)
	if err != nil {
		return fmt.Errorf("ask which rules serve: %w", err)
	}
	if changed, err := w.stage.configure(live); err != nil || !changed {
		return err
	}
	late := time.Now().Add(reloadWithin)
	for {
		now, err := w.config(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("ask which rules serve: %w", err)
		case now.Generation > before.Generation:
			w.live = live
			if live.Shadow {
				m.shadow.acknowledged = time.Now()
			}
			return nil
		case time.Now().After(late):
			return fmt.Errorf("the server has not seen the changed files within %s: %s", reloadWithin, now.Error)
		}
		pause(ctx, lookAgain)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// leave notes when the rules of a phase end.
func (w *world) leave(ctx context.Context, m *moments) error {
	if w.live.KillSwitch {
		m.kill.lifted = time.Now()
	}
	if !w.live.Shadow {
		return nil
	}
	v, err := w.view(ctx)
	if err != nil {
		return fmt.Errorf("ask what shadow mode has counted: %w", err)
	}
	m.shadow.bursts, m.shadow.ended = v.Bursts, time.Now()
	return nil
}

// killSwitch throws the kill switch of every policy under load and has the server
// reload. What had been placed before is in a cloud or on its way there; the moment
// is over when all of it has ended.
func killSwitch(ctx context.Context, w *world, p *progress, m *moments) error {
	live := w.live
	live.KillSwitch = true
	if _, err := w.stage.configure(live); err != nil {
		return err
	}
	status, said, err := w.reload(ctx)
	m.kill.acknowledged = time.Now()
	switch {
	case err != nil:
		return fmt.Errorf("throw the kill switch: %w", err)
	case status != http.StatusOK:
		return fmt.Errorf("throw the kill switch: refused with %d: %s", status, said.Error)
	}
	w.live = live
	p.enter(p.at(), "the kill switch is thrown")
	for late := time.Now().Add(calmWithin); ; pause(ctx, lookAgain) {
		v, err := w.view(ctx)
		switch {
		case err != nil:
			return fmt.Errorf("ask what is left in clouds: %w", err)
		case inClouds(v) <= int64(v.Unknown): // lost before; they have run or never will
			m.kill.quiet = time.Now()
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(late):
			return fmt.Errorf("%d calls are still in clouds %s after the kill switch", inClouds(v), calmWithin)
		}
	}
}

func inClouds(v dispatcher.View) (n int64) {
	for _, p := range v.Pools {
		if p.Cloud {
			n += p.Running
		}
	}
	return n
}

// badFile gives the company a hundred times its cloud slots, in a file with a
// mistake elsewhere, and leaves it there while more calls come.
func badFile(ctx context.Context, w *world, p *progress, m *moments) (err error) {
	b := &m.bad
	b.name = "conf/quotas.yaml"
	good := w.stage.written[b.name]
	bad := strings.Replace(strings.Replace(good, "{slots: 14}", "{slots: 1400}", 1), `amount: "0.05"`, `amount: "plenty"`, 1)
	if b.before, b.rules[0], err = w.rules(ctx); err != nil {
		return err
	}
	b.from = time.Now()
	if err := w.stage.put(b.name, bad); err != nil {
		return err
	}
	var said serving
	if b.status, said, err = w.reload(ctx); err != nil {
		return fmt.Errorf("offer a bad file: %w", err)
	}
	b.said = said.Error
	p.enter(p.at(), "a bad file was refused; the last good one serves")
	enough, late := p.tally.answered()+200, time.Now().Add(reloadWithin)
	for p.tally.answered() < enough && time.Now().Before(late) && ctx.Err() == nil {
		pause(ctx, lookAgain)
	}
	b.after, b.rules[1], err = w.rules(ctx)
	b.to = time.Now()
	if err := errors.Join(err, w.stage.put(b.name, good)); err != nil {
		return err
	}
	_, b.restored, err = w.reload(ctx)
	return err
}

// rules are which configuration serves and what it allows, in short.
func (w *world) rules(ctx context.Context) (serving, string, error) {
	s, err := w.config(ctx)
	if err != nil {
		return s, "", fmt.Errorf("ask which rules serve: %w", err)
	}
	v, err := w.view(ctx)
	if err != nil {
		return s, "", fmt.Errorf("ask which limits hold: %w", err)
	}
	var b strings.Builder
	for _, q := range v.Quotas {
		fmt.Fprintf(&b, "%s %d %d", q.Name, q.OnPrem.Limit, q.Cloud.Limit)
		for _, money := range q.Budgets {
			fmt.Fprintf(&b, " %s", money.Limit)
		}
		b.WriteString("; ")
	}
	return s, b.String(), nil
}
