package scf_test

import (
	"bufio"
	"context"
	"encoding/json"
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

// saying answers every request with body, as JSON, and counts.
func saying(t testing.TB, status int, body string, sent *atomic.Int64) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		sent.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
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
	return newPool(t, endpoint).Invoke(t.Context(), pools.Request{Invocation: "i", Attempt: 1, Function: function("fn", time.Minute),
		Payload: []byte(`{"secretless":1}`), ClientContext: `{"custom":{}}`, LogTail: true, Deadline: time.Now().Add(20 * time.Second)})
}

func apiError(code string) string {
	return `{"Response":{"Error":{"Code":"` + code + `","Message":"` + secret + `"},"RequestId":"11111111-2222"}}`
}

// noSecrets looks for the credentials in everything that leaves the pool.
func noSecrets(t *testing.T, r pools.Result) {
	t.Helper()
	if text := fmt.Sprintf("%+v %s %s", r, r.Payload, r.LogTail); strings.Contains(text, "canary") || strings.Contains(text, keyID) {
		t.Errorf("credentials in a result: %.300s", text)
	}
}

// TestDocumentedErrors answers with errors of the API, each in the text of another
// secret: a code that is not Tencent's is not repeated.
func TestDocumentedErrors(t *testing.T) {
	const not, throttled, rejected, unknown, provider = spillway.NotExecuted, spillway.CauseThrottled, spillway.CauseRejected, spillway.Unknown, spillway.CauseProvider
	for _, c := range []struct {
		status int
		code   string
		class  spillway.OutcomeClass
		cause  spillway.Cause
		says   string
	}{
		{200, "LimitExceeded.Quota", not, throttled, "LimitExceeded.Quota"},
		{200, "LimitExceeded.New", not, throttled, "LimitExceeded"},
		{200, "RequestLimitExceeded", not, throttled, "RequestLimitExceeded"},
		{200, "RequestLimitExceeded.UinLimitExceeded", not, throttled, "RequestLimitExceeded.Uin"},
		{200, "ResourceInsufficient", not, throttled, "ResourceInsufficient"},
		{200, "ResourceUnavailable", not, throttled, "ResourceUnavailable"},
		{200, "ResourceUnavailable.InsufficientBalance", not, rejected, "InsufficientBalance"},
		{200, "ResourceUnavailable.ServiceSuspended", not, rejected, "ServiceSuspended"},
		{200, "AuthFailure.SignatureFailure", not, rejected, "AuthFailure.SignatureFailure"},
		{200, "AuthFailure.SecretIdNotFound", not, rejected, "SecretIdNotFound"},
		{200, "UnauthorizedOperation.CAM", not, rejected, "CAM"},
		{200, "InvalidParameter.RequestTooLarge", not, rejected, "RequestTooLarge"},
		{200, "InvalidParameterValue.Param", not, rejected, "Param"},
		{200, "RequestSizeLimitExceeded", not, rejected, "RequestSizeLimitExceeded"},
		{200, "ResourceNotFound.Function", not, rejected, "Function"},
		{200, "ResourceNotFound.Qualifier", not, rejected, "Qualifier"},
		{200, "FailedOperation.FunctionStatusError", not, rejected, "FunctionStatusError"},
		{200, "FailedOperation.InvokeFunction", unknown, provider, "FailedOperation.InvokeFunction"},
		{200, "FailedOperation", unknown, provider, "FailedOperation"},
		{200, "InternalError", unknown, provider, "InternalError"},
		{200, "InternalError.System", unknown, provider, "InternalError.System"},
		{200, "ServiceUnavailable", unknown, provider, "ServiceUnavailable"},
		{200, "ResponseSizeLimitExceeded", unknown, provider, "ResponseSizeLimitExceeded"},
		{200, keyID, unknown, provider, "not Tencent's"},
		{200, "LimitExceeded." + keyID, not, throttled, "LimitExceeded"},
		{200, "LimitExceededs", unknown, provider, "not Tencent's"},
		{200, "ClientError.NetworkError", unknown, provider, "could not be read"},
		{500, "LimitExceeded.Quota", unknown, provider, "HTTP 500"},
		{429, "LimitExceeded.Quota", unknown, provider, "HTTP 429"},
		{502, "InternalError", unknown, provider, "HTTP 502"},
		{307, "InternalError", unknown, provider, "HTTP 307"},
		{301, "InternalError", unknown, provider, "HTTP 301"},
	} {
		t.Run(fmt.Sprintf("%d_%s", c.status, c.code), func(t *testing.T) {
			var sent atomic.Int64
			r := invoke(t, saying(t, c.status, apiError(c.code), &sent))
			if r.Outcome.Class != c.class || r.Outcome.Cause != c.cause || !strings.Contains(r.Outcome.Detail, c.says) {
				t.Errorf("got %v %v (%s)", r.Outcome.Class, r.Outcome.Cause, r.Outcome.Detail)
			}
			if sent.Load() != 1 {
				t.Errorf("sent %d times", sent.Load())
			}
			noSecrets(t, r)
		})
	}
}

const answerHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

func whole(head, body string) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

// TestBrokenAnswers: whatever comes back after the request was written, the
// attempt may have run, it is sent once, and nothing panics.
func TestBrokenAnswers(t *testing.T) {
	say := func(text string) func(c *net.TCPConn) { return func(c *net.TCPConn) { fmt.Fprint(c, text); c.Close() } }
	good := `{"Response":{"Result":{"RetMsg":"1","ErrMsg":"","Duration":1,"BillDuration":1,"FunctionRequestId":"1-2"},"RequestId":"1-2"}}`
	for name, answer := range map[string]func(c *net.TCPConn){
		"reset":         func(c *net.TCPConn) { _ = c.SetLinger(0); c.Close() },
		"closed":        func(c *net.TCPConn) { c.Close() },
		"stall":         func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) },
		"garbage":       say("\x00\x01\x02 not http\r\n\r\n"),
		"truncated":     say(answerHead + "Content-Length: 1000\r\n\r\n" + good[:40]),
		"half head":     say(answerHead[:30]),
		"bad chunk":     say(answerHead + "Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}"),
		"empty":         say(whole(answerHead, "")),
		"null":          say(whole(answerHead, "null")),
		"list":          say(whole(answerHead, "[1]")),
		"html":          say(whole("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", "<html>"+secret)),
		"events":        say(whole("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n", "data: 1\n\n")),
		"gateway":       say(whole("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n", "<html>")),
		"compressed":    say(whole(answerHead+"Content-Encoding: gzip\r\n", "\x1f\x8b\x08\x00\x00\x00")),
		"no response":   say(whole(answerHead, `{"Response":null}`)),
		"no result":     say(whole(answerHead, `{"Response":{"RequestId":"1-2"}}`)),
		"no request id": say(whole(answerHead, strings.Replace(good, `,"RequestId":"1-2"`, "", 1))),
		"accepted":      say(whole(answerHead, `{"Response":{"Result":{"FunctionRequestId":"1-2"},"RequestId":"1-2"}}`)),
		"wrong types":   say(whole(answerHead, strings.Replace(good, `"BillDuration":1`, `"BillDuration":"`+secret+`"`, 1))),
		"huge number":   say(whole(answerHead, strings.Replace(good, `"BillDuration":1`, `"BillDuration":1e300`, 1))),
		"old error":     say(whole(answerHead, `{"code":4000,"message":"`+secret+`","codeDesc":"`+secret+`"}`)),
		"endless head": func(c *net.TCPConn) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			_, _ = io.Copy(c, strings.NewReader(strings.Repeat("X-A: b\r\n", 40_000)))
			c.Close()
		},
		"deep": say(whole(answerHead, strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000))),
		"oversized": func(c *net.TCPConn) {
			fmt.Fprintf(c, answerHead+"Content-Length: %d\r\n\r\n", 64<<20)
			_, _ = io.Copy(c, strings.NewReader(strings.Repeat(" ", 64<<20)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			url := raw(t, func(c *net.TCPConn, n int64) { sent.Store(n); answer(c) })
			p := newPool(t, url)
			wait := 20 * time.Second
			if name == "stall" {
				wait = 200 * time.Millisecond
			}
			r := p.Invoke(t.Context(), pools.Request{Function: function("fn", time.Minute), Payload: []byte(`{}`), Deadline: time.Now().Add(wait)})
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
			fmt.Fprint(c, whole(answerHead, `{"Response":{"Result":{"RetMsg":"1"},"RequestId":"1-2"}}`))
			return
		}
		second.Add(1)
		c.Close()
	})
	p := newPool(t, url)
	req := pools.Request{Function: function("fn", time.Second), Payload: []byte(`{}`)}
	if r := p.Invoke(t.Context(), req); r.Outcome.Class != spillway.Executed {
		t.Fatalf("first: %+v", r.Outcome)
	}
	if r := p.Invoke(t.Context(), req); r.Outcome.Class != spillway.Unknown || r.Outcome.Cause != spillway.CauseLost {
		t.Errorf("second: %+v", r.Outcome)
	}
	if second.Load() != 1 {
		t.Errorf("executed %d times", second.Load())
	}
}

