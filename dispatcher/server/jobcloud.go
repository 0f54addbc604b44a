package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// JobRun is one attempt of a job that its burst function runs in a cloud.
type JobRun struct {
	UID     string
	Attempt int
	// Function is as far as the server does not know it. Without a name the job has none any
	// more: nothing is sent, and what was sent before is joined.
	Function spillway.FunctionKey
	Caller   string
	Payload  []byte // the same whenever the attempt is asked for
	Stale    bool   // see Ask
	// Denied is set if Caller may not invoke Function, or not any more: then too.
	Denied bool
}

// refusal is why nothing is sent that was not sent before, or nil.
func (r *JobRun) refusal() error {
	switch {
	case r.Denied:
		return ErrRunDenied
	case r.Function.Name == "":
		return ErrNotSent
	}
	return nil
}

var (
	// ErrNotSent says that an attempt of a job was sent to no cloud, and is not now.
	ErrNotSent = errors.New("this attempt was sent to no cloud")
	// ErrRunDenied says that nothing was sent since the caller may not have it.
	ErrRunDenied = errors.New("the caller may not invoke the function")
	// ErrJobRan says that the cloud has, or may have, run an attempt of a job whose
	// answer is not kept. It is not repeated.
	ErrJobRan = errors.New("a cloud has run this attempt, or may have, and its answer is no longer kept")
)

// jobSpace is the name space of the ids of JobRuns.
var jobSpace = uuid.MustParse("7d0d8cbb-5f0e-4ac6-9a53-6f0f0d2a51c7")

// JobInvocation is the id of the call that an attempt of a job is in a cloud.
func JobInvocation(uid string, attempt int) string {
	return uuid.NewSHA1(jobSpace, []byte(uid+"/"+strconv.Itoa(attempt))).String()
}

// RunJob calls the burst function of a job in the cloud that AdmitJob has sent the
// attempt to, and no other; or joins the call if it runs or has just ended. It is made
// once at most, also over restarts: the ledger knows its id. The call goes on when ctx
// ends. Besides the errors of Invoke there are ErrNotSent, ErrRunDenied and ErrJobRan.
func (s *Server) RunJob(ctx context.Context, r JobRun) (*Answer, error) {
	s.mu.Lock()
	pool, function, sent := s.engine.JobInCloud(r.UID, r.Attempt)
	s.mu.Unlock()
	refusal := r.refusal()
	switch {
	case sent:
	case refusal != nil:
		return nil, s.unlessRan(ctx, JobInvocation(r.UID, r.Attempt), refusal)
	default: // it may run all the same: this server may have been started anew
		function, refusal = r.Function, ErrNotSent
	}
	ask := Ask{
		Function: function, Caller: r.Caller, Payload: r.Payload, LogTail: true, Stale: r.Stale,
		RequestKey: "job/" + r.UID + "/" + strconv.Itoa(r.Attempt), id: JobInvocation(r.UID, r.Attempt),
	}
	ask.pools = spillway.PoolSet(0).With(pool)
	ask.ready = func(ctx context.Context) error {
		if refusal != nil {
			return s.unlessRan(ctx, ask.id, refusal)
		}
		return s.jobRan(ctx, ask.id)
	}
	answer, err := s.Invoke(ctx, ask)
	if errors.Is(err, ErrResultGone) {
		err = fmt.Errorf("%w: %w", ErrJobRan, err)
	}
	if _, gone := errors.AsType[*UnknownFunctionError](err); gone { // it may have been there when it was sent
		err = s.unlessRan(ctx, ask.id, err)
	}
	return answer, err
}

// unlessRan is refusal, unless the call with an id was made before.
func (s *Server) unlessRan(ctx context.Context, id string, refusal error) error {
	if err := s.jobRan(ctx, id); err != nil && !errors.Is(err, ErrNotSent) {
		return err
	}
	return refusal
}

// jobRan finds in the ledger whether the call with an id was made before.
func (s *Server) jobRan(ctx context.Context, id string) error {
	if s.jobs.records == nil {
		return nil
	}
	lines, _, err := s.jobs.records.Lookup(context.WithoutCancel(ctx), id)
	if err != nil {
		return fmt.Errorf("look up whether a cloud has run it: %w", err)
	}
	void := map[int]bool{}
	for i := range lines {
		void[lines[i].Attempt] = void[lines[i].Attempt] || lines[i].Kind == billing.KindVoid
	}
	for i := range lines {
		if !void[lines[i].Attempt] {
			return ErrJobRan
		}
	}
	if len(lines) > 0 {
		return ErrNotSent
	}
	return nil
}
