package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/billing/reconcile"
	"github.com/spillway-dev/spillway/billing/sqlite"
)

// sentBefore is how long before an estimate a call may have been admitted whose
// execution could be taken for its own.
const sentBefore = 2 * time.Hour

// correctable is the part of a ledger that reconciliation needs.
type correctable interface {
	Unsettled(ctx context.Context, from time.Time) (ledger.Unsettled, error)
	Lines(ctx context.Context, f sqlite.Filter) iter.Seq2[billing.Entry, error]
	Correct(ctx context.Context, lines []billing.Entry) error
}

// reconciler settles the estimates of a ledger with the logs of the clouds of a
// platform. One runs at a time.
type reconciler struct {
	platform *spillway.Platform
	ledger   correctable
	open     func(context.Context, *spillway.Pool) (executionLog, func(), error)
	posted   func([]billing.Entry) // is told what was posted
}

// reconcileAsk is what a reconciliation is asked for.
type reconcileAsk struct {
	since, lag time.Duration // of calls admitted since; what is younger than lag waits
	dryRun     bool
}

// reconciled is what came of it.
type reconciled struct {
	At        time.Time            `json:"at"`
	Since     time.Time            `json:"since"` // calls admitted from then on
	Until     time.Time            `json:"until"` // attempts that could run until then
	DryRun    bool                 `json:"dryRun"`
	Currency  string               `json:"currency"`
	Functions []reconciledFunction `json:"functions"`
	reconcile.Counts
	Estimated decimal `json:"estimated"` // what estimates that are settled said
	Charged   decimal `json:"charged"`   // what they became
	Problems  int     `json:"problems"`  // functions of which nothing was settled
}

// reconciledFunction is the part of one function of a cloud.
type reconciledFunction struct {
	Pool      string   `json:"pool"`
	Cloud     string   `json:"cloudFunction"` // its name there; empty if it is not known
	Functions []string `json:"functions"`     // that it stands for
	reconcile.Counts
	Estimated decimal `json:"estimated"`
	Charged   decimal `json:"charged"`
	Problem   string  `json:"problem,omitempty"`
}

// cloudFunction is one function of a cloud and what the ledger says of it.
type cloudFunction struct {
	pool      *spillway.Pool // nil if the configuration has it no more
	name      string         // as bound; may be an ARN
	said      reconciledFunction
	estimates []billing.Entry
	book      *reconcile.Book
}

