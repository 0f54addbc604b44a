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
}

// StartInstance implements pools.Starter. The steps of the cold start are: until the
// pod runs and has its package, until the process is started, until it asks for work.
func (p *Pool) StartInstance(ctx context.Context, id spillway.InstanceID, f *spillway.Function) (pools.ColdStart, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i, err := p.reserve(id, f, cancel)
	if err == nil {
		var cold pools.ColdStart
		if cold, err = p.start(ctx, i); err == nil {
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
	i := &instance{id: id, function: f, cancel: cancel}
	p.instances[id] = i
	return i, nil
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
		return pools.ColdStart{}, err
	}
	ready := time.Since(began)
	spec := remote.SpecOf(i.function)
	spec.Region, spec.InitTimeout = p.spec.region, p.config.Pool.InitTimeout
	spec.LogStream = w.name
	cold, err := w.agent.Start(ctx, spec)
	if err != nil {
		return pools.ColdStart{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i.stopped || p.pods[w.uid] != w {
		return pools.ColdStart{}, &pools.StartError{Type: "Runtime.ExitError", Err: errors.New("it ended as soon as it was ready")}
	}
	i.started = true
	p.background.Go(func() { p.outlive(i) })
	cold.Unpack += ready
	return cold, nil
}

// outlive waits for the end of an instance's function. One that ends while it runs
// nothing is reported, and its pod deleted; what it runs says so itself.
func (p *Pool) outlive(i *instance) {
	if i.pod.agent.Wait(p.life) != nil {
		return // the pod is gone, or nobody wants to know any more
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
		p.drop(w)
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
		return &pools.StartError{Type: "Spillway.PackageError", Err: err}
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
		p.drop(w)
	}
}

// StopInstance deletes the pod of an instance and returns when it is gone, or ctx ends.
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
	err := p.end(ctx, w)
	w.agent.Close()
	p.mu.Lock()
	delete(p.instances, id)
	p.mu.Unlock()
	p.changed()
	if err != nil {
		p.log.Warn("an instance is stopped whose pod is not gone", "error", err)
	}
}
