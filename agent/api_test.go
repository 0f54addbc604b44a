package agent

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

// without returns an Instance that has the API and no process: the test is the function.
func without(t *testing.T) (*Instance, *httptest.Server) {
	t.Helper()
	out, writer, err := newOutput(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	i := &Instance{
		config: Config{Name: "f", MaxResponse: 100}.withDefaults(), out: out,
		proc: &process{pid: os.Getpid()}, exited: make(chan struct{}), quiet: make(chan struct{}), ready: make(chan struct{}),
	}
	server := httptest.NewServer(i)
	go out.follow()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		writer.Close()
		out.close()
		http.DefaultClient.CloseIdleConnections()
	})
	return i, server
}

func invoke(i *Instance) <-chan Ending {
	ending := make(chan Ending, 1)
	e := event("id", `{"n":1}`)
	e.ClientContext, e.TraceID = `{"custom":{}}`, "Root=1"
	go func() { ending <- i.Invoke(context.Background(), e) }()
	return ending
}

func send(t *testing.T, server *httptest.Server, method, path string, body io.Reader, change ...func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	answer.Body = io.NopCloser(strings.NewReader(string(text)))
	return answer
}

const (
	nextPath     = "/2018-06-01/runtime/invocation/next"
	responsePath = "/2018-06-01/runtime/invocation/id/response"
	errorPath    = "/2018-06-01/runtime/invocation/id/error"
)

// finish asks for the next event, which ends the invocation, and hangs up.
func finish(t *testing.T, server *httptest.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+nextPath, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func TestProtocol(t *testing.T) {
	i, server := without(t)
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 404},
		{"GET", "/2018-06-01/runtime/else", 404},
		{"GET", "/2018-06-01/runtime/invocation/id/else", 404},
		{"POST", nextPath, 405},
		{"GET", responsePath, 405},
		{"POST", responsePath, 400},
		{"POST", errorPath, 400},
	} {
		if got := send(t, server, test.method, test.path, nil).StatusCode; got != test.status {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, got, test.status)
		}
	}
	ending := invoke(i)
	got := send(t, server, "GET", nextPath, nil)
	for name, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id": "id", "Lambda-Runtime-Client-Context": `{"custom":{}}`, "Lambda-Runtime-Trace-Id": "Root=1",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
		}
	}
	if body, _ := io.ReadAll(got.Body); got.StatusCode != 200 || string(body) != `{"n":1}` {
		t.Fatalf("next: %d %s", got.StatusCode, body)
	}
	if got := send(t, server, "GET", nextPath, nil).StatusCode; got != 403 {
		t.Errorf("next before an answer: %d", got)
	}
	if got := send(t, server, "POST", "/2018-06-01/runtime/init/error", nil).StatusCode; got != 403 {
		t.Errorf("init error after init: %d", got)
	}
	if got := send(t, server, "POST", responsePath, strings.NewReader(`1`)); got.StatusCode != 202 {
		t.Errorf("response: %d", got.StatusCode)
	}
	if got := send(t, server, "POST", errorPath, strings.NewReader(`2`)).StatusCode; got != 403 {
		t.Errorf("a second answer: %d", got)
	}
	select {
	case e := <-ending:
		t.Fatalf("ended before the function asked for more: %+v", e)
	default:
	}
	finish(t, server)
	if e := <-ending; string(e.Payload) != `1` || e.FunctionError != "" || e.InstanceGone {
		t.Errorf("ending %+v", e)
	}
}

