package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/reconcile"
	"github.com/spillway-dev/spillway/pools/lambda"
)

// place is where a cloud has a function. Two pools that name the same one call the
// same function if their accounts are the same too, which only the logs tell.
type place struct {
	kind                              spillway.PoolKind
	region, endpoint, namespace, name string
}

// placeOf is the zero place if the pool is not known.
func placeOf(p *spillway.Pool, name string) place {
	if p == nil {
		return place{}
	}
	return place{p.Kind, p.Region, p.Lambda.Endpoint + p.SCF.Endpoint, cmp.Or(p.SCF.Namespace, "default"), lambda.BareName(name)}
}

// byPlace puts functions together that may be one.
func byPlace(functions []*cloudFunction) [][]*cloudFunction {
	var all [][]*cloudFunction
	at := map[place]int{}
	for _, f := range functions {
		i, found := at[f.place]
		if f.pool == nil || !found {
			at[f.place] = len(all)
			all = append(all, []*cloudFunction{f})
			continue
		}
		all[i] = append(all[i], f)
	}
	return all
}

// leave keeps estimates from being settled that may have been behind the executions
// of one that is not settled now.
func (r *reconciler) leave(e *billing.Entry, all []*cloudFunction) {
	pool, name := r.boundTo(e)
	at := placeOf(pool, name)
	for _, f := range all {
		if f.book != nil && (at == f.place || pool == nil && e.Pool == f.said.Pool) {
			f.book.Await(e)
		}
	}
}

// compare finds out whether two functions are one: then their logs have executions
// in common. Those of different payers are not settled.
func (f *cloudFunction) compare(o *cloudFunction) {
	switch {
	case f.problem == "" && o.problem == "":
		ids := map[string]bool{}
		for i := range f.records {
			ids[f.records[i].ProviderID] = true
		}
		one := slices.ContainsFunc(o.records, func(u spillway.Usage) bool { return ids[u.ProviderID] })
		others := func(e billing.Entry) bool { return e.Namespace != f.estimates[0].Namespace }
		if one && slices.ContainsFunc(slices.Concat(f.estimates, o.estimates), others) {
			why := fmt.Sprintf("the pools %s and %s have the same cloud function for several namespaces, so nobody knows whose executions these are; give each its own", f.said.Pool, o.said.Pool)
			f.problem, o.problem = why, why
		}
	case f.problem == "":
		o.keep(f)
	case o.problem == "":
		f.keep(o)
	}
}

// keep has the other function wait for the estimates of f, whose log is not known.
func (f *cloudFunction) keep(o *cloudFunction) {
	for i := range f.estimates {
		o.book.Await(&f.estimates[i])
	}
}

// settle settles functions that may be one, through pools of their own.
func (r *reconciler) settle(ctx context.Context, same []*cloudFunction, logs *openLogs, all *reconciled) error {
	for i, f := range same {
		if err := f.read(ctx, logs); err != nil {
			return fmt.Errorf("reconcile %s on %s: %w", f.said.Cloud, f.said.Pool, err)
		}
		for _, o := range same[:i] {
			f.compare(o)
		}
	}
	for i, f := range same {
		settled := reconcile.Result{Counts: reconcile.Counts{Estimates: len(f.estimates)}, Problem: f.problem}
		if f.problem == "" {
			settled = f.book.Settle(f.records, all.Until, all.At)
		}
		if err := r.post(ctx, settled.Lines, all.DryRun); err != nil {
			return fmt.Errorf("reconcile %s on %s: %w", f.said.Cloud, f.said.Pool, err)
		}
		all.add(f, settled)
		f.records = nil
		for _, o := range same[i+1:] {
			for j := range settled.Lines {
				o.book.Other(&settled.Lines[j]) // several have a book each
			}
		}
	}
	return nil
}

func (r *reconciler) post(ctx context.Context, lines []billing.Entry, dryRun bool) error {
	if dryRun || len(lines) == 0 {
		return nil
	}
	err := r.ledger.Correct(context.WithoutCancel(ctx), lines)
	if err == nil {
		r.posted(lines)
	}
	return err
}

// read reads the log of a function. Errors are ctx's.
func (f *cloudFunction) read(ctx context.Context, logs *openLogs) error {
	if f.book == nil {
		f.problem = "the configuration has no such function, pool or binding any more, or the pool in another region, so nobody knows whose log to read; put it back for a while"
		return nil
	}
	log, err := logs.of(ctx, f.pool)
	if err != nil {
		f.problem = err.Error()
		return ctx.Err()
	}
	for _, span := range f.book.Spans() {
		found, err := log.Executions(ctx, f.name, span.From, span.To)
		if err != nil {
			f.problem = err.Error()
			return ctx.Err()
		}
		f.records = append(f.records, found...)
	}
	return nil
}
