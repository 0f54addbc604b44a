package cloud

import (
	"bytes"
	"net"
	"net/http"
	"strconv"
	"time"
)

// breakBefore answers a call that a fault keeps from being executed.
func (s *lambdaFront) breakBefore(w http.ResponseWriter, r *http.Request, f *Fault) *apiError {
	switch f.Kind {
	case Throttle:
		reason := f.Reason
		set(&reason, ReasonConcurrency)
		return throttled(reason, f.RetryAfterSeconds)
	case EC2Throttled:
		return ec2Throttled()
	case ErrorBefore:
		return serviceFailure()
	case Stall:
		s.hold(r, time.Duration(f.HoldMs)*time.Millisecond)
	}
	reset(w, nil)
	return nil
}

// breakAfter spoils the answer of a call that was executed.
func (s *lambdaFront) breakAfter(w http.ResponseWriter, r *http.Request, f *Fault, q *request, x *execution) *apiError {
	switch f.Kind {
	case ErrorAfter:
		return serviceFailure()
	case StallAfter:
		s.hold(r, time.Duration(f.HoldMs)*time.Millisecond)
		reset(w, nil)
	case Truncated:
		resultHeaders(w.Header(), q, x)
		w.Header().Set("Content-Length", strconv.Itoa(len(x.payload)+64))
		w.Write(x.payload)
		_ = http.NewResponseController(w).Flush() // a writer that cannot flush truncates at zero
		panic(http.ErrAbortHandler)
	case Garbage:
		reset(w, []byte("\x16\x03\x01 this is not HTTP \x00\xff\r\n\r\n"))
	case Oversized, Malformed, MalformedIn, WrongType:
		resultHeaders(w.Header(), q, x)
		nonsense(w, f.Kind)
	default:
		reset(w, nil)
	}
	return nil
}

// nonsense writes a complete HTTP answer that no function gave.
func nonsense(w http.ResponseWriter, k Kind) {
	status, kind, body := http.StatusOK, "application/json", []byte(`{"n": [1, 2,`)
	switch k {
	case Oversized:
		body = append(append([]byte{'"'}, bytes.Repeat([]byte("x"), 8<<20)...), '"')
	case MalformedIn:
		status, body = http.StatusInternalServerError, []byte(`{"Message": <upstream>`)
	case WrongType:
		kind, body = "text/html", []byte("<html><body>It works!</body></html>")
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

// hold blocks until the client has gone, d is over, or the Server closes.
func (s *Server) hold(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-r.Context().Done():
	case <-timer.C:
	case <-s.ctx.Done():
	}
}

// reset ends the connection with a TCP reset, or after raw bytes if there are any.
func reset(w http.ResponseWriter, raw []byte) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // not a plain connection: abort as far as it goes
		panic(http.ErrAbortHandler)
	}
	if len(raw) > 0 {
		_, _ = conn.Write(raw)
	} else if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}