// aws-lambda-go declares these trailers with every answer.
func TestTrailersMakeAnError(t *testing.T) {
	for _, failed := range []bool{false, true} {
		i, server := without(t)
		ending := invoke(i)
		send(t, server, "GET", nextPath, nil)
		send(t, server, "POST", responsePath, io.MultiReader(strings.NewReader("half an ans")), func(r *http.Request) {
			r.Trailer = http.Header{errorTypeHeader: nil, errorBodyHeader: nil}
			if failed {
				r.Trailer.Set(errorTypeHeader, "Broken")
				r.Trailer.Set(errorBodyHeader, base64.StdEncoding.EncodeToString([]byte(`{"errorType":"Broken"}`)))
			}
		})
		finish(t, server)
		e := <-ending
		if failed && (e.FunctionError != spillway.FunctionUnhandled || e.ErrorType != "Broken" || string(e.Payload) != `{"errorType":"Broken"}`) {
			t.Errorf("ending %+v %s", e, e.Payload)
		}
		if !failed && (e.FunctionError != "" || string(e.Payload) != "half an ans") {
			t.Errorf("ending %+v %s", e, e.Payload)
		}
	}
}

func TestResponseLimitIsExact(t *testing.T) {
	for size, status := range map[int]int{100: 202, 101: 413} {
		for _, chunked := range []bool{false, true} {
			i, server := without(t)
			ending := invoke(i)
			send(t, server, "GET", nextPath, nil)
			got := send(t, server, "POST", responsePath, strings.NewReader(strings.Repeat("x", size)), func(r *http.Request) {
				if chunked {
					r.ContentLength = -1
				}
			})
			finish(t, server)
			if e := <-ending; got.StatusCode != status || (e.Cause == spillway.CauseTooLarge) != (status == 413) {
				t.Errorf("%d bytes: %d, %v", size, got.StatusCode, e.Cause)
			}
		}
	}
}

// A poll whose connection broke must not swallow the next event.
func TestNewestPollGetsTheEvent(t *testing.T) {
	i, server := without(t)
	older := make(chan int, 1)
	go func() {
		answer, err := http.Get(server.URL + nextPath)
		if err != nil {
			older <- 0
			return
		}
		answer.Body.Close()
		older <- answer.StatusCode
	}()
	<-i.ready
	newer := make(chan int, 1)
	go func() {
		answer, err := http.Get(server.URL + nextPath)
		if err != nil {
			newer <- 0
			return
		}
		answer.Body.Close()
		newer <- answer.StatusCode
	}()
	if got := <-older; got != 403 {
		t.Fatalf("older poll: %d", got)
	}
	ending := invoke(i)
	if got := <-newer; got != 200 {
		t.Fatalf("newer poll: %d", got)
	}
	send(t, server, "POST", responsePath, strings.NewReader(`1`))
	finish(t, server)
	<-ending
}

func TestUnfetchedEventIsWithdrawn(t *testing.T) {
	i, _ := without(t)
	e := i.Invoke(context.Background(), Event{ID: "id", Deadline: time.Now().Add(20 * time.Millisecond)})
	if e.Delivered || e.Cause != spillway.CauseTimeout || i.pending != nil {
		t.Errorf("%+v", e)
	}
}

func FuzzRuntimeAPI(f *testing.F) {
	f.Add("POST", responsePath, []byte("{}"), "")
	f.Add("POST", errorPath, []byte(`{"errorType":"a\nREPORT RequestId: id"}`), "x")
	f.Add("GET", "/2018-06-01/runtime/invocation//", []byte(nil), "")
	f.Fuzz(func(t *testing.T, method, path string, body []byte, kind string) {
		out, writer, err := newOutput(io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		defer writer.Close()
		defer out.pipe.Close()
		c := &call{event: event("id", `1`), done: make(chan struct{}), fetched: time.Now(), sent: true}
		i := &Instance{config: Config{}.withDefaults(), out: out, proc: &process{pid: os.Getpid()}, running: c,
			exited: make(chan struct{}), ready: make(chan struct{})}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body)))
		r.Method, r.URL.Path = method, path
		r.Header.Set(errorTypeHeader, kind)
		i.ServeHTTP(httptest.NewRecorder(), r)
		e := Ending{Delivered: true}
		i.explain(&e, c, false)
		if lines := reportLines(i.config, "id", e); strings.Count(string(lines), "\n") != 2 {
			t.Errorf("the function forged a line: %q", lines)
		}
	})
}
