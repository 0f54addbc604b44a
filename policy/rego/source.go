package rego

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// errRemoved keeps a deleted policy from turning into the default one, which
// may permit more.
var errRemoved = errors.New("there is no *.rego in it any more; restart to run with the default policy")

// Source answers with the newest good policy of a directory. All methods are
// safe for concurrent use; Evaluate never waits for a reload.
type Source struct {
	dir     string
	changed func(revision string, err error)
	limit   time.Duration // of each evaluation
	current atomic.Pointer[Evaluator]

	mu       sync.Mutex // serialises Reload and Swap
	bundle   *Bundle
	platform *spillway.Platform

	reloads, rejected     atomic.Int64
	evaluations, failures atomic.Int64 // of evaluators that were replaced
}

// Open loads the policy in dir ("" is the default policy) for the pools of p.
// changed is called after every reload that replaced the policy (err nil) or was
// rejected (revision is the one that stays), one call at a time; it may be nil
// and must not call Reload or Swap.
func Open(dir string, p *spillway.Platform, changed func(revision string, err error)) (*Source, error) {
	return openWithin(dir, p, changed, Limit)
}

// offlineLimit is so long that a busy machine does not decide what a policy says.
const offlineLimit = 10 * time.Second

// OpenOffline is Open for drivers whose answers must not depend on how busy the
// machine is: a simulation, which nobody waits for. A policy may think for ten
// seconds, where a live server denies after Limit.
func OpenOffline(dir string, p *spillway.Platform) (*Source, error) {
	return openWithin(dir, p, nil, offlineLimit)
}

func openWithin(dir string, p *spillway.Platform, changed func(revision string, err error), limit time.Duration) (*Source, error) {
	bundle, err := Load(dir)
	if err != nil {
		return nil, err
	}
	if changed == nil {
		changed = func(string, error) {}
	}
	s := &Source{dir: dir, changed: changed, limit: limit}
	if err := s.install(bundle, p); err != nil {
		return nil, err
	}
	return s, nil
}

// Evaluate is Evaluator.Evaluate of the current policy and platform.
func (s *Source) Evaluate(ctx context.Context, now spillway.Instant, in policy.Input) *policy.Verdict {
	return s.current.Load().Evaluate(ctx, now, in)
}

// Revision returns the digest of the policy that answers now.
func (s *Source) Revision() string { return s.current.Load().bundle.revision }

// Reload reads the directory anew. A policy with problems is rejected and the
// last good one stays; without a change nothing happens and verdicts stay cached.
func (s *Source) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	bundle, err := Load(s.dir)
	if err == nil && bundle.builtin && !s.bundle.builtin {
		err = fmt.Errorf("reading the policy directory %s: %w", s.dir, errRemoved)
	}
	if err == nil && bundle.revision == s.bundle.revision {
		return nil
	}
	if err == nil {
		err = s.install(bundle, s.platform)
	}
	if err != nil {
		s.rejected.Add(1)
	} else {
		s.reloads.Add(1)
	}
	s.changed(s.bundle.revision, err)
	return err
}

// Swap binds the current policy to another platform. From its return on, new
// verdicts carry the Generation and the pool indices of p.
func (s *Source) Swap(p *spillway.Platform) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.install(s.bundle, p)
}

// install replaces the evaluator; on error everything stays as it was.
func (s *Source) install(bundle *Bundle, p *spillway.Platform) error {
	e, err := bundle.Bind(p)
	if err != nil {
		return err
	}
	e.limit = s.limit
	if old := s.current.Swap(e); old != nil {
		s.evaluations.Add(old.evaluations.Load())
		s.failures.Add(old.failures.Load())
	}
	s.bundle, s.platform = bundle, p
	return nil
}

// Stats counts since Open.
type Stats struct {
	Evaluations int64 // verdicts that were not in the cache
	Failures    int64 // verdicts with Failed set, each time one was made
	Reloads     int64 // policies replaced
	Rejected    int64 // policies refused while the last good one stayed
	Cached      int   // verdicts in the cache now
}

// Stats returns the counters, which are read one after the other.
func (s *Source) Stats() Stats {
	e := s.current.Load()
	return Stats{
		Evaluations: s.evaluations.Load() + e.evaluations.Load(),
		Failures:    s.failures.Load() + e.failures.Load(),
		Reloads:     s.reloads.Load(),
		Rejected:    s.rejected.Load(),
		Cached:      e.verdicts.size(),
	}
}