// run settles what can be settled. Errors are of the ledger; what a cloud does not
// tell is in the result.
func (r *reconciler) run(ctx context.Context, ask reconcileAsk, now time.Time) (*reconciled, error) {
	all := &reconciled{At: now, Since: now.Add(-ask.since), Until: now.Add(-ask.lag), DryRun: ask.dryRun, Currency: r.platform.Currency, Functions: []reconciledFunction{}}
	functions, err := r.read(ctx, all.Since)
	if err != nil {
		return nil, err
	}
	logs := openLogs{open: r.open, logs: map[*spillway.Pool]openLog{}}
	defer logs.close()
	for _, f := range functions {
		settled, err := f.settle(ctx, &logs, all.Until, now)
		if err == nil && !ask.dryRun && len(settled.Lines) > 0 {
			if err = r.ledger.Correct(context.WithoutCancel(ctx), settled.Lines); err == nil {
				r.posted(settled.Lines)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reconcile %s on %s: %w", f.said.Cloud, f.said.Pool, err)
		}
		all.add(f, settled)
	}
	return all, nil
}

// read finds the functions with open estimates, and all that the ledger says of
// them.
func (r *reconciler) read(ctx context.Context, since time.Time) ([]*cloudFunction, error) {
	unsettled, err := r.ledger.Unsettled(ctx, since)
	if err != nil || len(unsettled.Estimates) == 0 {
		return nil, err
	}
	found := map[[2]string]*cloudFunction{}
	for i := range unsettled.Estimates {
		e := &unsettled.Estimates[i]
		pool, name := r.boundTo(e)
		key := [2]string{e.Pool, bareCloudName(name)}
		if key[1] == "" {
			key[1] = " " + e.Namespace + "/" + e.Function
		}
		f := found[key]
		if f == nil {
			f = &cloudFunction{pool: pool, name: name, said: reconciledFunction{Pool: e.Pool, Cloud: bareCloudName(name)}}
			found[key] = f
		}
		f.estimates = append(f.estimates, *e)
		if own := e.Namespace + "/" + e.Function; !slices.Contains(f.said.Functions, own) {
			f.said.Functions = append(f.said.Functions, own)
		}
	}
	var all []*cloudFunction
	for _, f := range found {
		slices.Sort(f.said.Functions)
		if f.pool != nil {
			f.book = reconcile.NewBook(f.pool.Kind, f.estimates)
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *cloudFunction) int {
		return cmp.Or(strings.Compare(a.said.Pool, b.said.Pool), strings.Compare(a.said.Cloud, b.said.Cloud), slices.Compare(a.said.Functions, b.said.Functions))
	})
	for i := range unsettled.Open {
		r.hand(&unsettled.Open[i], all, (*reconcile.Book).Await, (*reconcile.Book).Await)
	}
	for e, err := range r.ledger.Lines(ctx, sqlite.Filter{From: since.Add(-sentBefore), Cloud: true}) {
		if err != nil {
			return nil, err
		}
		r.hand(&e, all, (*reconcile.Book).Add, (*reconcile.Book).Other)
	}
	return all, nil
}

// hand gives a line to the book of its function, and as another's to those it may
// be the same as: of the same name, or of the same pool if its own is not known.
func (r *reconciler) hand(e *billing.Entry, all []*cloudFunction, own, other func(*reconcile.Book, *billing.Entry)) {
	pool, name := r.boundTo(e)
	for _, f := range all {
		if f.book == nil {
			continue
		}
		switch same := bareCloudName(name) == f.said.Cloud; {
		case same && pool == f.pool:
			own(f.book, e)
		case same && pool.Kind == f.pool.Kind, pool == nil && e.Pool == f.said.Pool:
			other(f.book, e)
		}
	}
}

// boundTo returns the pool and the name in the cloud of what a line ran; nil and
// empty if the configuration has either no more.
func (r *reconciler) boundTo(e *billing.Entry) (*spillway.Pool, string) {
	key := spillway.FunctionKey{Namespace: e.Namespace, Name: e.Function}
	f := r.platform.RevisionOf(key, e.Revision)
	if f == nil {
		f = r.platform.Function(key) // revisions differ in their qualifiers only
	}
	for _, p := range r.platform.Pools {
		if f != nil && p.Name == e.Pool && p.Kind.Cloud() && f.Bindings[p.Index].Name != "" {
			return p, f.Bindings[p.Index].Name
		}
	}
	return nil, ""
}

// bareCloudName takes the function's name out of an ARN.
func bareCloudName(name string) string {
	if _, after, found := strings.Cut(name, "function:"); found {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// settle reads the log of a function and settles its book.
func (f *cloudFunction) settle(ctx context.Context, logs *openLogs, until, now time.Time) (reconcile.Result, error) {
	failed := func(why string) (reconcile.Result, error) {
		return reconcile.Result{Counts: reconcile.Counts{Estimates: len(f.estimates)}, Problem: why}, ctx.Err()
	}
	if f.book == nil {
		return failed("the configuration has no such function, pool or binding any more, so nobody knows whose log to read; put it back for a while")
	}
	log, err := logs.of(ctx, f.pool)
	if err != nil {
		return failed(err.Error())
	}
	var records []spillway.Usage
	for _, span := range f.book.Spans() {
		found, err := log.Executions(ctx, f.name, span.From, span.To)
		if err != nil {
			return failed(err.Error())
		}
		records = append(records, found...)
	}
	return f.book.Settle(records, until, now), nil
}

func (all *reconciled) add(f *cloudFunction, settled reconcile.Result) {
	f.said.Counts, f.said.Problem = settled.Counts, settled.Problem
	f.said.Estimated, f.said.Charged = decimal{settled.Before}, decimal{settled.After}
	all.Functions = append(all.Functions, f.said)
	if settled.Problem != "" {
		all.Problems++
	}
	sum := &all.Counts
	for _, n := range [][2]*int{
		{&sum.Estimates, &settled.Estimates}, {&sum.Ran, &settled.Ran}, {&sum.NeverRan, &settled.NeverRan}, {&sum.Waiting, &settled.Waiting},
		{&sum.Unclear, &settled.Unclear}, {&sum.Unproven, &settled.Unproven}, {&sum.Unaccounted, &settled.Unaccounted},
	} {
		*n[0] += *n[1]
	}
	all.Estimated.plus(&settled.Before)
	all.Charged.plus(&settled.After)
}

// plus adds without rounding: amounts have at most 38 digits.
func (d *decimal) plus(more *apd.Decimal) {
	_, _ = apd.BaseContext.WithPrecision(60).Add(&d.Decimal, &d.Decimal, more) // finite numbers add
}
