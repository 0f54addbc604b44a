package lambda_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// serve answers every request with h, over real HTTP.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// raw reads each request of each connection and lets answer deal with it.
func raw(t testing.TB, answer func(c *net.TCPConn, n int64)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					answer(c.(*net.TCPConn), requests.Add(1))
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

func invoke(t testing.TB, endpoint string) pools.Result {
	t.Helper()
	p := newPool(t, endpoint)
	return p.Invoke(t.Context(), pools.Request{Invocation: "i", Attempt: 1, Function: function("f", 200*time.Millisecond), Payload: []byte(`{"secretless":1}`),
		ClientContext: `{"custom":{}}`, LogTail: true})
}

// TestDocumentedErrors answers with every error of the Invoke API.
func TestDocumentedErrors(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		class  spillway.OutcomeClass
		cause  spillway.Cause
	}{
		{400, "InvalidParameterValueException", spillway.NotExecuted, spillway.CauseRejected},
		{400, "InvalidRequestContentException", spillway.NotExecuted, spillway.CauseRejected},
		{402, "ServiceQuotaExceededException", spillway.NotExecuted, spillway.CauseRejected},
		{403, "AccessDeniedException", spillway.NotExecuted, spillway.CauseRejected},
		{403, "EFSMountFailureException", spillway.NotExecuted, spillway.CauseProvider},
		{404, "ResourceNotFoundException", spillway.NotExecuted, spillway.CauseRejected},
		{408, "EFSMountTimeoutException", spillway.NotExecuted, spillway.CauseProvider},
		{408, "SnapStartTimeoutException", spillway.NotExecuted, spillway.CauseProvider},
		{408, "", spillway.Unknown, spillway.CauseProvider},
		{409, "ResourceConflictException", spillway.NotExecuted, spillway.CauseRejected},
		{408, "S3FilesMountTimeoutException", spillway.NotExecuted, spillway.CauseProvider},
		{410, "EFSIOException", spillway.Unknown, spillway.CauseProvider},
		{413, "RequestTooLargeException", spillway.NotExecuted, spillway.CauseRejected},
		{415, "UnsupportedMediaTypeException", spillway.NotExecuted, spillway.CauseRejected},
		{429, "TooManyRequestsException", spillway.NotExecuted, spillway.CauseThrottled},
		{429, "", spillway.NotExecuted, spillway.CauseThrottled},
		{500, "ServiceException", spillway.Unknown, spillway.CauseProvider},
		{500, "", spillway.Unknown, spillway.CauseProvider},
		{502, "EC2ThrottledException", spillway.NotExecuted, spillway.CauseProvider},
		{502, "ENILimitReachedException", spillway.NotExecuted, spillway.CauseProvider},
		{502, "KMSDisabledException", spillway.NotExecuted, spillway.CauseProvider},
		{502, "InvalidSubnetIDException", spillway.NotExecuted, spillway.CauseProvider},
		{502, "InvalidSecurityGroupIDException", spillway.NotExecuted, spillway.CauseProvider},
		{500, "EC2ThrottledException", spillway.Unknown, spillway.CauseProvider},
		{403, keyID, spillway.NotExecuted, spillway.CauseRejected},
		{502, "", spillway.Unknown, spillway.CauseProvider},
		{503, "", spillway.Unknown, spillway.CauseProvider},
		{504, "", spillway.Unknown, spillway.CauseProvider},
		{403, "", spillway.Unknown, spillway.CauseProvider},
		{307, "", spillway.Unknown, spillway.CauseProvider},
	} {
		t.Run(fmt.Sprintf("%d_%s", c.status, c.code), func(t *testing.T) {
			var sent atomic.Int64
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				sent.Add(1)
				if c.code != "" {
					w.Header().Set("X-Amzn-ErrorType", c.code)
				}
				w.Header().Set("Retry-After", "3")
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				fmt.Fprint(w, `{"Message":"`+secret+`"}`)
			})
			r := invoke(t, url)
			if r.Outcome.Class != c.class || r.Outcome.Cause != c.cause {
				t.Errorf("got %v %v (%s)", r.Outcome.Class, r.Outcome.Cause, r.Outcome.Detail)
			}
			if sent.Load() != 1 {
				t.Errorf("sent %d times", sent.Load())
			}
			if c.cause == spillway.CauseThrottled && r.Outcome.RetryAfter != 3*time.Second {
				t.Errorf("retry after %v", r.Outcome.RetryAfter)
			}
			noSecrets(t, r)
		})
	}
}

