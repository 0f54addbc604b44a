package kube

import (
	"context"
	"errors"
	"os"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
)

// equip sees to it that the agent has the function's package. What is wrong with a
// package its zip file shows.
func (p *Pool) equip(ctx context.Context, w *pod, f *spillway.Function) error {
	if f.Image != "" {
		return nil
	}
	if sent, err := p.sendPacked(ctx, w, f.Package); sent || err != nil {
		return err
	}
	zip, err := os.Open(f.Package.Path)
	if err != nil {
		return &pools.StartError{Type: "Spillway.PackageError", Err: err}
	}
	defer zip.Close()
	return told(w.agent.Send(ctx, f.Package.Digest, zip))
}

// sendPacked sends a package that is packed; false if its zip file has to be sent.
func (p *Pool) sendPacked(ctx context.Context, w *pod, pkg spillway.Package) (sent bool, err error) {
	p.mu.Lock()
	old := p.oldAgents
	p.mu.Unlock()
	if p.config.Packed == nil || old {
		return false, nil
	}
	file, sum, size := p.config.Packed.Open(pkg)
	if file == nil {
		return false, nil
	}
	defer file.Close()
	err = w.agent.SendPacked(ctx, pkg.Digest, sum, file, size)
	switch {
	case errors.Is(err, remote.ErrPackedBad):
		p.log.Warn("a packed package is packed again", "package", pkg.Path, "error", err)
		p.config.Packed.Forget(pkg, sum)
		return false, nil
	case errors.Is(err, remote.ErrPackedNotKept):
		p.log.Warn("a package is sent as a zip file", "package", pkg.Path, "error", err)
		return false, nil
	case errors.Is(err, remote.ErrPackedUnknown):
		p.log.Warn("the agents are older than this dispatcher: instances start more slowly until the pool's runtimeImage is as new", "error", err)
		p.mu.Lock()
		p.oldAgents = true
		p.mu.Unlock()
		return false, nil
	}
	return true, told(err)
}

// told is what an agent says against a package, or err.
func told(err error) error {
	if start, ok := errors.AsType[*pools.StartError](err); ok {
		return start
	}
	return err
}
