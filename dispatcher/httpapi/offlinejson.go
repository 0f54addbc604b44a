package httpapi

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

const (
	maxSubdomain   = 253
	maxReasonText  = 256
	maxJobSeconds  = 366 * 24 * 3600
	maxJobMilliCPU = 1_000_000_000
	maxJobMiB      = 1 << 30
	maxJobGPUs     = 1024
)

// admissionJSON is a pod that asks for room.
type admissionJSON struct {
	UID            string     `json:"uid"`
	Namespace      string     `json:"namespace"`
	Pod            string     `json:"pod"`
	Job            string     `json:"job"`
	Node           string     `json:"node"`
	MilliCPU       int64      `json:"milliCPU"`
	MemoryMiB      int64      `json:"memoryMiB"`
	GPUs           int64      `json:"gpus,omitempty"`
	Attempt        int        `json:"attempt,omitempty"`
	TimeoutSeconds int64      `json:"timeoutSeconds,omitempty"`
	Deadline       *time.Time `json:"deadline,omitempty"`
	MaxWaitSeconds *int64     `json:"maxWaitSeconds,omitempty"`
	BurstFunction  string     `json:"burstFunction,omitempty"`
	CloudOnly      bool       `json:"cloudOnly,omitempty"`
	NoRoom         bool       `json:"noRoom,omitempty"`
}

func badField(field, allowed string) error {
	return fmt.Errorf("%s is not valid; allowed: %s", field, allowed)
}

// ask checks every field and returns what is asked; all faults are in the error.
func (in *admissionJSON) ask(caller string) (server.JobAsk, error) {
	var faults []error
	want := func(ok bool, field, allowed string) {
		if !ok {
			faults = append(faults, badField(field, allowed))
		}
	}
	within := func(field string, n, least, most int64) {
		want(n >= least && n <= most, field, fmt.Sprintf("%d to %d", least, most))
	}
	const label, name = "a DNS label", "a DNS name of at most 253 characters"
	want(isUID(in.UID), "uid", "1 to 63 lower-case letters, digits and -")
	want(isLabel(in.Namespace), "namespace", label)
	want(isSubdomain(in.Pod), "pod", name)
	want(isSubdomain(in.Job), "job", name)
	want(isSubdomain(in.Node), "node", name)
	want(in.BurstFunction == "" || isLabel(in.BurstFunction), "burstFunction", label+", the name of a Function of the namespace")
	want(!in.CloudOnly || in.BurstFunction != "", "cloudOnly", "with burstFunction only")
	within("milliCPU", in.MilliCPU, 0, maxJobMilliCPU)
	within("memoryMiB", in.MemoryMiB, 0, maxJobMiB)
	within("gpus", in.GPUs, 0, maxJobGPUs)
	within("attempt", int64(in.Attempt), 0, 1<<30)
	within("timeoutSeconds", in.TimeoutSeconds, 0, maxJobSeconds)
	ask := server.JobAsk{BurstFunction: in.BurstFunction, Job: dispatcher.Job{
		UID: in.UID, Namespace: in.Namespace, Name: in.Job, Pod: in.Pod, Node: in.Node, Caller: caller,
		Need: spillway.Resources{Slots: 1, MilliCPU: in.MilliCPU, MiB: in.MemoryMiB}, GPUs: in.GPUs,
		Timeout: time.Duration(in.TimeoutSeconds) * time.Second, MaxWait: -1, CloudOnly: in.CloudOnly, NoRoom: in.NoRoom, Attempt: in.Attempt,
	}}
	if in.MaxWaitSeconds != nil {
		within("maxWaitSeconds", *in.MaxWaitSeconds, 0, maxJobSeconds)
		ask.MaxWait = time.Duration(*in.MaxWaitSeconds) * time.Second
	}
	if in.Deadline != nil {
		want(in.Deadline.Year() >= 2000 && in.Deadline.Year() < 2200, "deadline", "a time from 2000 to 2199 as RFC 3339 has it")
		ask.Deadline = spillway.InstantOf(*in.Deadline)
	}
	return ask, errors.Join(faults...)
}

// endJSON is how an attempt ended.
type endJSON struct {
	Class     string     `json:"class"`
	Attempt   int        `json:"attempt"`
	Started   *time.Time `json:"started,omitempty"`
	Ended     *time.Time `json:"ended,omitempty"`
	CPUMicros int64      `json:"cpuMicros,omitempty"`
	Failed    bool       `json:"failed,omitempty"` // by its own fault, such as an exit code
	Reason    string     `json:"reason,omitempty"`
}

func (in *endJSON) end() (dispatcher.JobEnd, error) {
	end := dispatcher.JobEnd{Attempt: in.Attempt, Outcome: spillway.Outcome{Detail: in.Reason}}
	switch in.Class {
	case "executed":
		end.Outcome.Class = spillway.Executed
	case "not_executed":
		end.Outcome.Class = spillway.NotExecuted
	case "unknown":
		end.Outcome.Class = spillway.Unknown
	default:
		return end, badField("class", "executed, not_executed, unknown")
	}
	sane := func(t *time.Time) bool { return t == nil || t.Year() >= 2000 && t.Year() < 2200 }
	switch {
	case in.Attempt < 1 || in.Attempt > 1<<30:
		return end, badField("attempt", "the attempt that was admitted, from 1")
	case in.CPUMicros < 0:
		return end, badField("cpuMicros", "0 or more")
	case len(in.Reason) > maxReasonText || strings.ContainsFunc(in.Reason, func(c rune) bool { return !unicode.IsPrint(c) }):
		return end, badField("reason", "at most 256 bytes of text")
	case !sane(in.Started) || !sane(in.Ended):
		return end, badField("started, ended", "times from 2000 to 2199 as RFC 3339 has them")
	case in.Class == "executed" && (in.Started == nil || in.Ended == nil):
		return end, badField("started, ended", "both, for what ran")
	case in.Started != nil && in.Ended != nil && in.Ended.Before(*in.Started):
		return end, badField("ended", "not before started")
	}
	if in.Failed {
		end.Outcome.FunctionError = spillway.FunctionUnhandled
	}
	u := &end.Outcome.Usage
	if u.CPUMicros = in.CPUMicros; in.Started != nil {
		u.Started = spillway.InstantOf(*in.Started)
		if in.Ended != nil {
			u.DurationMicros = in.Ended.Sub(*in.Started).Microseconds()
		}
	}
	return end, nil
}

// capacityJSON is what a virtual node has for all that runs there, what runs included.
type capacityJSON struct {
	MilliCPU  int64 `json:"milliCPU"`
	MemoryMiB int64 `json:"memoryMiB"`
	Pods      int64 `json:"pods"`
}

func (in *capacityJSON) resources() (spillway.Resources, error) {
	if min(in.MilliCPU, in.MemoryMiB, in.Pods) < 0 || in.MilliCPU > maxJobMilliCPU || in.MemoryMiB > maxJobMiB || in.Pods > 1<<30 {
		return spillway.Resources{}, badField("milliCPU, memoryMiB, pods", "0 to 1000000000")
	}
	return spillway.Resources{Slots: in.Pods, MilliCPU: in.MilliCPU, MiB: in.MemoryMiB}, nil
}

func isUID(s string) bool {
	return s != "" && len(s) <= maxLabel && strings.Trim(s, "0123456789abcdefghijklmnopqrstuvwxyz-") == ""
}

func isSubdomain(s string) bool {
	if len(s) > maxSubdomain {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if !isLabel(part) {
			return false
		}
	}
	return true
}
