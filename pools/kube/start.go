package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
)

// instance is one that was started, or is being started. What follows function is
// guarded by Pool.mu.
type instance struct {
	id       spillway.InstanceID
	function *spillway.Function

	cancel  context.CancelFunc // of its start
	pod     *pod               // nil until it has one
	started bool
	stopped bool // somebody asked for its end
	calls   int
	ejected bool // its agent cannot be reached, or its pod was deleted: it takes no more calls
}

// StartInstance implements pools.Starter. The steps of the cold start are: until the
// pod runs and has its package, until the process is started, until it asks for work.
func (p *Pool) StartInstance(ctx context.Context, id spillway.InstanceID, f *spillway.Function) (pools.ColdStart, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i, err := p.reserve(id, f, cancel)
	if err == nil {
		var cold pools.ColdStart
		cold, err = p.start(ctx, i)
		p.settleStart(ctx, i, err)
		if err == nil {
			return cold, nil
		}
		p.abandon(i)
	}
	return pools.ColdStart{}, fmt.Errorf("start an instance of %s: %w", f.FunctionKey, err)
}

func (p *Pool) reserve(id spillway.InstanceID, f *spillway.Function, cancel context.CancelFunc) (*instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, errors.New("the pool is closed")
	case p.instances[id] != nil:
		return nil, fmt.Errorf("instance %d exists", id)
	}
	if err := p.mayStart(f, time.Now()); err != nil {
		return nil, err
	}
	i := &instance{id: id, function: f, cancel: cancel}
	p.instances[id] = i
	return i, nil
}

// settleStart remembers of the function how its start ended. One that was given up says
// nothing.
func (p *Pool) settleStart(ctx context.Context, i *instance, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		err = context.Canceled
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tried(i.function, err, time.Now())
}

