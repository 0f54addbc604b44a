package agent

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// Ending is how an invocation ended.
type Ending struct {
	// Delivered is false when the function never got the event: it is safe to run
	// elsewhere. Cause then says why, and only Cause and InstanceGone are set.
	Delivered bool
	// Cause is none for an answer, also for an error that the function answered;
	// timeout, cancelled, crashed, out of memory or too large otherwise, or connect when
	// this machine had no descriptor, port or memory left to reach a web function.
	Cause         spillway.Cause
	FunctionError spillway.FunctionError
	ErrorType     string // Lambda's or the function's own word; empty without an error
	Payload       []byte // the answer, or the error as Lambda writes it
	LogTail       []byte // at most pools.MaxLogTail bytes, if asked for
	// Web is the answer of a web function: whole without a Cause, else one that was
	// begun and broke off, or nil.
	Web *pools.WebAnswer

	Started   time.Time
	Duration  time.Duration // event handed over until answered or killed
	CPU       time.Duration // of the function's process, not of its children; 0 if not known
	PeakBytes int64         // most memory used so far, at most 50 ms old; 0 if not known
	Init      time.Duration // of the instance's first invocation: fork to first poll

	// InstanceGone reports that the process has ended and its group is gone.
	InstanceGone bool
}

// settle closes the books on c.
func (i *Instance) settle(c *call, cause spillway.Cause) Ending {
	gone := i.gone()
	i.mu.Lock()
	if i.running == c || i.pending == c {
		i.running, i.pending = nil, nil
	}
	e := Ending{Delivered: !c.fetched.IsZero(), Cause: cause, Started: c.fetched, InstanceGone: gone}
	exceeded := i.exceeded
	e.PeakBytes = i.peak
	i.mu.Unlock() // c is no longer reachable from a request

	if !e.Delivered {
		if e.Cause == spillway.CauseNone {
			e.Cause = spillway.CauseCrashed
		}
		i.out.end(nil)
		return e
	}
	i.measure(&e, c, gone)
	if c.first {
		e.Init = i.cold.Start + i.cold.Init
	}
	i.explain(&e, c, exceeded)
	e.LogTail = i.out.end(reportLines(i.config, c.event.ID, e))
	return e
}

func (i *Instance) measure(e *Ending, c *call, gone bool) {
	end := c.answered
	if end.IsZero() {
		end = time.Now()
	}
	e.Duration = end.Sub(c.fetched)
	e.CPU = max(0, i.cpuUsed(gone)-c.cpu)
	if !gone {
		e.PeakBytes = i.samplePeak()
	}
}

// cpuUsed is of the process, which has been reaped if it is gone.
func (i *Instance) cpuUsed(gone bool) time.Duration {
	if gone {
		return i.proc.cpu
	}
	return cpuTime(i.proc.pid)
}

// explain sets payload, cause and error. An answer stands, whatever came after it.
func (i *Instance) explain(e *Ending, c *call, exceeded bool) {
	if !c.answered.IsZero() {
		e.Cause, e.Payload = spillway.CauseNone, c.payload
		if c.tooLarge {
			e.Cause = spillway.CauseTooLarge
		}
		if c.failed {
			e.FunctionError = spillway.FunctionUnhandled
			e.ErrorType = errorTypeOf(c.payload)
		}
		return
	}
	text := ""
	switch {
	case exceeded:
		e.Cause, e.ErrorType = spillway.CauseOutOfMemory, "Runtime.OutOfMemory"
		text = "Runtime exited with error: signal: killed"
	case e.Cause == spillway.CauseTimeout:
		e.ErrorType = "Sandbox.Timedout"
		text = fmt.Sprintf("Task timed out after %.2f seconds", c.event.Deadline.Sub(c.fetched).Seconds())
	case e.Cause == spillway.CauseCancelled:
		e.ErrorType = "Sandbox.Failure"
		text = "the caller cancelled the invocation and its process was killed"
	default:
		e.Cause, e.ErrorType = spillway.CauseCrashed, "Runtime.ExitError"
		text = exitText(i.proc.status)
	}
	e.FunctionError = spillway.FunctionUnhandled
	e.Payload = errorPayload(e.ErrorType, "RequestId: "+c.event.ID+" Error: "+text)
}

type functionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func errorPayload(kind, message string) []byte {
	payload, _ := json.Marshal(functionError{kind, message}) // strings always marshal
	return payload
}

// errorTypeOf reads the type a function gave its error; "Unknown" if it gave none.
func errorTypeOf(payload []byte) string {
	var e functionError
	if json.Unmarshal(payload, &e) != nil || e.Type == "" {
		return "Unknown"
	}
	return e.Type
}

func startLine(id, version string) []byte {
	return []byte("START RequestId: " + id + " Version: " + version + "\n")
}

// reportLines are the lines that end an invocation in a Lambda log. The REPORT
// line counts INIT into the billed time, rounded up to a millisecond.
func reportLines(c Config, id string, e Ending) []byte {
	b := make([]byte, 0, 256)
	b = append(b, "END RequestId: "...)
	b = append(append(b, id...), "\nREPORT RequestId: "...)
	b = append(append(b, id...), "\tDuration: "...)
	b = append(appendMillis(b, e.Duration), "\tBilled Duration: "...)
	billed := (e.Duration + e.Init + time.Millisecond - 1) / time.Millisecond
	b = append(strconv.AppendInt(b, int64(billed), 10), " ms\tMemory Size: "...)
	b = append(strconv.AppendInt(b, c.MemoryMiB, 10), " MB\tMax Memory Used: "...)
	b = append(strconv.AppendInt(b, (e.PeakBytes+1<<20-1)>>20, 10), " MB\t"...)
	if e.Init > 0 {
		b = append(appendMillis(append(b, "Init Duration: "...), e.Init), '\t')
	}
	switch {
	case e.Cause == spillway.CauseTimeout:
		b = append(b, "Status: timeout"...)
	case e.FunctionError != spillway.FunctionOK:
		b = append(append(b, "Status: error\tError Type: "...), oneLine(e.ErrorType)...)
	}
	return append(b, '\n')
}

// oneLine keeps a word that a function chose from forging a line of the log.
func oneLine(word string) string {
	quoted := strconv.Quote(word[:min(len(word), 128)])
	return quoted[1 : len(quoted)-1]
}

func appendMillis(b []byte, d time.Duration) []byte {
	b = strconv.AppendInt(b, int64(d/time.Millisecond), 10)
	hundredths := int64(d % time.Millisecond / (10 * time.Microsecond))
	return append(b, '.', byte('0'+hundredths/10), byte('0'+hundredths%10), ' ', 'm', 's')
}

// peakEvery bounds how often a warm instance's peak is read: it costs as much as
// the rest of a short call.
const peakEvery = 50 * time.Millisecond

// samplePeak asks the cage, else the kernel. The supervisor does so itself once
// requests have ended: rusage would not do, its peak begins with our own size.
func (i *Instance) samplePeak() int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.closed || now.Sub(i.sampled) < peakEvery {
		return i.peak
	}
	i.sampled = now
	var peak int64
	if i.config.Cage != nil {
		peak = i.config.Cage.Peak()
	}
	if peak == 0 {
		peak = peakRSS(i.proc.pid)
	}
	i.peak = max(i.peak, peak)
	return i.peak
}
