package memory

import (
	"context"
	"errors"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// WebFunc is the code of web functions, under the rules of Func. What it sends to
// w.Stream must be of an answer that is Streamed.
type WebFunc func(ctx context.Context, w *pools.Web, payload []byte) (*pools.WebAnswer, error)

// web runs a web function. A caller who has gone ends it as the end of ctx does.
func (c *core) web(ctx context.Context, r pools.Request, limit time.Duration) pools.Result {
	running, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(r.Web.Caller, cancel)()
	var answer *pools.WebAnswer
	err := errors.New("this pool has no web functions")
	if c.options.Web != nil {
		answer, err = c.options.Web(running, r.Web, r.Payload)
	}
	var result pools.Result
	switch {
	case r.Web.Caller.Err() != nil:
		result = killed()
	case err != nil && ctx.Err() == nil && running.Err() == nil:
		result = failed(spillway.CauseCrashed, "Runtime.ExitError", "Runtime exited with error: "+err.Error())
	default:
		result = ending(ctx, running, limit, nil, nil)
	}
	if result.Outcome.Cause == spillway.CauseNone || answer != nil && answer.Streamed {
		result.Web = answer
	}
	return result
}
