package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// openLedger opens the data directory. What a killed server left is recovered
// before anything else happens.
func (a *app) openLedger(context.Context) error {
	dir := a.loaded.Server.DataDir
	if err := makeDataDir(dir); err != nil {
		return err
	}
	l, err := ledger.Open(dir, ledger.Options{})
	if err != nil {
		return err
	}
	a.ledger = l
	a.onClose(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
		defer cancel()
		return errors.Join(l.Flush(ctx), l.Close())
	})
	if r := l.Recovery(); r.Estimated > 0 {
		a.log.Info("recovered the ledger", "lines", r.Lines, "estimated", r.Estimated, "lastSignOfLife", r.LastSign)
	}
	gauge := func(name, help string, value func(ledger.Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(l.Stats()) })
	}
	a.metrics.MustRegister(
		gauge("spillway_ledger_live_attempts", "Attempts on record without a line in the database.", func(s ledger.Stats) float64 { return float64(s.Live) }),
		gauge("spillway_ledger_pending_lines", "Lines on their way to the database.", func(s ledger.Stats) float64 { return float64(s.Pending) }),
		gauge("spillway_ledger_conflicting_lines", "Lines that were set aside because their key was taken.", func(s ledger.Stats) float64 { return float64(s.Conflicts) }),
		gauge("spillway_ledger_dropped_explanations", "Explanations that were not kept, since the start.", func(s ledger.Stats) float64 { return float64(s.DroppedDecisions) }),
	)
	return writeOwned(dir, ownedOf(a.loaded.Platform))
}

// restore gives an Engine and its server what the ledger knows of the past.
func (a *app) restore(ctx context.Context, engine *dispatcher.Engine, c *server.Config) error {
	past, err := a.ledger.Restore(ctx)
	if err != nil {
		return fmt.Errorf("restore from the ledger: %w", err)
	}
	p := a.loaded.Platform
	spent, err := a.spent(ctx, p, dispatcher.NewBudgets(&spillway.Platform{}, p))
	if err != nil {
		return fmt.Errorf("restore spend from the ledger: %w", err)
	}
	calls, jobs := byKind(past.Open)
	engine.Restore(spent, openIntents(calls))
	for i := range calls {
		c.Open = append(c.Open, &calls[i])
	}
	for i := range jobs {
		c.Jobs = append(c.Jobs, &jobs[i])
	}
	c.Records = a.ledger
	c.Keys = requestKeys(past)
	return nil
}

// spent asks the ledger what each of some budgets of p has spent in its current
// window.
func (a *app) spent(ctx context.Context, p *spillway.Platform, budgets []dispatcher.Spent) ([]dispatcher.Spent, error) {
	now := spillway.InstantOf(time.Now())
	for i := range budgets {
		s := &budgets[i]
		who, b := payers(p, s.Node, s.Budget)
		from, to := b.Window.Bounds(now, b.Location)
		amount, err := a.ledger.Spent(ctx, who, from, to)
		if err != nil {
			return nil, err
		}
		s.At, s.Amount = now, amount
	}
	return budgets, nil
}

// payers are those whose calls a budget counts: the namespaces of a quota node and
// below, or the functions of a burst policy, whose nodes follow the quota's.
func payers(p *spillway.Platform, node, budget int) ([]spillway.FunctionKey, *spillway.Budget) {
	var who []spillway.FunctionKey
	if policy := node - len(p.Quotas); policy >= 0 {
		for _, f := range p.Functions {
			if f.Policy == policy && p.Function(f.FunctionKey) == f {
				who = append(who, f.FunctionKey)
			}
		}
		return who, &p.BurstPolicies[policy].Spend[budget]
	}
	for _, ns := range p.Namespaces {
		for q := ns.Quota; q >= 0; q = p.Quotas[q].Parent {
			if q == node {
				who = append(who, spillway.FunctionKey{Namespace: ns.Name})
			}
		}
	}
	return who, &p.Quotas[node].Budgets[budget]
}

// byKind tells intents of calls, which are sent to clouds, from those of jobs.
func byKind(open []billing.Entry) (calls, jobs []billing.Entry) {
	for _, e := range open {
		if e.Cloud {
			calls = append(calls, e)
		} else {
			jobs = append(jobs, e)
		}
	}
	return calls, jobs
}

func openIntents(lines []billing.Entry) []dispatcher.OpenIntent {
	var all []dispatcher.OpenIntent
	for i := range lines {
		e := &lines[i]
		all = append(all, dispatcher.OpenIntent{
			Invocation: e.Invocation, Attempt: e.Attempt, Function: spillway.FunctionKey{Namespace: e.Namespace, Name: e.Function},
			Pool: e.Pool, Admitted: spillway.InstantOf(e.Admitted), Deadline: spillway.InstantOf(e.Deadline),
			Reserved: e.Reserved, Resources: e.Resources,
		})
	}
	return all
}

// requestKeys are the requests that ran or may have run: a repeat of one must not
// run it again. Those that were refused unexecuted are not among them.
func requestKeys(past ledger.Restored) []string {
	var keys []string
	for _, e := range past.Recent {
		if e.RequestKey != "" && (e.Kind == billing.KindCharge || e.Kind == billing.KindEstimate) {
			keys = append(keys, e.RequestKey)
		}
	}
	for _, e := range past.Open {
		if e.RequestKey != "" {
			keys = append(keys, e.RequestKey)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// archive is the ledger as a server needs it: ids without a kept explanation are
// answered from their lines.
type archive struct{ *ledger.Ledger }

// Decision implements server.Archive.
func (a archive) Decision(ctx context.Context, invocation string) (json.RawMessage, error) {
	lines, text, err := a.Lookup(ctx, invocation)
	if err != nil {
		return nil, err
	}
	return explained(invocation, lines, text)
}

// Explain implements httpapi.Explainer: what the server remembers, and what the
// ledger says it cost.
func (a *app) Explain(ctx context.Context, invocation string) (json.RawMessage, error) {
	text, err := a.server.Explain(ctx, invocation)
	if err != nil {
		return nil, err
	}
	lines, _, err := a.ledger.Lookup(ctx, invocation)
	if err != nil {
		return nil, err
	}
	return explained(invocation, lines, text)
}

// openForReading opens the database of a data directory, whether a server runs or
// not.
func openForReading(ctx context.Context, dir string) (*sqlite.Store, error) {
	if found, err := os.Stat(filepath.Join(dir, databaseFile)); err != nil || found.IsDir() {
		return nil, wrongInput("--data: there is no ledger in %s; name the data directory that 'spillway up' said at start", dir)
	}
	return ledger.OpenReadOnly(ctx, dir)
}
