package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// collect takes what only the programs know, stops them, and takes the clouds'
// side of the evidence.
func (w *world) collect(ctx context.Context, e *evidence) error {
	e.web = connections{w.web.seats, int(w.web.opened.Load()), int(w.web.closed.Load())}
	missing := w.askRefused(ctx, e)
	sides, err := w.stop(ctx)
	e.clouds = sides
	return errors.Join(missing, err)
}

// askRefused asks which revision each refused call was to have: the ledger has no
// line of them.
func (w *world) askRefused(ctx context.Context, e *evidence) error {
	e.refused = map[string]string{}
	for i := range e.answers {
		a := &e.answers[i]
		fn := e.platform.Function(spillway.FunctionKey{Namespace: a.Namespace, Name: a.Function})
		if a.Kind != refused || fn == nil || len(fn.Revisions) == 0 {
			continue
		}
		var x struct{ Revision string }
		if err := w.get(ctx, w.admin+"/v1/explain/"+a.ID, &x); err != nil {
			return fmt.Errorf("ask for the revision of a refused call: %w", err)
		}
		e.refused[a.ID] = x.Revision
	}
	return nil
}

// collect reads what is left on disk.
func (s *stage) collect(ctx context.Context, e *evidence) (err error) {
	if e.onPrem, err = readSpans(s.onPremLog); err != nil {
		return err
	}
	e.nameRequests()
	for i := range e.clouds {
		c, at := &e.clouds[i], s.sites[i]
		if c.spans, err = readSpans(at.Log); err != nil {
			return err
		}
		deployed, err := cloud.LoadConfig(s.path(at.file))
		if err != nil {
			return err
		}
		c.functions = deployed.Functions
	}
	store, err := ledger.OpenReadOnly(ctx, s.data)
	if err != nil {
		return err
	}
	for line, err := range store.Lines(ctx, sqlite.Filter{}) {
		if err != nil {
			return errors.Join(err, store.Close())
		}
		e.ledger = append(e.ledger, line)
	}
	return store.Close()
}
