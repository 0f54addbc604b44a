package main

import (
	"cmp"
	"context"
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
	"github.com/spillway-dev/spillway/pools/lambda"
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
	place     place
	said      reconciledFunction
	estimates []billing.Entry
	book      *reconcile.Book  // nil if the pool is
	records   []spillway.Usage // in the log
	problem   string           // why it is not settled
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
	for _, same := range byPlace(functions) {
		if err := r.settle(ctx, same, &logs, all); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all.Functions, func(a, b reconciledFunction) int { return strings.Compare(a.Pool, b.Pool) })
	return all, nil
}

// read finds the functions with open estimates of calls admitted since, and all that
// the ledger says of them.
func (r *reconciler) read(ctx context.Context, since time.Time) ([]*cloudFunction, error) {
	unsettled, err := r.ledger.Unsettled(ctx, since.Add(-sentBefore))
	if err != nil {
		return nil, err
	}
	older, estimates := unsettled.Estimates, []billing.Entry(nil)
	if i := slices.IndexFunc(older, func(e billing.Entry) bool { return !e.Admitted.Before(since) }); i >= 0 {
		older, estimates = older[:i], older[i:]
	}
	all := r.functionsOf(estimates)
	if len(all) == 0 {
		return nil, nil
	}
	for i := range older {
		r.leave(&older[i], all)
	}
	for _, f := range all {
		for i := 0; f.book == nil && i < len(f.estimates); i++ {
			r.leave(&f.estimates[i], all)
		}
	}
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

// functionsOf puts the estimates of one function of a cloud together.
func (r *reconciler) functionsOf(estimates []billing.Entry) []*cloudFunction {
	found := map[[2]string]*cloudFunction{}
	for i := range estimates {
		e := &estimates[i]
		pool, name := r.boundTo(e)
		key := [2]string{e.Pool, lambda.BareName(name)}
		if key[1] == "" {
			key[1] = " " + e.Namespace + "/" + e.Function
		}
		f := found[key]
		if f == nil {
			f = &cloudFunction{pool: pool, name: name, place: placeOf(pool, name), said: reconciledFunction{Pool: e.Pool, Cloud: lambda.BareName(name)}}
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
	return all
}

// hand gives a line to the book of its function, and as another's to those it may
// be the same as: of the same name, or of the same pool if its own is not known.
func (r *reconciler) hand(e *billing.Entry, all []*cloudFunction, own, other func(*reconcile.Book, *billing.Entry)) {
	pool, name := r.boundTo(e)
	for _, f := range all {
		if f.book == nil {
			continue
		}
		switch same := lambda.BareName(name) == f.said.Cloud; {
		case same && pool == f.pool:
			own(f.book, e)
		case same && pool.Kind == f.pool.Kind, pool == nil && e.Pool == f.said.Pool:
			other(f.book, e)
		}
	}
}

// boundTo returns the pool and the name in the cloud of what a line ran; nil and
// empty if the configuration has the pool no more. Lines from before names were kept
// ran what their function is bound to now, if it still is.
func (r *reconciler) boundTo(e *billing.Entry) (*spillway.Pool, string) {
	i := slices.IndexFunc(r.platform.Pools, func(p *spillway.Pool) bool { return p.Name == e.Pool && p.Kind.Cloud() })
	if i < 0 {
		return nil, ""
	}
	p := r.platform.Pools[i]
	if e.CloudFunction != "" {
		if p.Region != e.Region { // another place has the name now
			return nil, ""
		}
		return p, e.CloudFunction
	}
	key := spillway.FunctionKey{Namespace: e.Namespace, Name: e.Function}
	f := r.platform.RevisionOf(key, e.Revision)
	if f == nil {
		f = r.platform.Function(key) // revisions differ in their qualifiers only
	}
	if f == nil || f.Bindings[p.Index].Name == "" {
		return nil, ""
	}
	return p, f.Bindings[p.Index].Name
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