// TestNotSent: without a connection, after the deadline, or over a limit nothing ran.
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
	tls := strings.Replace(raw(t, func(*net.TCPConn, int64) { t.Error("a request arrived without TLS") }), "http:", "https:", 1)
	if r := invoke(t, tls); r.Outcome.Class != spillway.NotExecuted {
		t.Errorf("no TLS: %+v", r.Outcome)
	}
	p := newPool(t, closed)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := function("fn", time.Second)
	for name, deadline := range map[string]time.Time{"cancelled": {}, "late": time.Now().Add(-time.Second)} {
		if r := p.Invoke(ctx, pools.Request{Function: f, Deadline: deadline}); r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseCancelled {
			t.Errorf("%s: %+v", name, r.Outcome)
		}
	}
	full := `"` + strings.Repeat("x", pools.MaxPayload-2) + `"`
	for name, r := range map[string]pools.Request{
		"payload":            {Function: f, Payload: []byte(full + " ")},
		"payload and ids":    {Function: f, Payload: []byte(full), ClientContext: `{"custom":{}}`},
		"bytes":              {Function: f, Payload: []byte("\"\xff\"")},
		"context is no JSON": {Function: f, ClientContext: `{"custom":`},
		"context is a list":  {Function: f, ClientContext: `[]`},
		"binding":            {Function: &spillway.Function{}},
	} {
		if r := p.Invoke(t.Context(), r); r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseRejected {
			t.Errorf("%s: %+v", name, r.Outcome)
		}
	}
}

// TestRequest: what goes over the wire.
func TestRequest(t *testing.T) {
	type body struct{ FunctionName, Qualifier, Namespace, Event, LogType string }
	var got body
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = body{}
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&got); err != nil || r.Header.Get("X-TC-Action") != "InvokeFunction" || r.Header.Get("X-TC-Region") != "ap-guangzhou" || r.ProtoMajor != 1 {
			t.Errorf("%v, %v", err, r.Header)
		}
		fmt.Fprint(w, `{"Response":{"Result":{"RetMsg":"1"},"RequestId":"1-2"}}`)
	})
	p, f := newPool(t, url), function("fn", time.Minute)
	for _, c := range []struct {
		payload, context string
		tail             bool
		want             body
	}{
		{`{"a": "<&>"}`, "", false, body{"fn", "live", "", `{"a": "<&>"}`, ""}},
		{`{"a":1}`, `{"custom":{"b":"c"}}`, true, body{"fn", "live", "", `{"$spillway":{"custom":{"b":"c"}},"a":1}`, "Tail"}},
		{`[1]`, `{}`, false, body{"fn", "live", "", `{"$spillway":{},"$event":[1]}`, ""}},
		{``, ``, false, body{"fn", "live", "", `{}`, ""}},
	} {
		r := p.Invoke(t.Context(), pools.Request{Function: f, Payload: []byte(c.payload), ClientContext: c.context, LogTail: c.tail})
		if r.Outcome.Class != spillway.Executed || got != c.want {
			t.Errorf("%q with %q: %v, sent %+v", c.payload, c.context, r.Outcome, got)
		}
	}
}

// FuzzAnswer feeds the pool whatever a server may answer.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(whole(answerHead, `{"Response":{"Result":{"RetMsg":"1","Duration":0.5,"BillDuration":1},"RequestId":"1-2"}}`)))
	f.Add([]byte(whole(answerHead, apiError("LimitExceeded.Quota"))))
	f.Add([]byte(whole(answerHead, `{"Response":{"Result":{"ErrMsg":"432","InvokeResult":-1},"RequestId":"1"}}`)))
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: deflate\r\nContent-Length: 4\r\n\r\nnull"))
	var mu atomic.Pointer[[]byte]
	url := raw(f, func(c *net.TCPConn, _ int64) { _, _ = c.Write(*mu.Load()); c.Close() })
	p := newPool(f, url)
	fn := function("fn", time.Second)
	f.Fuzz(func(t *testing.T, answer []byte) {
		mu.Store(&answer)
		r := p.Invoke(context.Background(), pools.Request{Function: fn, Payload: []byte(`{}`), Deadline: time.Now().Add(time.Second)})
		if r.Outcome.Class == spillway.Executed && (r.Outcome.Usage.BilledMillis < 1 || r.Outcome.Usage.DurationMicros < 1) {
			t.Errorf("executed and not metered: %+v", r.Outcome)
		}
	})
}
