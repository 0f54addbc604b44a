package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
)

// restoreJobs holds what open jobs held before a restart. Of an id the latest attempt is
// the open one: it was admitted because the others had ended.
func (s *Server) restoreJobs(open []*billing.Entry) {
	latest := map[string]*billing.Entry{}
	for _, e := range open {
		other := latest[e.Invocation]
		if other == nil {
			latest[e.Invocation] = e
			continue
		}
		if e.Attempt < other.Attempt {
			e, other = other, e
		}
		latest[e.Invocation] = e
		s.jobs.owed[openKey{other.Invocation, other.Attempt}] = endedBefore(other, e)
	}
	for _, uid := range slices.Sorted(maps.Keys(latest)) {
		if e := latest[uid]; !s.restoreJob(e) {
			s.jobs.strays[uid] = e
		}
	}
	if len(s.jobs.owed) > 0 {
		s.background.Go(s.writeOwed)
	}
}

func (s *Server) restoreJob(e *billing.Entry) bool {
	o := dispatcher.OpenJob{
		UID: e.Invocation, Namespace: e.Namespace, Name: e.Function, Pod: e.Revision, Attempt: e.Attempt, Pool: e.Pool, Reason: e.Reason,
		Since: spillway.InstantOf(e.Admitted), Placed: spillway.InstantOf(e.Posted), Need: e.Resources,
	}
	if !e.Deadline.IsZero() {
		o.Timeout = e.Deadline.Sub(e.Posted)
	}
	return s.engine.RestoreJob(o, &dispatcher.Decision{Owner: &openJob{entry: *e, written: true}})
}

// endedBefore is the line of an attempt that lost its own: it had ended when the next was
// admitted.
func endedBefore(e, next *billing.Entry) *billing.Entry {
	lasted := max(time.Millisecond, next.Posted.Sub(e.Posted))
	if !e.Deadline.IsZero() {
		lasted = min(lasted, e.Deadline.Sub(e.Posted))
	}
	return jobLine(e, billing.KindEstimate, &spillway.Outcome{Class: spillway.Unknown,
		Usage: spillway.Usage{Started: spillway.InstantOf(e.Posted), DurationMicros: lasted.Microseconds(), Estimated: true}})
}

// EndJob takes how an attempt ended, and writes its line before it returns; after an
// error the same may be told again. It reports false if that attempt is not open: it has
// ended before, or never was.
func (s *Server) EndJob(_ context.Context, uid string, end dispatcher.JobEnd) (bool, error) {
	lock := s.jobs.lock(uid)
	lock.Lock()
	defer lock.Unlock()
	if s.owes(uid, end) {
		return true, s.postOwed(openKey{uid, end.Attempt})
	}
	own, open := s.endJob(uid, end)
	if own == nil {
		return open, nil
	}
	return open, s.postJob(*own)
}

// owes reports whether the line of an ended attempt is not written; that of a stray is
// made now.
func (s *Server) owes(uid string, end dispatcher.JobEnd) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := openKey{uid, end.Attempt}
	if e := s.jobs.strays[uid]; e != nil && e.Attempt == end.Attempt && end.Outcome.Class != spillway.Unknown {
		kind := billing.KindCharge
		if end.Outcome.Class == spillway.NotExecuted {
			kind = billing.KindVoid
		}
		s.jobs.owed[key] = jobLine(e, kind, &end.Outcome)
		delete(s.jobs.strays, uid)
	}
	return s.jobs.owed[key] != nil
}

// endJob returns what is to be posted of the attempt, nil if there is nothing.
func (s *Server) endJob(uid string, end dispatcher.JobEnd) (own *dispatcher.Effect, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	effects, open := s.engine.EndJob(s.clock.now(), uid, end)
	others := effects[:0:0]
	for i := range effects {
		if f := effects[i]; f.Decision != nil && f.Decision.Call.ID == uid {
			own = &f
		} else {
			others = append(others, f)
		}
	}
	s.route(others)
	return own, open
}

// postJob writes the line of an attempt that has ended, and keeps why it ran there. The
// lock of its id is held.
func (s *Server) postJob(f dispatcher.Effect) error {
	owner := f.Decision.Owner.(*openJob)
	s.keepJob(f.Decision)
	if !owner.written { // it was never told
		return nil
	}
	key := openKey{owner.entry.Invocation, owner.entry.Attempt}
	s.mu.Lock()
	s.jobs.owed[key] = jobLine(&owner.entry, f.Line, &f.Decision.Last().Outcome)
	s.mu.Unlock()
	return s.postOwed(key)
}

// jobLine is the line of an ended attempt. A charge out of range is its reservation.
func jobLine(intent *billing.Entry, kind billing.Kind, o *spillway.Outcome) *billing.Entry {
	e := *intent
	e.Kind, e.Posted, e.Usage, e.Outcome, e.Error, e.Sequence = kind, time.Now().UTC(), o.Usage, o.Class, o.FunctionError, 0
	if kind != billing.KindVoid {
		if err := e.Charge(billing.Meter(e.Usage, e.Rate, spillway.PoolOffline)); err != nil {
			e.Amount = billing.DecimalOf(e.Reserved)
		}
	}
	return &e
}

// postOwed writes a line that is owed, if it is still. The lock of its id is held.
func (s *Server) postOwed(key openKey) error {
	s.mu.Lock()
	e := s.jobs.owed[key]
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	if err := s.ledger.Post(e); err != nil {
		s.ledgerFailed(err)
		return fmt.Errorf("write the line of job %s: %w", key.invocation, err)
	}
	s.mu.Lock()
	delete(s.jobs.owed, key)
	s.mu.Unlock()
	return nil
}

// writeOwed writes all lines that are owed; what fails is tried when the ledger is well.
func (s *Server) writeOwed() {
	s.mu.Lock()
	keys := slices.Collect(maps.Keys(s.jobs.owed))
	s.mu.Unlock()
	for _, key := range keys {
		lock := s.jobs.lock(key.invocation)
		lock.Lock()
		err := s.postOwed(key)
		lock.Unlock()
		if err != nil {
			s.log.Error("ledger line not written yet", "error", err)
			return
		}
	}
}

// Jobs returns the open jobs, in the order of their ids; also those that belong nowhere
// any more, of which no node is known.
func (s *Server) Jobs() []dispatcher.JobView {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.engine.Jobs()
	for _, e := range s.jobs.strays {
		all = append(all, dispatcher.JobView{UID: e.Invocation, Namespace: e.Namespace, Job: e.Function, Pod: e.Revision, Attempt: e.Attempt,
			State: dispatcher.JobAdmitted.String(), Pool: e.Pool, Reason: e.Reason, Since: spillway.InstantOf(e.Admitted),
			MilliCPU: e.Resources.MilliCPU, MemoryMiB: e.Resources.MiB})
	}
	slices.SortFunc(all, func(a, b dispatcher.JobView) int { return strings.Compare(a.UID, b.UID) })
	return all
}
