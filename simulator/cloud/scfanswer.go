package cloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// scfError is an API error of Tencent's; its status is always 200.
type scfError struct{ code, message string }

func (e *scfError) Error() string { return e.code + ": " + e.message }

func (e *scfError) write(w http.ResponseWriter, id string) {
	type body struct{ Code, Message string }
	writeSCF(w, map[string]any{"Error": body{e.code, e.message}, "RequestId": id})
}

// scfResult is the Result of both actions.
type scfResult struct {
	Log               string
	RetMsg            string
	ErrMsg            string
	MemUsage          int64   // bytes
	Duration          float64 // ms
	BillDuration      int64   // ms
	FunctionRequestID string  `json:"FunctionRequestId"`
	InvokeResult      int
}

func writeResult(w http.ResponseWriter, id string, result scfResult) {
	writeSCF(w, map[string]any{"Result": result, "RequestId": id})
}

func writeSCF(w http.ResponseWriter, response map[string]any) {
	body := encodeSCF(response)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	w.Write(body)
}

func encodeSCF(response map[string]any) []byte {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(map[string]any{"Response": response}) // strings and numbers always encode
	return bytes.TrimSuffix(body.Bytes(), []byte("\n"))
}

// result is what q's caller is told of x.
func (s *scfFront) result(q *scfRequest, x *execution) scfResult {
	r := scfResult{
		MemUsage: x.peakBytes, Duration: float64(x.duration.Microseconds()) / 1000, BillDuration: x.billedMs, FunctionRequestID: q.call.id,
	}
	if r.Duration == 0 {
		r.Duration = 0.001
	}
	if x.errorType == "" {
		r.RetMsg = string(x.payload)
	} else {
		r.fail(x.code, string(x.payload))
	}
	if q.tail {
		r.Log = string(x.scfTail(&q.call))
	}
	return r
}

// fail writes an error as the platform does: the status and what was said, as JSON.
func (r *scfResult) fail(status int, message string) {
	text, _ := json.Marshal(struct {
		Code    int    `json:"errorCode"`
		Message string `json:"errorMessage"`
		Request string `json:"requestId"`
		Status  int    `json:"statusCode"`
	}{-1, message, r.FunctionRequestID, status}) // plain fields always marshal
	r.RetMsg, r.ErrMsg, r.InvokeResult = string(text), message, status
}

// unexecuted is the result of a call over a limit.
func unexecuted(status int) scfResult {
	var r scfResult
	if status == 429 {
		r.fail(status, "ResourceLimit: the region starts no more instances this minute")
	} else {
		r.fail(status, "ResourceLimitReached: concurrency exceeded region unreserved quota")
	}
	return r
}

// scfTail is the end of the log as LogType Tail returns it: at most 4 KiB.
func (x *execution) scfTail(c *call) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "START RequestId: %s\n", c.id)
	b.Write(x.log)
	if n := len(x.log); n > 0 && x.log[n-1] != '\n' {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "END RequestId: %s\nReport RequestId: %s Duration:%sms Memory:%dMB MemUsage:%.6fMB\n",
		c.id, c.id, millis(x.duration), c.function.MiB, float64(x.peakBytes)/(1<<20))
	text := b.Bytes()
	return text[max(0, len(text)-maxLogTail):]
}

// breakBefore answers a call that a fault keeps from being executed.
func (s *scfFront) breakBefore(w http.ResponseWriter, r *http.Request, id string, f *Fault) *scfError {
	reason := f.Reason
	switch f.Kind {
	case Throttle:
		if status, err := strconv.Atoi(reason); err == nil {
			writeResult(w, id, unexecuted(status))
			return nil
		}
		set(&reason, "LimitExceeded.Quota")
		return &scfError{reason, "injected"}
	case ErrorCode, ErrorBefore:
		set(&reason, "InternalError.System")
		return &scfError{reason, "injected"}
	case Stall:
		s.hold(r, time.Duration(f.HoldMs)*time.Millisecond)
	}
	reset(w, nil)
	return nil
}

// breakAfter spoils the answer of a call that was executed.
func (s *scfFront) breakAfter(w http.ResponseWriter, r *http.Request, id string, f *Fault, q *scfRequest, x *execution) *scfError {
	size := 0 // MiB of an oversized answer
	switch f.Kind {
	case ErrorAfter:
		return &scfError{"InternalError.System", "injected"}
	case StallAfter:
		s.hold(r, time.Duration(f.HoldMs)*time.Millisecond)
		reset(w, nil)
	case Truncated:
		body := encodeSCF(map[string]any{"Result": s.result(q, x), "RequestId": id})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush() // a writer that cannot flush truncates at zero
		panic(http.ErrAbortHandler)
	case Garbage:
		reset(w, []byte("\x16\x03\x01 this is not HTTP \x00\xff\r\n\r\n"))
	case Oversized:
		w.Header().Set("Content-Type", "application/json")
		w.Write(encodeSCF(map[string]any{"Result": s.result(q, x), "RequestId": id}))
		for space := bytes.Repeat([]byte(" "), 1<<20); r.Context().Err() == nil && size < 40; size++ {
			w.Write(space)
		}
	case Compress:
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Type", "application/json")
		w.Write(bomb())
	case Malformed, MalformedIn, WrongType:
		nonsense(w, f.Kind)
	default:
		reset(w, nil)
	}
	return nil
}
