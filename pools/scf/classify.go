package scf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// failed classifies an error of the SDK. Details name codes and statuses, never
// texts of the SDK's: those quote requests and answers.
func failed(ctx context.Context, err error, seen *sight) pools.Result {
	var said *sdkerrors.TencentCloudSDKError
	if errors.As(err, &said) && said.Code != "" && !strings.HasPrefix(said.Code, "ClientError") {
		class, cause, code := classOf(said.Code)
		r := pools.Result{Outcome: spillway.Outcome{Class: class, Cause: cause, Detail: "SCF answered " + code}}
		r.Outcome.Usage.ProviderID = clip(said.RequestId) // what reconciliation asks for
		return r
	}
	switch status := int(seen.status.Load()); {
	case status != 0 && status != http.StatusOK:
		return unknown(spillway.CauseProvider, fmt.Sprintf("SCF answered HTTP %d", status))
	case status != 0 && !seen.broken.Load():
		return unknown(spillway.CauseProvider, "the answer could not be read")
	}
	return unanswered(ctx, seen.sent.Load())
}

// unanswered classifies an attempt that got no complete answer. The SDK drops why
// its context ended, so the context itself is asked.
func unanswered(ctx context.Context, sent bool) pools.Result {
	switch {
	case sent && ctx.Err() != nil:
		return unknown(spillway.CauseLost, "no answer before the deadline")
	case sent:
		return unknown(spillway.CauseLost, "the connection ended without an answer")
	case ctx.Err() != nil:
		return notExecuted(spillway.CauseCancelled, "cancelled before it was sent")
	default:
		return notExecuted(spillway.CauseConnect, "not sent: no connection, or it could not be signed")
	}
}

// answered reads an answer without an API error.
func answered(out *api.InvokeFunctionResponseParams, b *spillway.Binding, tail bool, started time.Time, elapsed time.Duration) pools.Result {
	if out == nil || out.Result == nil || out.RequestId == nil || *out.RequestId == "" {
		return unknown(spillway.CauseProvider, "the answer has no result or no request id, so it is not SCF's")
	}
	got := out.Result
	id := clip(text(got.FunctionRequestId))
	if id == "" {
		id = clip(*out.RequestId)
	}
	bad := text(got.ErrMsg) != "" || got.InvokeResult != nil && *got.InvokeResult != 0
	if !bad && got.RetMsg == nil {
		r := unknown(spillway.CauseProvider, "the answer has neither a result nor an error of the function")
		r.Outcome.Usage.ProviderID = id
		return r
	}
	var r pools.Result
	if bad {
		broken := readFailure(got)
		if cause, never := neverRan(broken.status); never && figures(got) != measuredRun {
			r := notExecuted(cause, fmt.Sprintf("SCF answered status %d", broken.status))
			if figures(got) != measuredNone {
				r = unknown(spillway.CauseProvider, fmt.Sprintf("SCF answered status %d without figures that say that nothing ran", broken.status))
			}
			r.Outcome.Usage.ProviderID = id
			return r
		}
		r.Outcome.Cause, r.Outcome.FunctionError, r.Payload = broken.cause, spillway.FunctionUnhandled, broken.payload
	} else {
		r.Payload = []byte(*got.RetMsg)
	}
	r.Outcome.Class = spillway.Executed
	if len(r.Payload) > pools.MaxPayload {
		r.Outcome.FunctionError, r.Outcome.Cause = spillway.FunctionUnhandled, spillway.CauseTooLarge
		r.Payload = lambdaError("Function.ResponseSizeTooLarge", "the response is over 6 MiB")
	}
	if log := text(got.Log); tail {
		r.LogTail = []byte(log[max(0, len(log)-pools.MaxLogTail):])
	}
	r.Outcome.Usage = usage(got, b, started, elapsed)
	r.Outcome.Usage.ProviderID = id
	return r
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// clip drops what does not look like a request id: it goes to the ledger.
func clip(id string) string {
	if len(id) > 64 || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return id
}
