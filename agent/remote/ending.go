package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
)

// maxEnding bounds what an ending may be written in: a log tail in base64, and words.
const maxEnding = 32 << 10

// maxWord bounds what a function or an agent may say in an ending, in bytes.
const maxWord = 4 << 10

// ending is an agent.Ending on its way, without its payload.
type ending struct {
	Delivered     bool   `json:"delivered,omitempty"`
	Cause         string `json:"cause,omitempty"`
	FunctionError string `json:"functionError,omitempty"`
	ErrorType     string `json:"errorType,omitempty"`
	Detail        string `json:"detail,omitempty"` // why it was not delivered
	LogTail       []byte `json:"logTail,omitempty"`
	Tailed        bool   `json:"tailed,omitempty"` // LogTail was asked for

	After    int64 `json:"afterMicros,omitempty"` // when it began, from the arrival of its request
	Duration int64 `json:"durationMicros,omitempty"`
	CPU      int64 `json:"cpuMicros,omitempty"`
	Init     int64 `json:"initMicros,omitempty"`
	Peak     int64 `json:"peakBytes,omitempty"`
	Gone     bool  `json:"gone,omitempty"`

	PayloadLost bool `json:"payloadLost,omitempty"` // it is not kept any more
}

// causes are all that an agent can give.
var causes = func() map[string]spillway.Cause {
	named := map[string]spillway.Cause{}
	for _, c := range []spillway.Cause{
		spillway.CauseNone, spillway.CauseConnect, spillway.CauseRejected, spillway.CauseTimeout, spillway.CauseCrashed,
		spillway.CauseTooLarge, spillway.CauseOutOfMemory, spillway.CauseCancelled,
	} {
		named[c.String()] = c
	}
	return named
}()

func endingOf(e agent.Ending, arrived time.Time) ending {
	out := ending{
		Delivered: e.Delivered, Cause: e.Cause.String(), FunctionError: string(e.FunctionError),
		ErrorType: e.ErrorType[:min(len(e.ErrorType), maxWord)],
		LogTail:   e.LogTail, Tailed: e.LogTail != nil,
		Duration: e.Duration.Microseconds(), CPU: e.CPU.Microseconds(), Init: e.Init.Microseconds(),
		Peak: e.PeakBytes, Gone: e.InstanceGone,
	}
	if e.Delivered {
		out.After = max(0, e.Started.Sub(arrived).Microseconds())
	}
	return out
}

// parseEnding reads what endingOf wrote. Fields of later agents are ignored; what
// would not make sense is an error.
func parseEnding(text []byte) (ending, error) {
	var e ending
	if len(text) > maxEnding {
		return e, fmt.Errorf("an ending of %d bytes; allowed: %d", len(text), maxEnding)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return ending{}, fmt.Errorf("an ending: %w", err)
	}
	if err := e.check(); err != nil {
		return ending{}, fmt.Errorf("an ending: %w", err)
	}
	return e, nil
}

func (e *ending) check() error {
	cause, known := causes[e.Cause]
	switch {
	case !known:
		return fmt.Errorf("cause %.40q is none that an agent gives", e.Cause)
	case !e.Delivered && cause == spillway.CauseNone:
		return errors.New("not delivered, and no cause")
	case !e.Delivered && (e.FunctionError != "" || len(e.LogTail) > 0):
		return errors.New("not delivered, but the function's own error or log")
	case e.FunctionError != "" && e.FunctionError != string(spillway.FunctionHandled) && e.FunctionError != string(spillway.FunctionUnhandled):
		return fmt.Errorf("function error %.40q", e.FunctionError)
	case min(e.After, e.Duration, e.CPU, e.Init, e.Peak) < 0 || max(e.After, e.Duration, e.CPU, e.Init) > int64(maxSpan/time.Microsecond):
		return errors.New("a number out of range")
	case len(e.LogTail) > pools.MaxLogTail:
		return fmt.Errorf("a log tail of %d bytes; allowed: %d", len(e.LogTail), pools.MaxLogTail)
	case len(e.ErrorType) > maxWord || len(e.Detail) > maxWord:
		return fmt.Errorf("a word of more than %d bytes", maxWord)
	}
	return nil
}

// maxSpan bounds durations in an ending.
const maxSpan = 1000 * time.Hour

// agentEnding is the ending of a call whose request left at sent.
func (e *ending) agentEnding(sent time.Time) agent.Ending {
	out := agent.Ending{
		Delivered: e.Delivered, Cause: causes[e.Cause], FunctionError: spillway.FunctionError(e.FunctionError),
		ErrorType: e.ErrorType, Started: sent.Add(time.Duration(e.After) * time.Microsecond),
		Duration: time.Duration(e.Duration) * time.Microsecond, CPU: time.Duration(e.CPU) * time.Microsecond,
		Init: time.Duration(e.Init) * time.Microsecond, PeakBytes: e.Peak, InstanceGone: e.Gone,
	}
	if e.Tailed {
		out.LogTail = append([]byte{}, e.LogTail...)
	}
	return out
}
