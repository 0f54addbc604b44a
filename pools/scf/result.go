package scf

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"

	"github.com/spillway-dev/spillway"
)

// failure is what a result says of an execution that failed.
type failure struct {
	status  int // Tencent's; zero if it gave none
	cause   spillway.Cause
	payload []byte // as Lambda writes errors
}

// said is what Tencent puts around an error, in RetMsg or ErrMsg, and what Lambda
// puts into one.
type said struct {
	Status  json.Number `json:"statusCode"`
	Message *string     `json:"errorMessage"`
	Type    string      `json:"errorType"`
}

// maxDepth is how many errors may be inside one another: Tencent's around Lambda's.
const maxDepth = 3

// readFailure looks for the function's own error inside the platform's.
func readFailure(got *api.Result) failure {
	f := failure{}
	kind, message := "", ""
	for _, field := range [2]string{text(got.RetMsg), text(got.ErrMsg)} {
		for range maxDepth {
			var s said
			if !strings.HasPrefix(field, "{") || json.Unmarshal([]byte(field), &s) != nil {
				break
			}
			if n, err := s.Status.Int64(); err == nil && f.status == 0 && n > 0 && n < 1000 {
				f.status = int(n)
			}
			if s.Message == nil {
				break
			}
			if s.Type != "" && kind == "" {
				kind, message, f.payload = s.Type, *s.Message, []byte(field)
			}
			if message == "" {
				message = *s.Message
			}
			field = *s.Message
		}
	}
	if f.status == 0 {
		f.status = statusIn(got)
	}
	if kind == "" {
		kind, f.cause = platformError(f.status)
		if message == "" {
			message = text(got.ErrMsg)
		}
		f.payload = lambdaError(kind, message)
		return f
	}
	f.cause = causeOf(kind)
	return f
}

// words are what Tencent writes where it gives no number.
var words = map[string]int{
	"ResourceLimitReached": statusQuota, "ResourceLimit": statusRamp, "TimeLimitReached": statusTimeout, "MemoryLimitReached": statusMemory,
	"FunctionNotFound": statusNoFunction, "RequestTooLarge": statusTooLarge, "InsufficientBalance": statusBalance, "ServiceSuspended": statusSuspended,
	"ContainerStateExited": statusExited,
}

// statusIn reads the status from plain text, "432 ResourceLimitReached: …" or
// "ResourceLimitReached", or from InvokeResult.
func statusIn(got *api.Result) int {
	for _, field := range [2]string{text(got.ErrMsg), text(got.RetMsg)} {
		for i, word := range strings.FieldsFunc(field[:min(len(field), 512)], func(c rune) bool { return strings.ContainsRune(" :,;()[]{}\"'=\n\t", c) }) {
			if status := words[word]; status != 0 {
				return status
			}
			if len(word) == 3 && (i == 0 || i == 1) && strings.Trim(word, "0123456789") == "" && word[0] == '4' {
				return int(word[0]-'0')*100 + int(word[1]-'0')*10 + int(word[2]-'0')
			}
		}
	}
	if n := got.InvokeResult; n != nil && *n >= 400 && *n < 500 {
		return int(*n)
	}
	return 0
}

// causeOf names the platform's own reasons among the errors that our shim posts.
func causeOf(kind string) spillway.Cause {
	switch kind {
	case "Sandbox.Timedout":
		return spillway.CauseTimeout
	case "Runtime.OutOfMemory":
		return spillway.CauseOutOfMemory
	case "Runtime.ExitError":
		return spillway.CauseCrashed
	case "Function.ResponseSizeTooLarge":
		return spillway.CauseTooLarge
	}
	return spillway.CauseNone
}

func lambdaError(kind, message string) []byte {
	payload, _ := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message}) // strings always marshal
	return payload
}

// measured is what the figures of an answer say about whether anything ran. A function
// writes texts and statuses, but not the figures.
type measured uint8

const (
	measuredNothing measured = iota // figures are missing or make no sense
	measuredRun
	measuredNone // it took no time and is not billed
)

func figures(got *api.Result) measured {
	duration, billed := got.Duration, got.BillDuration
	switch {
	case duration != nil && *duration > 0, number(billed) > 0, number(got.MemUsage) > 0:
		return measuredRun
	case duration != nil && *duration == 0 && billed != nil && *billed == 0:
		return measuredNone
	}
	return measuredNothing
}

// maxFigure is more than any duration or size of SCF's in its smallest unit.
const maxFigure = 1 << 40

// usage is what SCF measured and bills, else the longer of what it and our own clock
// measured.
func usage(got *api.Result, b *spillway.Binding, started time.Time, elapsed time.Duration) spillway.Usage {
	u := spillway.Usage{Started: spillway.InstantOf(started), MemoryMiB: b.MiB}
	if n := got.MemUsage; n != nil && *n > 0 && *n <= maxFigure {
		u.MaxMemoryMiB = (*n + 1<<20 - 1) >> 20
	}
	micros := int64(0)
	if d := got.Duration; d != nil && *d >= 0 && *d <= maxFigure/1000 {
		micros = int64(math.Ceil(*d * 1000))
	}
	if billed := got.BillDuration; billed != nil && *billed > 0 && *billed <= maxFigure {
		u.BilledMillis = *billed
		u.DurationMicros = max(1, micros)
		return u
	}
	u.Estimated = true
	u.DurationMicros = max(1, (elapsed + time.Microsecond - 1).Microseconds(), micros)
	u.BilledMillis = (u.DurationMicros + 999) / 1000
	return u
}
