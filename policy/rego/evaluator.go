package rego

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	opa "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"golang.org/x/sync/singleflight"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

const (
	// Limit is how long a policy may think about one Input.
	Limit = 20 * time.Millisecond

	// grace is how much longer a caller waits for an evaluation to notice that
	// its limit passed, before it is abandoned to end by itself.
	grace = 5 * time.Millisecond

	// failureTTL is how long a failure answers for its Input: long enough that a
	// slow policy costs a tenth of a core, short enough to forgive a busy machine.
	failureTTL = 250 * time.Millisecond
)

// Evaluator answers for one policy and one platform. It is safe for concurrent
// use and needs no closing.
type Evaluator struct {
	bundle *Bundle
	pools  poolTable
	query  opa.PreparedEvalQuery
	limit  time.Duration

	verdicts *cache
	flight   singleflight.Group
	slots    chan struct{} // evaluations that run at once, abandoned ones too

	evaluations, failures atomic.Int64
}

// Bind prepares b for the pools of p, of which there are at most MaxPools.
func (b *Bundle) Bind(p *spillway.Platform) (*Evaluator, error) {
	if n := len(p.Pools); n > spillway.MaxPools {
		return nil, fmt.Errorf("preparing the policy: %d pools, more than %d", n, spillway.MaxPools)
	}
	query, err := b.prepare(store(b.data, p))
	if err != nil {
		return nil, err
	}
	return &Evaluator{
		bundle:   b,
		pools:    tableOf(p),
		query:    query,
		limit:    Limit,
		verdicts: newCache(cacheHalf),
		slots:    make(chan struct{}, 2*runtime.GOMAXPROCS(0)),
	}, nil
}

// The questions ask for both sets; a comprehension around each tells undefined
// from empty. A policy without a deny rule denies nothing.
const (
	question       = `permit = [x | x := data.spillway.placement.permit]; deny = [x | x := data.spillway.placement.deny]`
	questionNoDeny = `permit = [x | x := data.spillway.placement.permit]; deny = [set()]`
)

func (b *Bundle) prepare(s storage.Store) (opa.PreparedEvalQuery, error) {
	text := questionNoDeny
	if len(b.compiler.GetRules(denyRule)) > 0 {
		text = question
	}
	query, err := opa.New(
		opa.Compiler(b.compiler),
		opa.Store(s),
		opa.Query(text),
		opa.StrictBuiltinErrors(true), // a rule in error must not count as "does not apply"
		opa.GenerateJSON(func(term *ast.Term, _ *opa.EvalContext) (any, error) { return term, nil }),
	).PrepareForEval(context.Background())
	if err != nil {
		return query, fmt.Errorf("preparing the policy: %w", err)
	}
	return query, nil
}

// Evaluate returns what the policy says of in at now, which replaces in.Minute.
// It never returns nil and never an error: when there is no answer within Limit,
// or ctx ends first, the verdict permits nothing and says why in Failed. Equal
// Inputs share one Verdict; it must not be changed.
func (e *Evaluator) Evaluate(ctx context.Context, now spillway.Instant, in policy.Input) *policy.Verdict {
	in.Minute = minuteOf(now)
	e.bundle.reads.blank(&in)
	if v := e.verdicts.find(&in, now); v != nil {
		return v
	}
	return e.ask(ctx, now, in)
}

// minuteOf cuts now to the minute, in Unix seconds.
func minuteOf(now spillway.Instant) int64 {
	seconds := now.Time().Unix()
	return seconds - (seconds%60+60)%60
}

// ask evaluates in, once for all that ask at the same time.
func (e *Evaluator) ask(ctx context.Context, now spillway.Instant, in policy.Input) *policy.Verdict {
	key := e.identify(&in)
	if n := size(&in); n > maxInput {
		return e.fail(key, failure{kindInput, fmt.Sprintf("the input has %d bytes, more than %d", n, maxInput)})
	}
	answer := e.flight.DoChan(key, func() (any, error) {
		if v := e.verdicts.find(&in, now); v != nil {
			return v, nil
		}
		v := e.evaluate(key, &in)
		e.remember(in, v, now)
		return v, nil
	})
	patience := time.NewTimer(e.limit + grace)
	defer patience.Stop()
	select {
	case result := <-answer:
		return result.Val.(*policy.Verdict)
	case <-ctx.Done():
		return e.fail(key, failure{kindCancelled, context.Cause(ctx).Error()})
	case <-patience.C:
		v := e.fail(key, e.tooSlow())
		e.remember(in, v, now)
		return v
	}
}

func (e *Evaluator) remember(in policy.Input, v *policy.Verdict, now spillway.Instant) {
	until := spillway.Never
	switch {
	case strings.HasPrefix(v.Failed, kindOverload):
		return // says nothing of this input
	case v.Failed != "":
		until = now.Add(failureTTL)
	}
	e.verdicts.keep(in, cached{v, until})
}

// evaluate waits for a slot and runs the policy; both together take at most limit.
func (e *Evaluator) evaluate(key string, in *policy.Input) *policy.Verdict {
	stop := topdown.NewCancel()
	over := make(chan struct{})
	limit := time.AfterFunc(e.limit, func() {
		stop.Cancel()
		close(over)
	})
	defer limit.Stop()
	select {
	case e.slots <- struct{}{}:
		defer func() { <-e.slots }()
	case <-over:
		return e.fail(key, failure{kindOverload, fmt.Sprintf("no evaluation could start within %s", e.limit)})
	}
	e.evaluations.Add(1)
	permit, deny, err := e.run(in, opa.EvalExternalCancel(stop))
	if err != nil {
		return e.fail(key, e.classify(err))
	}
	v, err := e.pools.verdict(permit, deny)
	if err != nil {
		return e.fail(key, e.classify(err))
	}
	v.ID, v.Revision = key, e.bundle.revision
	return v
}

// run asks the prepared query. The minute of in is the only clock it can read.
func (e *Evaluator) run(in *policy.Input, options ...opa.EvalOption) (permit, deny *ast.Term, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the policy engine panicked: %v", r)
		}
	}()
	options = append(options,
		opa.EvalParsedInput(document(*in)),
		opa.EvalTime(time.Unix(in.Minute, 0).UTC()),
	)
	results, err := e.query.Eval(context.Background(), options...)
	if err != nil {
		return nil, nil, err
	}
	if len(results) != 1 {
		return nil, nil, failure{kindUndefined, "the policy has no answer"}
	}
	permit, _ = results[0].Bindings["permit"].(*ast.Term)
	deny, _ = results[0].Bindings["deny"].(*ast.Term)
	return permit, deny, nil
}

// classify turns what went wrong into a reason to permit nothing.
func (e *Evaluator) classify(err error) failure {
	var known failure
	switch {
	case errors.As(err, &known):
		return known
	case topdown.IsCancel(err):
		return e.tooSlow()
	default:
		return failure{kindError, clean(err.Error())}
	}
}

func (e *Evaluator) tooSlow() failure {
	return failure{kindTimeout, fmt.Sprintf("no answer within %s", e.limit)}
}

func (e *Evaluator) fail(key string, f failure) *policy.Verdict {
	e.failures.Add(1)
	return e.pools.failed(key, e.bundle.revision, f)
}
