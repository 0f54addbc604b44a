package agent

import (
	"fmt"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// Result is the ending of the attempt r, as a pool reports it.
func (e Ending) Result(r pools.Request) pools.Result {
	if !e.Delivered {
		return pools.Result{
			Outcome: spillway.Outcome{
				Class: spillway.NotExecuted, Cause: e.Cause,
				Detail: fmt.Sprintf("instance %d was not handed the event: %s", r.Instance, undelivered(e.Cause)),
			},
			InstanceGone: e.InstanceGone,
		}
	}
	return pools.Result{
		Outcome: spillway.Outcome{
			Class: spillway.Executed, Cause: e.Cause, Detail: e.detail(),
			FunctionError: e.FunctionError,
			Usage:         e.usage(r.Function),
		},
		Payload:         e.Payload,
		LogTail:         e.LogTail,
		Web:             e.Web,
		ExecutedVersion: r.Function.Revision,
		InstanceGone:    e.InstanceGone,
	}
}

// detail names the error and tells nothing of the payload.
func (e Ending) detail() string {
	if e.Cause == spillway.CauseNone {
		return ""
	}
	return e.ErrorType
}

func (e Ending) usage(f *spillway.Function) spillway.Usage {
	return spillway.Usage{
		Started:        spillway.InstantOf(e.Started),
		DurationMicros: max(1, e.Duration.Microseconds()),
		InitMicros:     e.Init.Microseconds(),
		MemoryMiB:      f.Resources.MiB,
		MaxMemoryMiB:   (e.PeakBytes + 1<<20 - 1) >> 20,
		CPUMicros:      e.CPU.Microseconds(),
	}
}

func undelivered(cause spillway.Cause) string {
	switch cause {
	case spillway.CauseTimeout:
		return "the deadline had passed"
	case spillway.CauseCancelled:
		return "it was cancelled before"
	case spillway.CauseConnect:
		return "this machine has no descriptor, port or memory left for a connection to it"
	default:
		return "its process has ended"
	}
}

// ErrorPayload is an error as Lambda writes it.
func ErrorPayload(kind, message string) []byte { return errorPayload(kind, message) }
