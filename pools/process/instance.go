package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

// instance is one started function. The fields from agent on are guarded by Pool.mu.
type instance struct {
	id       spillway.InstanceID
	function *spillway.Function
	slot     int
	uid      int // leased from users; 0 if it shares the server's
	scratch  string
	log      *logFile
	cancel   context.CancelFunc // ends a start that is under way

	agent   *agent.Instance // nil while it starts
	calls   int             // that it runs
	stopped bool            // somebody asked for its end
	ended   bool            // reaped and cleaned up
}

// stop asks for the end of i; Pool.mu is held.
func (i *instance) stop() {
	i.stopped = true
	i.cancel()
	if i.agent != nil {
		i.agent.Kill()
	}
}

// StartInstance starts an instance of f named id.
func (p *Pool) StartInstance(ctx context.Context, id spillway.InstanceID, f *spillway.Function) (pools.ColdStart, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	i, err := p.reserve(id, f, cancel)
	if err != nil {
		return pools.ColdStart{}, fmt.Errorf("start an instance of %s: %w", f.FunctionKey, err)
	}
	cold, err := p.start(ctx, i)
	if err != nil {
		p.cleanUp(i)
		return pools.ColdStart{}, fmt.Errorf("start an instance of %s: %w", f.FunctionKey, err)
	}
	return cold, nil
}

// reserve makes the instance known and gives it the lowest free slot.
func (p *Pool) reserve(id spillway.InstanceID, f *spillway.Function, cancel context.CancelFunc) (*instance, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return nil, errors.New("the pool is closed")
	case p.instances[id] != nil:
		return nil, fmt.Errorf("instance %d exists", id)
	}
	slot := p.lowest
	for slot < maxSlots && p.slots[slot] {
		slot++
	}
	if slot == maxSlots {
		return nil, fmt.Errorf("all %d slots for instances are taken", maxSlots)
	}
	p.slots[slot], p.lowest = true, slot+1
	i := &instance{id: id, function: f, slot: slot, cancel: cancel}
	p.instances[id] = i
	p.live.Add(1)
	return i, nil
}

func (p *Pool) start(ctx context.Context, i *instance) (pools.ColdStart, error) {
	began := time.Now()
	dir, err := p.packages.unpacked(i.function.Package)
	if err != nil {
		return pools.ColdStart{}, &pools.StartError{Type: "Spillway.PackageError", Err: err}
	}
	program, err := unpack.Program(dir, i.function.Handler)
	if err != nil {
		return pools.ColdStart{}, &pools.StartError{Type: "Runtime.InvalidEntrypoint", Err: err}
	}
	unpack := time.Since(began)
	c, err := p.prepare(i, dir, program)
	if err != nil {
		return pools.ColdStart{}, err
	}
	started, err := agent.Start(ctx, c)
	if err != nil {
		return pools.ColdStart{}, withLog(err, i.function)
	}
	if !p.started(i, started) {
		<-started.Done()
		return pools.ColdStart{}, &pools.StartError{Type: "Runtime.ExitError", Err: errors.New("it ended as soon as it was ready")}
	}
	cold := started.ColdStart()
	cold.Unpack = unpack
	return cold, nil
}

// withLog adds where to look to a start that took too long: only its log says why.
func withLog(err error, f *spillway.Function) error {
	if late, ok := errors.AsType[*pools.StartError](err); ok && late.Type == "Runtime.InitTimeout" {
		return &pools.StartError{Type: late.Type, Err: fmt.Errorf("%w; `spillway logs %s` shows what it wrote", late.Err, f.FunctionKey)}
	}
	return err
}

// started publishes a ready instance, unless it has ended or is to end.
func (p *Pool) started(i *instance, ready *agent.Instance) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i.ended || i.stopped {
		ready.Kill()
		return false
	}
	i.agent = ready
	return true
}

// prepare makes everything that an instance holds on this machine.
func (p *Pool) prepare(i *instance, dir, program string) (agent.Config, error) {
	f := i.function
	i.scratch = filepath.Join(p.run, "work", strconv.Itoa(i.slot))
	if err := errors.Join(os.RemoveAll(i.scratch), os.Mkdir(i.scratch, 0o700)); err != nil {
		return agent.Config{}, fmt.Errorf("make a working directory: %w", err)
	}
	var user *syscall.Credential
	uid := os.Geteuid()
	if p.users {
		var err error
		if uid, err = users.take(); err != nil {
			return agent.Config{}, err
		}
		i.uid = uid
		user = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		if err := os.Chown(i.scratch, uid, uid); err != nil {
			return agent.Config{}, fmt.Errorf("give away a working directory: %w", err)
		}
	}
	log, err := p.logs.use(f.FunctionKey)
	if err != nil {
		return agent.Config{}, fmt.Errorf("open its log: %w", err)
	}
	i.log = log
	limit, err := p.limiters.limiter(i.slot, f.Instance.MiB)
	if err != nil {
		return agent.Config{}, fmt.Errorf("limit its memory: %w", err)
	}
	return agent.Config{
		Name: f.Name, Version: f.Revision, Handler: f.Handler, Region: p.config.Region,
		ARN:       "arn:aws:lambda:onprem:000000000000:function:" + f.Name,
		MemoryMiB: f.Instance.MiB,
		TaskRoot:  dir, Scratch: i.scratch, Command: []string{program}, Env: f.Env,
		Web:         f.Contract == spillway.ContractHTTP,
		WebAtOnce:   f.Concurrency,
		InitTimeout: p.config.InitTimeout, MaxResponse: pools.MaxPayload,
		Log: log, LogGroup: "/spillway/" + f.FunctionKey.String(), LogStream: strconv.FormatUint(uint64(i.id), 10),
		Credential: user,
		Cage:       &cell{limit, p.records, i.slot, uid},
		Ended:      func() { p.cleanUp(i) },
	}, nil
}

// cleanUp gives back what an instance held, once nothing of it is running. An idle
// instance that nobody stopped is reported as an exit.
func (p *Pool) cleanUp(i *instance) {
	p.mu.Lock()
	again := i.ended
	i.ended = true
	p.mu.Unlock()
	if again {
		return
	}
	if i.scratch != "" {
		_ = os.RemoveAll(i.scratch) // what cannot be removed now is at the next start
	}
	if i.log != nil {
		_ = i.log.release()
	}
	if i.uid != 0 {
		_ = users.give(i.uid) // one that cannot be given back stays taken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots[i.slot] = false
	p.lowest = min(p.lowest, i.slot)
	if i.calls == 0 {
		p.forget(i)
	}
	p.live.Done()
}

// forget drops an instance that has ended; mu is held.
func (p *Pool) forget(i *instance) {
	if p.instances[i.id] != i {
		return
	}
	delete(p.instances, i.id)
	if !i.stopped && i.agent != nil {
		p.exits.Add(i.id)
	}
}

// StopInstance kills an instance and returns when it is reaped or ctx ends.
func (p *Pool) StopInstance(ctx context.Context, id spillway.InstanceID) {
	p.mu.Lock()
	i := p.instances[id]
	if i == nil {
		p.mu.Unlock()
		return
	}
	i.stop()
	running := i.agent
	p.mu.Unlock()
	if running == nil {
		return // StartInstance reports that it was abandoned
	}
	select {
	case <-running.Done():
	case <-ctx.Done():
	}
}
