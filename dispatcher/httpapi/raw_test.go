package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// rawTest is one odd request: what is sent and what comes of it, "200 405 ran 1" for
// two answers and one payload that ran. In send | is a line end, {H} a Host, {A} a
// token for the function of the path and for no other, {P} the path and {S} a whole
// second request to it with the payload 9. On the Lambda API a 401 is a 403.
type rawTest struct {
	name, send string
	want       string
	web        string // on the web path, if it differs
}

// rawPath is one of the three ways to a function.
type rawPath struct {
	name, path, token, caller, function string
}

var (
	rawURL    = rawPath{"url", urlPath, narrowToken, "narrow", "web/resize"}
	rawLambda = rawPath{"lambda", lambdaPath, narrowToken, "narrow", "web/resize"}
	rawWeb    = rawPath{"web", pagePath + "/sub", pageToken, "paged", "web/page"}
	rawPaths  = []rawPath{rawURL, rawLambda, rawWeb}
)

// rawGroups is the corpus, and which paths each group of it is sent to.
var rawGroups = []struct {
	name  string
	paths []rawPath
	tests []rawTest
}{
	{"length", rawPaths, rawLengths},
	{"coding", rawPaths, rawCodings},
	{"chunk", rawPaths, rawChunks},
	{"trailer", rawPaths, rawTrailers},
	{"line", rawPaths, rawLines},
	{"connection", rawPaths, rawConnections},
	{"credential", rawPaths, rawCredentials},
	{"header", rawPaths, rawHeaders},
	{"option", []rawPath{rawURL, rawLambda}, rawOptions},
	{"lambda option", []rawPath{rawLambda}, rawLambdaOptions},
	{"target", []rawPath{rawURL}, rawTargets},
	{"name", []rawPath{rawURL}, rawNames()},
	{"qualifier", []rawPath{rawURL}, rawQualifiers},
	{"web", []rawPath{rawWeb}, rawWebs},
}

