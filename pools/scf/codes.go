package scf

import (
	"slices"
	"strings"

	"github.com/spillway-dev/spillway"
)

// throttles are the families of codes with which SCF says "too many".
var throttles = []string{"LimitExceeded", "RequestLimitExceeded", "ResourceInsufficient", "ResourceUnavailable"}

// refusals are the families with which SCF refuses a request unseen.
var refusals = []string{
	"ActionOffline", "AuthFailure", "DryRunOperation", "InvalidAction", "InvalidParameter", "InvalidParameterValue", "InvalidRequest",
	"IpInBlacklist", "IpNotInWhitelist", "MissingParameter", "NoSuchProduct", "NoSuchVersion", "OperationDenied", "RequestSizeLimitExceeded",
	"ResourceInUse", "ResourceNotFound", "UnauthorizedOperation", "UnknownParameter", "UnsupportedOperation", "UnsupportedProtocol", "UnsupportedRegion",
}

// failures are the families after which the function may have run.
var failures = []string{"FailedOperation", "InternalError", "ResponseSizeLimitExceeded", "ServiceUnavailable"}

// documented are the codes that a detail may name in full. Of any other only the
// family is repeated: an endpoint can put there what it was sent.
var documented = []string{
	"AuthFailure.InvalidAuthorization", "AuthFailure.InvalidSecretId", "AuthFailure.SecretIdNotFound", "AuthFailure.SignatureExpire",
	"AuthFailure.SignatureFailure", "AuthFailure.TokenFailure", "AuthFailure.UnauthorizedOperation",
	"FailedOperation.FunctionStatusError", "FailedOperation.InvokeFunction", "InternalError.System",
	"InvalidParameter.FunctionName", "InvalidParameter.RequestTooLarge", "InvalidParameterValue.ClientContext",
	"InvalidParameterValue.FunctionType", "InvalidParameterValue.Param", "LimitExceeded.FunctionReservedConcurrencyMemory", "LimitExceeded.Quota",
	"RequestLimitExceeded.GlobalRegionUinLimitExceeded", "RequestLimitExceeded.IPLimitExceeded", "RequestLimitExceeded.UinLimitExceeded",
	"ResourceNotFound.Function", "ResourceNotFound.FunctionName", "ResourceNotFound.Qualifier",
	"ResourceUnavailable.InsufficientBalance", "ResourceUnavailable.ServiceSuspended", "UnauthorizedOperation.CAM",
}

// classOf says what an API error's code means. said is the code as far as it is
// one of Tencent's.
func classOf(code string) (class spillway.OutcomeClass, cause spillway.Cause, said string) {
	family, _, _ := strings.Cut(code, ".")
	said = "an error that is not Tencent's"
	switch {
	case slices.Contains(documented, code):
		said = code
	case slices.Contains(throttles, family), slices.Contains(refusals, family), slices.Contains(failures, family):
		said = family
	}
	switch {
	case code == "ResourceUnavailable.InsufficientBalance", code == "ResourceUnavailable.ServiceSuspended", code == "FailedOperation.FunctionStatusError":
		return spillway.NotExecuted, spillway.CauseRejected, said
	case slices.Contains(throttles, family):
		return spillway.NotExecuted, spillway.CauseThrottled, said
	case slices.Contains(refusals, family):
		return spillway.NotExecuted, spillway.CauseRejected, said
	}
	return spillway.Unknown, spillway.CauseProvider, said
}

// Statuses of an execution, as Tencent documents them.
const (
	statusSuspended   = 402
	statusExited      = 405 // the container ended
	statusTooLarge    = 406 // the event
	statusAnswerLarge = 407
	statusBalance     = 410
	statusRamp        = 429
	statusQuota       = 432
	statusTimeout     = 433
	statusMemory      = 434
	statusNoFunction  = 435
	statusProcessEnd  = 439 // the process ended during the call
)

// neverRan is what a status means of an execution that took no time.
func neverRan(status int) (spillway.Cause, bool) {
	switch status {
	case statusRamp, statusQuota:
		return spillway.CauseThrottled, true
	case statusSuspended, statusTooLarge, statusBalance, statusNoFunction:
		return spillway.CauseRejected, true
	}
	return spillway.CauseNone, false
}

// platformError is Lambda's word for what ended an execution.
func platformError(status int) (kind string, cause spillway.Cause) {
	switch status {
	case statusTimeout:
		return "Sandbox.Timedout", spillway.CauseTimeout
	case statusMemory:
		return "Runtime.OutOfMemory", spillway.CauseOutOfMemory
	case statusAnswerLarge:
		return "Function.ResponseSizeTooLarge", spillway.CauseTooLarge
	case statusExited, statusProcessEnd:
		return "Runtime.ExitError", spillway.CauseCrashed
	}
	return "Unknown", spillway.CauseNone
}
