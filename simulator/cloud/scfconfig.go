package cloud

import (
	"fmt"
	"regexp"
	"slices"
)

var (
	scfRegionForm = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+(-\d)?$`)
	scfNameForm   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]{0,58}[a-zA-Z0-9]$`) // of functions and namespaces
)

// scfDefault is the qualifier whose version takes calls that name none.
const scfDefault = "$DEFAULT"

func (c *Config) scfDefaults() {
	set(&c.Region, "ap-guangzhou")
	set(&c.MemoryQuota, 128_000)
	set(&c.RampPerMinute, 500)
	set(&c.Prices.GBSecond, "0.00011108")
	set(&c.Prices.Request, "0.00000133")
}

func (c Config) scfFaults() []*fault {
	var found []*fault
	check := func(ok bool, path, problem, allowed string) {
		if !ok {
			found = append(found, &fault{path, problem, allowed})
		}
	}
	check(scfRegionForm.MatchString(c.Region), "region", fmt.Sprintf("%q is not a region", c.Region), "a region such as ap-guangzhou")
	check(c.AccountID == "", "account", "is for provider lambda", "")
	check(c.MemoryQuota > 0, "memoryQuota", "must be positive", "MiB, 1 or more")
	check(c.RampPerMinute > 0, "rampPerMinute", "must be positive", "1 or more")
	check(c.Concurrency == 0, "concurrency", "is for provider lambda; SCF counts memory", "memoryQuota in MiB")
	check(c.RampPer10s == 0, "rampPer10s", "is for provider lambda", "rampPerMinute")
	return found
}

func (f Function) scfFaults(path string) []*fault {
	var found []*fault
	check := func(ok bool, field, problem, allowed string) {
		if !ok {
			found = append(found, &fault{path + field, problem, allowed})
		}
	}
	check(scfNameForm.MatchString(f.Name), "name", fmt.Sprintf("%q is not a function name", f.Name), "2 to 60 letters, digits, - and _, a letter first, no - or _ last")
	check(scfNameForm.MatchString(f.Namespace), "namespace", fmt.Sprintf("%q is not a namespace", f.Namespace), "2 to 60 letters, digits, - and _, a letter first, no - or _ last")
	check(f.Architecture == "", "architecture", "is for provider lambda", "")
	check(f.MiB == 64 || f.MiB >= 128 && f.MiB <= 3072 && f.MiB%128 == 0, "memory", fmt.Sprintf("%d MiB", f.MiB), "64, or 128 to 3072 in steps of 128")
	return found
}

// scfStatuses are the throttles that a result can hold instead of an API error.
var scfStatuses = []string{"432", "429"}

// scfThrottles are the API errors that mean too many.
var scfThrottles = []string{
	"LimitExceeded.Quota", "RequestLimitExceeded", "RequestLimitExceeded.UinLimitExceeded", "RequestLimitExceeded.IPLimitExceeded",
	"RequestLimitExceeded.GlobalRegionUinLimitExceeded", "ResourceInsufficient", "ResourceUnavailable",
}

// scfErrors are the documented errors of Invoke and InvokeFunction, and those of
// every Tencent API.
var scfErrors = []string{
	"FailedOperation.FunctionStatusError", "FailedOperation.InvokeFunction", "InternalError", "InternalError.System",
	"InvalidParameter.FunctionName", "InvalidParameter.RequestTooLarge", "InvalidParameterValue", "InvalidParameterValue.ClientContext",
	"InvalidParameterValue.FunctionType", "InvalidParameterValue.Param", "LimitExceeded.Quota",
	"ResourceNotFound.Function", "ResourceNotFound.FunctionName", "ResourceNotFound.Qualifier",
	"ResourceUnavailable.InsufficientBalance", "ResourceUnavailable.ServiceSuspended", "UnauthorizedOperation.CAM",
	"AuthFailure.InvalidAuthorization", "AuthFailure.InvalidSecretId", "AuthFailure.SecretIdNotFound", "AuthFailure.SignatureExpire",
	"AuthFailure.SignatureFailure", "AuthFailure.TokenFailure", "AuthFailure.UnauthorizedOperation", "DryRunOperation",
	"InvalidAction", "InvalidParameter", "InvalidRequest", "IpInBlacklist", "IpNotInWhitelist", "MissingParameter", "NoSuchProduct", "NoSuchVersion",
	"RequestLimitExceeded", "RequestSizeLimitExceeded", "ResourceInsufficient", "ResourceNotFound", "ResourceUnavailable",
	"ResponseSizeLimitExceeded", "ServiceUnavailable", "UnauthorizedOperation", "UnknownParameter", "UnsupportedOperation", "UnsupportedProtocol", "UnsupportedRegion",
}

// scfCodes are the reasons that a kind of fault can have.
func scfCodes(k Kind) []string {
	switch k {
	case Throttle:
		return append(slices.Clone(scfThrottles), scfStatuses...)
	case ErrorCode:
		return scfErrors
	}
	return nil
}

// scfReason reports whether the fault's reason is one that its kind can have.
func (f Fault) scfReason() bool { return f.Reason == "" || slices.Contains(scfCodes(f.Kind), f.Reason) }
