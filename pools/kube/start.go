package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
)

// instance is one that was started, or is being started. What follows function is
// guarded by Pool.mu.
type instance struct {
	id       spillway.InstanceID
	function *spillway.Function

	hurried bool // it is in a pod that waited; the start's own

	cancel  context.CancelFunc // of its start
	spec    *corev1.Pod        // to be made for it; nil: it has one that waited
	size    int                // of spec
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
		err = p.orTaken(ctx, i, err)
		if i.hurried {
			p.hurried()
		}
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
	p.choose(i)
	p.instances[id] = i
	return i, nil
}

// choose gives an instance a pod that waits, or says which is to be made for it; mu is
// held. What that needs is missing from what is left from now on.
func (p *Pool) choose(i *instance) {
	f := i.function
	i.size = -1
	if f.Image == "" && f.ServiceAccount == "" {
		if w := p.takeReady(f.Instance); w != nil {
			i.pod, w.instance, i.hurried = w, i, true
			return
		}
		i.size = p.sizeFor(f.Instance)
	}
	if i.size >= 0 {
		i.spec = p.spec.generic(i.size)
	} else {
		i.spec = p.spec.instance(i.id, f)
	}
	p.unseen[i.spec] = needOf(i.spec)
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
	if p.ended(i) {
		p.changed()
		p.drop(i.pod)
	}
}

// ended takes an instance out whose function has ended while it ran nothing, and reports
// that it did. The last call of another says so when it is given back, which may be after
// its answer.
func (p *Pool) ended(i *instance) (idle bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle = p.instances[i.id] == i && i.calls == 0 && !i.stopped
	if idle {
		delete(p.instances, i.id)
		p.exits.Add(i.id)
	} else {
		i.ejected = true
	}
	return idle
}

// place returns the pod of an instance, whose agent answers.
func (p *Pool) place(ctx context.Context, i *instance) (*pod, error) {
	if i.spec == nil {
		p.placed.Add(i.id)
		return i.pod, nil
	}
	return p.make(ctx, i.spec, i.size, i)
}

// reach waits until the pod runs, which gives its instance a place, if it is for one, and
// its agent answers.
func (p *Pool) reach(ctx context.Context, w *pod, i *instance) error {
	address, err := p.await(ctx, w)
	if err != nil {
		return err
	}
	if i != nil {
		p.placed.Add(i.id)
	}
	w.agent = remote.DialWith(p.config.Dial, net.JoinHostPort(address, strconv.Itoa(remote.Port)), p.tls)
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // one that has ended is not waited for
		for {
			o, next := w.look()
			if over(o) || o.DeletionTimestamp != nil {
				cancel()
			}
			select {
			case <-next:
			case <-w.left:
				cancel()
				return
			case <-asking.Done():
				return
			}
		}
	}()
	if err := w.agent.Await(asking); err != nil {
		return p.mute(w, address, err)
	}
	p.refresh(ctx, w) // its address may be another's by now
	return p.mute(w, address, nil)
}

// mute says why the agent that answers at an address, or does not, which is err, is not
// that of the pod; nil if it is.
func (p *Pool) mute(w *pod, address string, err error) error {
	select {
	case <-w.left:
		return fmt.Errorf("%w: its pod %s/%s was deleted", pools.ErrNoRoom, w.namespace, w.name)
	default:
	}
	switch o, _ := w.look(); {
	case over(o):
		return hopeless(o)
	case o.DeletionTimestamp != nil || o.Status.PodIP != address || !running(o):
		return fmt.Errorf("%w: its pod %s/%s runs no more at %s", pools.ErrNoRoom, w.namespace, w.name, address)
	case err != nil:
		return fmt.Errorf("%w: its pod %s/%s runs and is out of reach: %w", pools.ErrNoRoom, w.namespace, w.name, err)
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