func (p rawPath) text(send string) string {
	credentials := "Authorization: Bearer " + p.token + "\r\n"
	return strings.NewReplacer("|", "\r\n", "{H}", "Host: 127.0.0.1\r\n", "{A}", credentials, "{T}", p.token, "{P}", p.path, "{L}", lambdaPath,
		"{S}", "POST "+p.path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n"+credentials+"Content-Length: 1\r\n\r\n9").Replace(send)
}

func (p rawPath) wants(test rawTest) string {
	switch {
	case p == rawWeb && test.web != "":
		return test.web
	case p == rawLambda:
		return strings.ReplaceAll(test.want, "401", "403")
	}
	return test.want
}

func TestRawRequests(t *testing.T) {
	for _, group := range rawGroups {
		for _, test := range group.tests {
			for _, path := range group.paths {
				t.Run(group.name+"/"+test.name+"/"+path.name, func(t *testing.T) {
					s := &witness{}
					d := open(t, s)
					got := exchangeRaw(t, d.addr, path.text(test.send))
					if ran := s.check(t, path); ran != "" {
						got += " ran " + ran
					}
					for _, r := range s.runs {
						if path == rawWeb && r.ask.Web.Target != "/sub" && !strings.HasPrefix(r.ask.Web.Target, "/sub?") {
							t.Errorf("the function is asked for %s", r.ask.Web.Target)
						}
					}
					want := path.wants(test)
					if want == "4xx" && (got == "400" || got == "404") {
						want = got
					}
					if got != want {
						t.Errorf("%s, want %s", got, want)
					}
				})
			}
		}
	}
}

// TestRawCorpus counts the requests, each as it is written and not once per path.
func TestRawCorpus(t *testing.T) {
	distinct, sent := map[string]bool{}, map[string]bool{}
	for _, group := range rawGroups {
		names := map[string]bool{}
		for _, test := range group.tests {
			if names[test.name] {
				t.Errorf("%s has two tests %q", group.name, test.name)
			}
			names[test.name], distinct[test.send] = true, true
			for _, path := range group.paths {
				sent[path.text(test.send)] = true
			}
		}
	}
	if len(distinct) < 200 {
		t.Errorf("%d distinct requests, want 200 or more", len(distinct))
	}
	t.Logf("%d distinct requests, %d with their paths", len(distinct), len(sent))
}

// run is what a function was given.
type run struct {
	ask     server.Ask
	header  http.Header // of a web function, as are the next two
	trailer http.Header
	body    string // with a ! if the function saw that it was broken off
}

// witness is an Invoker that remembers what ran, with the body a web function read.
type witness struct {
	script
	mu   sync.Mutex
	runs []run
}

func (w *witness) Invoke(_ context.Context, ask server.Ask) (*server.Answer, error) {
	r := run{ask: ask, body: string(ask.Payload)}
	a := executed("1")
	if ask.Web != nil {
		r.readWeb()
		a.Web = &pools.WebAnswer{Status: http.StatusOK, Header: http.Header{}, Body: []byte("1")}
		a.Placement = server.Placement{Invocation: testID, Pool: "onprem", Reason: spillway.ReasonPreferred}
		a.Explanation = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = append(w.runs, r)
	return a, nil
}

func (w *witness) Preview(_ context.Context, ask server.Ask) (*server.Answer, error) {
	return nil, fmt.Errorf("a dry run of %s", ask.Function)
}

func (r *run) readWeb() {
	r.header = r.ask.Web.Header.Clone()
	if r.ask.Web.Body != nil {
		body, err := io.ReadAll(r.ask.Web.Body)
		if r.body = string(body); err != nil {
			r.body += "!"
		} else if r.ask.Web.Trailer != nil {
			r.trailer = r.ask.Web.Trailer()
		}
	}
	if r.body == "" {
		r.body = "-"
	}
}

// check returns the payloads that ran, and has each be of the one function that the
// token is for, asked for in its name, and with nothing of the caller's that a web
// function might take for ours.
func (w *witness) check(t *testing.T, path rawPath) string {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, r := range w.runs {
		all = append(all, r.body)
		if r.ask.Function.String() != path.function || r.ask.Caller != path.caller || (r.ask.Web != nil) != (path == rawWeb) {
			t.Errorf("ran %s as %s, web %v", r.ask.Function, r.ask.Caller, r.ask.Web != nil)
		}
		if r.ask.Web != nil {
			checkWebHeader(t, &r)
		}
	}
	return strings.Join(all, " ")
}

func checkWebHeader(t *testing.T, r *run) {
	t.Helper()
	for name, want := range map[string]string{headerCaller: "paged", headerForwardedFor: "127.0.0.1", headerForwardedProto: "http",
		headerForwardedPrefix: pagePath, headerForwardedHost: r.ask.Web.Host} {
		if got := r.header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("the function sees %s: %q", name, got)
		}
	}
	for _, h := range []http.Header{r.header, r.trailer} {
		for name, values := range h {
			switch {
			case name == headerForwardedFor, name == headerForwardedProto, name == headerForwardedPrefix, name == headerForwardedHost, name == headerCaller:
			case hopByHop(name), withheld(name), strings.Contains(name, "_"), strings.Contains(strings.Join(values, ""), pageToken):
				t.Errorf("the function sees %s: %q", name, values)
			}
		}
	}
	if !strings.HasPrefix(r.ask.Web.Target, "/") || escapes(r.ask.Web.Target) {
		t.Errorf("the function is asked for %s", r.ask.Web.Target)
	}
}

// exchangeRaw sends text, ends its side, and returns the statuses of all answers.
func exchangeRaw(t *testing.T, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	// A write may fail once the server has refused the beginning.
	_, _ = io.WriteString(c, text)
	_ = c.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(c)
	if err != nil && len(all) == 0 {
		t.Fatal(err)
	}
	return statusesOf(t, all)
}

func statusesOf(t *testing.T, text []byte) string {
	t.Helper()
	b, statuses := bufio.NewReader(bytes.NewReader(text)), []string{}
	for {
		if _, err := b.Peek(1); err != nil {
			return strings.Join(statuses, " ")
		}
		resp, err := http.ReadResponse(b, nil)
		if err != nil {
			t.Fatalf("answer that is none: %v: %q", err, text)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, fmt.Sprint(resp.StatusCode))
	}
}