func (p *Pool) start(ctx context.Context, i *instance) (pools.ColdStart, error) {
	began := time.Now()
	w, err := p.place(ctx, i)
	if err != nil {
		return pools.ColdStart{}, err
	}
	p.mu.Lock()
	i.pod, w.instance = w, i
	p.mu.Unlock()
	if err := p.equip(ctx, w, i.function); err != nil {
		return pools.ColdStart{}, p.blame(ctx, w, err)
	}
	ready := time.Since(began)
	spec := remote.SpecOf(i.function)
	spec.Region, spec.InitTimeout = p.spec.region, p.config.Pool.InitTimeout
	spec.LogStream = w.name
	cold, err := w.agent.Start(ctx, spec)
	if err != nil {
		return pools.ColdStart{}, p.blame(ctx, w, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if o, _ := w.look(); i.stopped || p.pods[w.uid] != w || over(o) || o.DeletionTimestamp != nil {
		return pools.ColdStart{}, &pools.StartError{Type: "Runtime.ExitError", Err: errors.New("it ended as soon as it was ready")}
	}
	i.started = true
	p.background.Go(func() { p.outlive(i) })
	cold.Unpack = ready // the agent's own part of it is in there
	return cold, nil
}

// blame says whose fault it is that an agent did not start a function. One that cannot
// be asked any more has ended with its container, which says why, or is out of reach:
// that says nothing against the function.
func (p *Pool) blame(ctx context.Context, w *pod, err error) error {
	if _, told := errors.AsType[*pools.StartError](err); told || ctx.Err() != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if _, silent := w.agent.Health(asking); silent == nil {
		return err
	}
	for {
		o, next := w.look()
		if over(o) {
			return hopeless(o)
		}
		select {
		case <-next:
		case <-w.left:
			return fmt.Errorf("%w: its pod %s/%s was deleted", pools.ErrNoRoom, w.namespace, w.name)
		case <-asking.Done():
			return fmt.Errorf("%w: its pod %s/%s is out of reach: %w", pools.ErrNoRoom, w.namespace, w.name, err)
		}
	}
}

// askWithin is how long an agent has to answer that it is there.
const askWithin = 3 * time.Second

// outlive waits for the end of an instance's function. One that ends while it runs
// nothing is reported, and its pod deleted; what it runs says so itself.
func (p *Pool) outlive(i *instance) {
	for wait := 100 * time.Millisecond; i.pod.agent.Wait(p.life) != nil; wait = min(2*wait, 5*time.Second) {
		select {
		case <-time.After(wait):
		case <-i.pod.left:
			return
		case <-p.life.Done():
			return
		}
		p.mu.Lock()
		forgotten := p.instances[i.id] != i
		p.mu.Unlock()
		if forgotten {
			return
		}
	}
	p.mu.Lock()
	idle := p.instances[i.id] == i && i.calls == 0 && !i.stopped
	if idle {
		delete(p.instances, i.id)
		p.exits.Add(i.id)
	}
	p.mu.Unlock()
	if idle {
		p.changed()
		p.drop(i.pod)
	}
}

// place returns a pod whose agent answers: one that waits, or a new one.
func (p *Pool) place(ctx context.Context, i *instance) (*pod, error) {
	f := i.function
	size := -1
	if f.Image == "" && f.ServiceAccount == "" {
		if w := p.takeReady(f.Instance); w != nil {
			return w, nil
		}
		size = p.sizeFor(f.Instance)
	}
	if size >= 0 {
		return p.makeGeneric(ctx, size)
	}
	w, err := p.create(ctx, p.spec.instance(i.id, f), -1)
	if err != nil {
		return nil, err
	}
	if err := p.reach(ctx, w); err != nil {
		p.background.Go(func() { p.drop(w) })
		return nil, err
	}
	return w, nil
}

// reach waits until the pod runs and its agent answers.
func (p *Pool) reach(ctx context.Context, w *pod) error {
	address, err := p.await(ctx, w)
	if err != nil {
		return err
	}
	w.agent = remote.DialWith(p.config.Dial, net.JoinHostPort(address, strconv.Itoa(remote.Port)), p.tls)
	ended := make(chan struct{})
	defer close(ended)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // a container that ends again is not waited for
		select {
		case <-w.left:
			cancel()
		case <-ended:
		}
	}()
	return w.agent.Await(ctx)
}

// equip sees to it that the agent has the function's package.
func (p *Pool) equip(ctx context.Context, w *pod, f *spillway.Function) error {
	if f.Image != "" {
		return nil
	}
	zip, err := os.Open(f.Package.Path)
	if err != nil {
		return &pools.StartError{Type: "Spillway.PackageError", Err: err}
	}
	defer zip.Close()
	if err := w.agent.Send(ctx, f.Package.Digest, zip); err != nil {
		if start, ok := errors.AsType[*pools.StartError](err); ok {
			return start
		}
		return err
	}
	return nil
}

// abandon gives up what a start that failed has.
func (p *Pool) abandon(i *instance) {
	p.mu.Lock()
	delete(p.instances, i.id)
	w := i.pod
	p.mu.Unlock()
	p.changed()
	if w != nil {
		p.background.Go(func() { p.drop(w) })
	}
}

// stopInstanceWithin is when an instance is given up whose pod does not go away, as on a
// node that is lost.
const stopInstanceWithin = 20 * time.Second

// StopInstance deletes the pod of an instance and returns when it is gone. One that does
// not go away is given up after a while: the pool has less room until it is gone.
func (p *Pool) StopInstance(ctx context.Context, id spillway.InstanceID) {
	p.mu.Lock()
	i := p.instances[id]
	if i == nil {
		p.mu.Unlock()
		return
	}
	i.stopped = true
	i.cancel()
	w := i.pod
	if !i.started {
		p.mu.Unlock()
		return // StartInstance reports that it was abandoned
	}
	p.mu.Unlock()
	ending, cancel := context.WithTimeout(ctx, stopInstanceWithin)
	defer cancel()
	err := p.end(ending, w)
	w.agent.Close()
	p.mu.Lock()
	delete(p.instances, id)
	if err != nil {
		p.undead(w)
		p.background.Go(func() { o, _ := w.look(); p.discard(o) })
	}
	p.mu.Unlock()
	p.changed()
	if err != nil {
		p.log.Warn("an instance is stopped whose pod is not gone", "error", err)
	}
}
