package server

import (
	"context"
	"errors"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/pools"
)

func (s *Server) startInstance(f dispatcher.Effect) {
	limit := f.Function.Platform.Pools[f.Pool].InitTimeout
	ctx, cancel := context.WithTimeout(s.life, limit)
	defer cancel()
	cold, err := s.pool(f.Pool).(pools.Starter).StartInstance(ctx, f.Instance, f.Function)
	o := dispatcher.Observation{Kind: dispatcher.InstanceReady, Pool: f.Pool, Instance: f.Instance}
	if err != nil {
		o.Kind, o.Detail = startFailure(err), startDetail(err)
		s.log.Warn("instance did not start", "function", f.Function.FunctionKey.String(), "error", err)
	}
	s.metrics.started(f, cold, err)
	s.observe(o)
}

// startFailure tells a pool without room from a function that cannot start.
func startFailure(err error) dispatcher.ObservationKind {
	switch {
	case errors.Is(err, pools.ErrNoRoom):
		return dispatcher.InstanceUnplaced
	case errors.Is(err, pools.ErrQuota):
		return dispatcher.InstanceRefused
	}
	return dispatcher.InstanceFailed
}

// startDetail is what the callers of an instance that did not start are told:
// Lambda's word for it first, which initError makes the error's type.
func startDetail(err error) string {
	if start, ok := errors.AsType[*pools.StartError](err); ok {
		return start.Error()
	}
	return (&pools.StartError{Type: "Runtime.ExitError", Err: err}).Error()
}

func (s *Server) stopInstance(f dispatcher.Effect) {
	s.pool(f.Pool).(pools.Starter).StopInstance(context.WithoutCancel(s.life), f.Instance)
	s.observe(dispatcher.Observation{Kind: dispatcher.InstanceStopped, Pool: f.Pool, Instance: f.Instance})
}

func (s *Server) observe(o dispatcher.Observation) {
	s.apply(func(e *dispatcher.Engine, now spillway.Instant) []dispatcher.Effect { return e.Observe(now, o) })
}

// watchCapacity reports what a pool is found to have.
func (s *Server) watchCapacity(pool int, found <-chan spillway.Resources) {
	for {
		select {
		case capacity, ok := <-found:
			if !ok {
				return
			}
			s.observe(dispatcher.Observation{Kind: dispatcher.PoolCapacity, Pool: pool, Capacity: capacity})
		case <-s.life.Done():
			return
		}
	}
}

// watchInstances reports what becomes of instances by itself.
func (s *Server) watchInstances(pool int, kind dispatcher.ObservationKind, ids <-chan spillway.InstanceID) {
	for {
		select {
		case id, ok := <-ids:
			if !ok {
				return
			}
			s.observe(dispatcher.Observation{Kind: kind, Pool: pool, Instance: id})
		case <-s.life.Done():
			return
		}
	}
}
