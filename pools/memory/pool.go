package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

var (
	_ pools.Starter = (*Pool)(nil)
	_ pools.Pool    = (*Cloud)(nil)
)

// Pool is an on-prem pool. It is safe for concurrent use.
type Pool struct {
	core
	exits   chan spillway.InstanceID
	closing chan struct{}

	instancesMu sync.Mutex
	instances   map[spillway.InstanceID]*instance
	sending     sync.WaitGroup // Kill calls that may send on exits
	closed      bool
}

// instance is a started instance; its mutex is held while it runs something.
type instance struct {
	function *spillway.Function
	ctx      context.Context // ends when it is stopped
	stop     context.CancelFunc
	busy     sync.Mutex
}

// New returns a pool without instances. The caller must Close it.
func New(options Options) *Pool {
	return &Pool{
		core:      core{options: options},
		exits:     make(chan spillway.InstanceID),
		closing:   make(chan struct{}),
		instances: map[spillway.InstanceID]*instance{},
	}
}

// Close stops every instance, waits for what they run and closes Exits.
func (p *Pool) Close() {
	p.instancesMu.Lock()
	if p.closed {
		p.instancesMu.Unlock()
		return
	}
	p.closed = true
	close(p.closing)
	ids := make([]spillway.InstanceID, 0, len(p.instances))
	for id := range p.instances {
		ids = append(ids, id)
	}
	p.instancesMu.Unlock()
	for _, id := range ids {
		p.StopInstance(context.Background(), id)
	}
	p.sending.Wait()
	close(p.exits)
}

// StartInstance implements pools.Starter.
func (p *Pool) StartInstance(ctx context.Context, id spillway.InstanceID, f *spillway.Function) (pools.ColdStart, error) {
	var cold pools.ColdStart
	if p.options.Start != nil {
		var err error
		if cold, err = p.options.Start(ctx, f); err != nil {
			return pools.ColdStart{}, startError("Runtime.ExitError", id, f, err)
		}
	}
	timer := time.NewTimer(cold.Total())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return pools.ColdStart{}, startError("Runtime.InitTimeout", id, f, err)
	}
	return cold, p.add(id, f)
}

func (p *Pool) add(id spillway.InstanceID, f *spillway.Function) error {
	p.instancesMu.Lock()
	defer p.instancesMu.Unlock()
	switch {
	case p.closed:
		return startError("Runtime.ExitError", id, f, errors.New("the pool is closed"))
	case p.instances[id] != nil:
		return startError("Runtime.InvalidEntrypoint", id, f, errors.New("the id is in use"))
	}
	ctx, stop := context.WithCancel(context.Background())
	p.instances[id] = &instance{function: f, ctx: ctx, stop: stop}
	return nil
}

func startError(kind string, id spillway.InstanceID, f *spillway.Function, err error) error {
	return &pools.StartError{Type: kind, Err: fmt.Errorf("start instance %d of %s: %w", id, f.FunctionKey, err)}
}

// StopInstance implements pools.Starter. A busy instance is killed.
func (p *Pool) StopInstance(_ context.Context, id spillway.InstanceID) { p.remove(id) }

// Kill ends an idle instance as if it had died by itself, and returns once Exits
// delivered it or the pool is closed. It reports whether there was one.
func (p *Pool) Kill(id spillway.InstanceID) bool {
	p.instancesMu.Lock()
	if p.closed {
		p.instancesMu.Unlock()
		return false
	}
	p.sending.Add(1)
	p.instancesMu.Unlock()
	defer p.sending.Done()
	if !p.remove(id) {
		return false
	}
	select {
	case p.exits <- id:
	case <-p.closing:
	}
	return true
}

// remove forgets an instance and waits until it runs nothing.
func (p *Pool) remove(id spillway.InstanceID) bool {
	p.instancesMu.Lock()
	i := p.instances[id]
	delete(p.instances, id)
	p.instancesMu.Unlock()
	if i == nil {
		return false
	}
	i.stop()
	i.busy.Lock()
	i.busy.Unlock() //nolint:staticcheck // only waits for the execution to end
	return true
}

// Exits implements pools.Starter. It delivers what Kill killed.
func (p *Pool) Exits() <-chan spillway.InstanceID { return p.exits }

// Instances returns how many instances there are.
func (p *Pool) Instances() int {
	p.instancesMu.Lock()
	defer p.instancesMu.Unlock()
	return len(p.instances)
}

// Invoke implements pools.Pool.
func (p *Pool) Invoke(ctx context.Context, r pools.Request) pools.Result {
	p.instancesMu.Lock()
	i := p.instances[r.Instance]
	if i == nil || i.function.FunctionKey != r.Function.FunctionKey || !i.busy.TryLock() {
		p.instancesMu.Unlock()
		return notExecuted(spillway.CauseRejected, fmt.Sprintf("instance %d of %s is unknown or busy", r.Instance, r.Function.FunctionKey))
	}
	p.instancesMu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(i.ctx, cancel)()
	result := p.execute(ctx, r, limits{r.Function.Timeout, r.Function.Resources.MiB})
	i.busy.Unlock()
	result.InstanceGone = i.ctx.Err() != nil
	if died(result.Outcome) {
		p.remove(r.Instance)
		result.InstanceGone = true
	}
	return result
}

func died(o spillway.Outcome) bool {
	return o.Class == spillway.Executed && (o.Cause == spillway.CauseTimeout || o.Cause == spillway.CauseCrashed)
}

// Cloud is a cloud pool: it has no instances of its own and bills what it runs,
// rounded up to the millisecond. It is safe for concurrent use.
type Cloud struct {
	core
	index int
}

// NewCloud returns a cloud that runs functions by their binding on pool index.
func NewCloud(index int, options Options) *Cloud {
	return &Cloud{core: core{options: options}, index: index}
}

// Invoke implements pools.Pool.
func (c *Cloud) Invoke(ctx context.Context, r pools.Request) pools.Result {
	b := r.Function.Bindings[c.index]
	result := c.execute(ctx, r, limits{b.Timeout, b.MiB})
	u := &result.Outcome.Usage
	u.BilledMillis = (u.DurationMicros + 999) / 1000
	if cut := result.Outcome.Cause == spillway.CauseCrashed && ctx.Err() != nil; cut {
		// A cloud does not notice that its caller went away.
		result = pools.Result{Outcome: spillway.Outcome{Class: spillway.Unknown, Cause: spillway.CauseLost, Detail: "cancelled in flight"}}
	}
	return result
}