// noSecrets looks for the credentials in everything that leaves the pool.
func noSecrets(t *testing.T, r pools.Result) {
	t.Helper()
	if text := fmt.Sprintf("%+v %s %s", r, r.Payload, r.LogTail); strings.Contains(text, "canary") || strings.Contains(text, keyID) {
		t.Errorf("credentials in a result: %s", text)
	}
}

const answerHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Amzn-RequestId: 11111111-2222-3333-4444-555555555555\r\n"

// TestBrokenAnswers: whatever comes back after the request was written, the
// attempt may have run, it is sent once, and nothing panics.
func TestBrokenAnswers(t *testing.T) {
	for name, answer := range map[string]func(c *net.TCPConn){
		"reset":         func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
		"closed":        func(c *net.TCPConn) { c.Close() },
		"stall":         func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) },
		"garbage":       func(c *net.TCPConn) { fmt.Fprint(c, "\x00\x01\x02 not http\r\n\r\n"); c.Close() },
		"truncated":     func(c *net.TCPConn) { fmt.Fprint(c, answerHead+"Content-Length: 100\r\n\r\n{}"); c.Close() },
		"half head":     func(c *net.TCPConn) { fmt.Fprint(c, answerHead[:40]); c.Close() },
		"no request id": func(c *net.TCPConn) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") },
		"accepted": func(c *net.TCPConn) {
			fmt.Fprint(c, strings.Replace(answerHead, "200 OK", "202 Accepted", 1)+"Content-Length: 0\r\n\r\n")
		},
		"html": func(c *net.TCPConn) {
			fmt.Fprint(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
		},
		"endless head": func(c *net.TCPConn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			_, _ = io.Copy(c, strings.NewReader(strings.Repeat("X-A: b\r\n", 40_000)))
			c.Close()
		},
		"bad chunk": func(c *net.TCPConn) {
			fmt.Fprint(c, answerHead+"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}")
			c.Close()
		},
		"empty error": func(c *net.TCPConn) { fmt.Fprint(c, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n") },
		"deep json": func(c *net.TCPConn) {
			body := strings.Repeat("[", 100_000)
			fmt.Fprintf(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		},
		"oversized": func(c *net.TCPConn) {
			fmt.Fprintf(c, answerHead+"Content-Length: %d\r\n\r\n", 8<<20)
			_, _ = io.Copy(c, strings.NewReader(strings.Repeat("x", 8<<20)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			url := raw(t, func(c *net.TCPConn, n int64) { sent.Store(n); answer(c) })
			p := newPool(t, url)
			r := p.Invoke(t.Context(), pools.Request{Invocation: "i", Attempt: 1, Function: function("f", time.Minute), Payload: []byte(`{}`), Deadline: time.Now().Add(2 * time.Second)})
			if r.Outcome.Class != spillway.Unknown {
				t.Errorf("got %v %v (%s)", r.Outcome.Class, r.Outcome.Cause, r.Outcome.Detail)
			}
			if sent.Load() != 1 {
				t.Errorf("sent %d times", sent.Load())
			}
			noSecrets(t, r)
		})
	}
}

// TestDeadConnection: the server closes a kept-alive connection after it has read
// the second request. It is not sent again.
func TestDeadConnection(t *testing.T) {
	var second atomic.Int64
	url := raw(t, func(c *net.TCPConn, n int64) {
		if n == 1 {
			fmt.Fprint(c, answerHead+"Content-Length: 2\r\n\r\n{}")
			return
		}
		second.Add(1)
		c.Close()
	})
	p := newPool(t, url)
	req := pools.Request{Invocation: "i", Attempt: 1, Function: function("f", time.Second), Payload: []byte(`{}`)}
	if r := p.Invoke(t.Context(), req); r.Outcome.Class != spillway.Executed {
		t.Fatalf("first: %+v", r.Outcome)
	}
	if r := p.Invoke(t.Context(), req); r.Outcome.Class != spillway.Unknown {
		t.Errorf("second: %+v", r.Outcome)
	}
	if second.Load() != 1 {
		t.Errorf("executed %d times", second.Load())
	}
}

// TestNotSent: without a connection, or after the deadline, nothing ran.
func TestNotSent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	if r := invoke(t, closed); r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseConnect {
		t.Errorf("refused connection: %+v", r.Outcome)
	}
	p := newPool(t, closed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := function("f", time.Second)
	if r := p.Invoke(ctx, pools.Request{Function: f}); r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseCancelled {
		t.Errorf("cancelled: %+v", r.Outcome)
	}
	long := strings.Repeat("x", 3000)
	for name, r := range map[string]pools.Request{
		"payload": {Function: f, Payload: make([]byte, pools.MaxPayload+1)},
		"context": {Function: f, ClientContext: `{"custom":{"a":"` + long + `"}}`},
		"binding": {Function: &spillway.Function{}},
	} {
		if r := p.Invoke(t.Context(), r); r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseRejected {
			t.Errorf("%s: %+v", name, r.Outcome)
		}
	}
}

// TestTransportSecurity: a server that does not speak TLS gets nothing.
func TestTransportSecurity(t *testing.T) {
	url := raw(t, func(c *net.TCPConn, _ int64) { t.Error("a request arrived without TLS") })
	if r := invoke(t, strings.Replace(url, "http://", "https://", 1)); r.Outcome.Class != spillway.NotExecuted {
		t.Errorf("got %+v", r.Outcome)
	}
}

// TestMetering reads usage from the REPORT of this request, not from one that the
// function printed.
func TestMetering(t *testing.T) {
	const id = "11111111-2222-3333-4444-555555555555"
	log := "START RequestId: " + id + " Version: 7\n" +
		"REPORT RequestId: " + id + "\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 1 MB\tMax Memory Used: 1 MB\t\n" +
		"REPORT RequestId: other\tDuration: 2.00 ms\tBilled Duration: 2 ms\tMemory Size: 1 MB\tMax Memory Used: 1 MB\t\n" +
		"END RequestId: " + id + "\n" +
		"REPORT RequestId: " + id + "\tDuration: 395.99 ms\tBilled Duration: 662 ms\tMemory Size: 512 MB\tMax Memory Used: 301 MB\tInit Duration: 265.72 ms\t\n"
	answer := func(tail string) pools.Result {
		return invoke(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-RequestId", id)
			w.Header().Set("X-Amz-Executed-Version", "7")
			if tail != "" {
				w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(tail)))
			}
			fmt.Fprint(w, `{}`)
		}))
	}
	r := answer(log)
	u := r.Outcome.Usage
	if u.DurationMicros != 395_990 || u.BilledMillis != 662 || u.InitMicros != 265_720 || u.MemoryMiB != 512 || u.MaxMemoryMiB != 301 || u.Estimated || u.ProviderID != id {
		t.Errorf("usage %+v", u)
	}
	if r.ExecutedVersion != "7" || !strings.HasPrefix(string(r.LogTail), "START") {
		t.Errorf("version %q, tail %q", r.ExecutedVersion, r.LogTail)
	}
	if u := answer("").Outcome.Usage; !u.Estimated || u.BilledMillis < 1 || u.MemoryMiB != 128 {
		t.Errorf("without a report: %+v", u)
	}
}

// FuzzAnswer feeds the pool whatever a server may answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(answerHead + "Content-Length: 2\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 500 x\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"__type\":null}"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nX-Amzn-RequestId: a\r\nX-Amz-Log-Result: !!!\r\nX-Amz-Function-Error: Odd\r\nContent-Length: 4\r\n\r\nnull"))
	var mu atomic.Pointer[[]byte]
	url := raw(f, func(c *net.TCPConn, _ int64) { _, _ = c.Write(*mu.Load()); c.Close() })
	p := newPool(f, url)
	fn := function("f", time.Second)
	f.Fuzz(func(t *testing.T, answer []byte) {
		mu.Store(&answer)
		r := p.Invoke(context.Background(), pools.Request{Function: fn, Payload: []byte(`{}`), Deadline: time.Now().Add(time.Second)})
		if r.Outcome.Class == spillway.Executed && r.Outcome.Usage.BilledMillis < 1 {
			t.Errorf("executed and not metered: %+v", r.Outcome)
		}
		noSecrets(t, r)
	})
}
