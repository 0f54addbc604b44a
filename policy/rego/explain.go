package rego

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	opa "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// Explanation is one decision with its grounds, as `policy eval` shows it.
type Explanation struct {
	ID       string         `json:"id"`
	Revision string         `json:"revision"`
	Failed   string         `json:"failed,omitempty"`
	Input    any            `json:"input"`
	Pools    []PoolDecision `json:"pools"`
	Denials  []Denial       `json:"denials"` // by position of the rule
}

// PoolDecision is what was decided of one pool.
type PoolDecision struct {
	Pool      string `json:"pool"`
	Permitted bool   `json:"permitted"`
	Reason    string `json:"reason,omitempty"` // why not
}

// Denial is one rule that added to deny.
type Denial struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Pool   string `json:"pool"`
	Reason string `json:"reason"`
}

// Explain evaluates in at its own minute by the policy in dir for the pools of p
// and says which deny rules fired. A policy that fails is an Explanation with
// Failed set; the error is that of Load, or that ctx ended.
func Explain(ctx context.Context, dir string, p *spillway.Platform, in policy.Input) (*Explanation, error) {
	bundle, err := Load(dir)
	if err != nil {
		return nil, err
	}
	e, err := bundle.Bind(p)
	if err != nil {
		return nil, err
	}
	e.limit = 20 * Limit // a process that has just started is slower than a server
	return e.explain(ctx, p, in)
}

func (e *Evaluator) explain(ctx context.Context, p *spillway.Platform, in policy.Input) (*Explanation, error) {
	now := spillway.Instant(in.Minute * 1e9)
	in.Minute = minuteOf(now)
	verdict := e.Evaluate(ctx, now, in)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("explaining a policy: %w", err)
	}
	x := &Explanation{ID: verdict.ID, Revision: verdict.Revision, Failed: verdict.Failed, Input: jsonOf(in),
		Pools: []PoolDecision{}, Denials: e.denials(ctx, &in)}
	for i, pool := range p.Pools {
		x.Pools = append(x.Pools, PoolDecision{pool.Name, verdict.Permitted.Has(i), verdict.Denials[i]})
	}
	return x, nil
}

// denials runs the policy again, listening for rules that produce members of
// deny: those of the policy itself, or of a set that it takes over. What was
// heard before an error counts.
func (e *Evaluator) denials(ctx context.Context, in *policy.Input) []Denial {
	stop := topdown.NewCancel()
	defer context.AfterFunc(ctx, stop.Cancel)()
	listener := &listener{found: map[Denial]bool{}, stop: stop}
	_, _, _ = e.run(in, opa.EvalQueryTracer(listener), opa.EvalExternalCancel(stop))
	return listener.sorted()
}

// maxSteps bounds a traced evaluation; a policy within Limit takes far fewer.
const maxSteps = 1 << 20

// listener notes each rule that yields a {"pool": …, "reason": …}.
type listener struct {
	mu    sync.Mutex
	found map[Denial]bool
	steps int
	stop  topdown.Cancel
}

func (*listener) Enabled() bool { return true }

func (*listener) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (l *listener) TraceEvent(event topdown.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.steps++; l.steps > maxSteps {
		l.stop.Cancel()
	}
	rule, ok := event.Node.(*ast.Rule)
	if !ok || event.Op != topdown.ExitOp || rule.Head.Key == nil || rule.Head.Value != nil {
		return
	}
	pool, reason, err := denial(event.Plug(rule.Head.Key))
	if err == nil {
		l.found[Denial{rule.Location.File, rule.Location.Row, clean(pool), clean(reason)}] = true
	}
}

func (l *listener) sorted() []Denial {
	all := []Denial{}
	for d := range l.found {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b Denial) int {
		return strings.Compare(
			fmt.Sprintf("%s\x00%08d\x00%s\x00%s", a.File, a.Line, a.Pool, a.Reason),
			fmt.Sprintf("%s\x00%08d\x00%s\x00%s", b.File, b.Line, b.Pool, b.Reason))
	})
	return all
}
