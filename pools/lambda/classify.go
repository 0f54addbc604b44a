package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// neverRan are Lambda's own errors, with their statuses, after which the
// function's code has not been entered. EFSIOException (410) is not among them:
// it also names a failed read or write of running code.
var neverRan = map[string]int{
	"EC2AccessDeniedException": 502, "EC2ThrottledException": 502, "EC2UnexpectedException": 502,
	"EFSMountConnectivityException": 408, "EFSMountFailureException": 403, "EFSMountTimeoutException": 408,
	"ENILimitReachedException": 502, "ENINotReadyException": 502, "InvalidRuntimeException": 502,
	"InvalidSecurityGroupIDException": 502, "InvalidSubnetIDException": 502, "InvalidZipFileException": 502,
	"KMSAccessDeniedException": 502, "KMSDisabledException": 502, "KMSInvalidStateException": 502, "KMSNotFoundException": 502,
	"ResourceNotReadyException": 502, "S3FilesMountConnectivityException": 408, "S3FilesMountFailureException": 403,
	"S3FilesMountTimeoutException": 408, "SnapStartException": 400, "SnapStartNotReadyException": 409,
	"SnapStartTimeoutException": 408, "SubnetIPAddressLimitReachedException": 502,
}

// otherErrors are the rest of what a detail may name. A code that is not
// documented is not repeated: an endpoint can put there what it was sent.
var otherErrors = []string{
	"AccessDeniedException", "EFSIOException", "ExpiredTokenException", "InvalidParameterValueException",
	"InvalidRequestContentException", "InvalidSignatureException", "RecursiveInvocationException", "RequestTooLargeException",
	"ResourceConflictException", "ResourceNotFoundException", "ServiceException", "ServiceQuotaExceededException",
	"SignatureDoesNotMatch", "TooManyRequestsException", "UnrecognizedClientException", "UnsupportedMediaTypeException",
}

// refusedStatus are statuses with which Lambda refuses a request unseen.
var refusedStatus = []int{
	http.StatusBadRequest, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
	http.StatusPreconditionFailed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
}

// failed classifies an error of the SDK. Details name codes and statuses, never
// texts of the SDK's: those may quote a request.
func failed(ctx context.Context, err error, sent bool) pools.Result {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.HTTPStatusCode() == 0 {
		return unanswered(ctx, err, sent)
	}
	status, code := response.HTTPStatusCode(), codeOf(err)
	said := fmt.Sprintf("Lambda answered %d", status)
	if neverRan[code] != 0 || slices.Contains(otherErrors, code) {
		said += " " + code
	}
	var r pools.Result
	switch {
	case status == http.StatusTooManyRequests:
		r = notExecuted(spillway.CauseThrottled, said)
		r.Outcome.RetryAfter = retryAfter(response.Response.Header)
	case neverRan[code] == status:
		r = notExecuted(spillway.CauseProvider, said)
	case code != "" && slices.Contains(refusedStatus, status):
		r = notExecuted(spillway.CauseRejected, said)
	default:
		r = unknown(spillway.CauseProvider, said)
	}
	r.Outcome.Usage.ProviderID = clip(response.ServiceRequestID()) // what reconciliation asks for
	return r
}

// unanswered classifies an attempt that got no HTTP answer.
func unanswered(ctx context.Context, err error, sent bool) pools.Result {
	var deserialization *smithy.DeserializationError
	switch {
	case errors.As(err, &deserialization):
		return unknown(spillway.CauseProvider, "the answer could not be read")
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

// codeOf is the error code that Lambda gave, empty if it gave none.
func codeOf(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == "UnknownError" {
		return ""
	}
	return api.ErrorCode()
}

// retryAfter reads the header's seconds; zero if there are none.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// succeeded reads a 200: the function ran, whatever it says.
func succeeded(out *lambda.InvokeOutput, b *spillway.Binding, tail bool, started time.Time, elapsed time.Duration) pools.Result {
	id, _ := awsmiddleware.GetRequestIDMetadata(out.ResultMetadata)
	switch {
	case out.StatusCode != http.StatusOK:
		return unknown(spillway.CauseProvider, fmt.Sprintf("Lambda answered %d to a synchronous call", out.StatusCode))
	case id == "":
		return unknown(spillway.CauseProvider, "the answer has no request id, so it is not Lambda's")
	}
	r := pools.Result{Payload: out.Payload, Outcome: spillway.Outcome{Class: spillway.Executed}}
	if out.ExecutedVersion != nil {
		r.ExecutedVersion = *out.ExecutedVersion
	}
	if out.FunctionError != nil && *out.FunctionError != "" {
		r.Outcome.FunctionError = spillway.FunctionUnhandled
		if *out.FunctionError == string(spillway.FunctionHandled) {
			r.Outcome.FunctionError = spillway.FunctionHandled
		}
		r.Outcome.Cause = causeOf(out.Payload)
	}
	if len(out.Payload) > pools.MaxPayload { // Lambda's own limit is a little higher
		r.Outcome.FunctionError, r.Outcome.Cause = spillway.FunctionUnhandled, spillway.CauseTooLarge
		r.Payload = []byte(`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"the response is over 6 MiB"}`)
	}
	var log []byte
	if out.LogResult != nil {
		log, _ = base64.StdEncoding.DecodeString(*out.LogResult) // a broken tail is a missing one
	}
	if tail {
		r.LogTail = log[max(0, len(log)-pools.MaxLogTail):]
	}
	r.Outcome.Usage = usage(log, id, b, started, elapsed)
	return r
}

// usage is what the provider's REPORT says, or our own clock if there is none.
func usage(log []byte, id string, b *spillway.Binding, started time.Time, elapsed time.Duration) spillway.Usage {
	u := spillway.Usage{Started: spillway.InstantOf(started), ProviderID: clip(id), MemoryMiB: b.MiB}
	rep, ok := parseReport(log, id)
	if !ok {
		u.Estimated = true
		u.DurationMicros = max(1, elapsed.Microseconds())
		u.BilledMillis = max(1, int64((elapsed+time.Millisecond-1)/time.Millisecond))
		return u
	}
	u.DurationMicros, u.InitMicros, u.BilledMillis, u.MaxMemoryMiB = max(1, rep.durationMicros), rep.initMicros, rep.billedMillis, rep.maxMemoryMiB
	if rep.memoryMiB > 0 {
		u.MemoryMiB = rep.memoryMiB
	}
	return u
}

// clip drops what does not look like a request id: it goes to the ledger.
func clip(id string) string {
	if len(id) > 64 || strings.Trim(id, "0123456789abcdefABCDEF-") != "" {
		return ""
	}
	return id
}

// causeOf names the platform's own reasons among function errors.
func causeOf(payload []byte) spillway.Cause {
	var body struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(payload, &body) != nil {
		return spillway.CauseNone
	}
	switch {
	case body.Type == "Sandbox.Timedout", body.Type == "" && strings.Contains(body.Message, "Task timed out after"):
		return spillway.CauseTimeout
	case body.Type == "Runtime.OutOfMemory":
		return spillway.CauseOutOfMemory
	case body.Type == "Runtime.ExitError":
		return spillway.CauseCrashed
	case body.Type == "Function.ResponseSizeTooLarge":
		return spillway.CauseTooLarge
	}
	return spillway.CauseNone
}
