package httpapi

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

const pagePath = "/namespaces/web/functions/page"

const pagePlatform = `
pool onprem process slots=2
quota all
policy default OnPremOnly order=onprem
namespace web quota=all
function web/page timeout=20s maxwait=1ms
function web/hasty timeout=300ms maxwait=1ms
function web/resize timeout=20s maxwait=1ms
`

// lines is a ledger that remembers its lines.
type lines struct{ posted, begun chan billing.Entry }

func (l lines) Reserve() error                                            { return nil }
func (l lines) Release()                                                  {}
func (l lines) Begin(e *billing.Entry) error                              { l.begun <- *e; return nil }
func (l lines) Intent(context.Context, *billing.Entry) error              { return errors.New("no cloud here") }
func (l lines) Post(e *billing.Entry) error                               { l.posted <- *e; return nil }
func (l lines) Explain(string, time.Time, []byte)                         {}
func (l lines) Decision(context.Context, string) (json.RawMessage, error) { return nil, nil }
func (l lines) Health() error                                             { return nil }

type permitAll struct{ p *spillway.Platform }

func (p permitAll) Evaluate(context.Context, spillway.Instant, policy.Input) *policy.Verdict {
	return testplatform.PermitAll(p.p)
}

// site is a front door with a real server and web functions in memory.
type site struct {
	*door
	lines
}

func openSite(t *testing.T, code memory.WebFunc) site {
	t.Helper()
	p, err := testplatform.Parse(pagePlatform)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Functions {
		if f.Name != "resize" {
			f.Contract = spillway.ContractHTTP
		}
	}
	l := lines{make(chan billing.Entry, 64), make(chan billing.Entry, 64)}
	pool := memory.New(memory.Options{Web: code})
	s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: pool}, Policy: permitAll{p}, Ledger: l})
	t.Cleanup(func() { s.Close(); pool.Close() })
	return site{open(t, s), l}
}

// page answers what it sees; by path it streams, dies or hangs.
func page(ctx context.Context, w *pools.Web, payload []byte) (*pools.WebAnswer, error) {
	path, _, _ := strings.Cut(w.Target, "?")
	h := http.Header{"X-From": {"page"}, "Connection": {"X-Hop"}, "X-Hop": {"1"}, "X-Spillway-Pool": {"forged"}, "Keep-Alive": {"timeout=5"}}
	switch path {
	case "/exit":
		return nil, memory.ErrExit
	case "/hang":
		<-ctx.Done()
		return nil, ctx.Err()
	case "/events", "/broken":
		w.Stream.Inform(http.StatusEarlyHints, http.Header{"Link": {"</a>"}})
		w.Stream.Begin(http.StatusOK, h, time.Now().Add(10*time.Second))
		for _, piece := range []string{"one ", "two "} {
			if _, err := w.Stream.Write([]byte(piece)); err != nil {
				return &pools.WebAnswer{Streamed: true}, err
			}
		}
		if path == "/broken" {
			return &pools.WebAnswer{Streamed: true}, memory.ErrExit
		}
		return &pools.WebAnswer{Streamed: true, Trailer: http.Header{"X-Sum": {"2"}, "X-Spillway-Sum": {"2"}}}, nil
	case "/open":
		w.Stream.Begin(http.StatusOK, h, time.Now().Add(10*time.Second))
		_, _ = w.Stream.Write(nil)
		<-ctx.Done()
		return &pools.WebAnswer{Streamed: true}, ctx.Err()
	case "/none":
		return &pools.WebAnswer{Status: http.StatusNoContent, Header: h}, nil
	}
	text := w.Method + " " + w.Target + " " + w.Host + "\n"
	names := make([]string, 0, len(w.Header))
	for name := range w.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += name + ": " + strings.Join(w.Header[name], "|") + "\n"
	}
	if w.Body != nil {
		body, _ := io.ReadAll(w.Body)
		payload = append([]byte("streamed "), body...)
		if w.Trailer != nil {
			text += "trailer " + strings.Join(w.Trailer()["X-Sum"], "|") + "\n"
		}
	}
	return &pools.WebAnswer{Status: 201, Header: h, Body: append(w.Room[:0], text+string(payload)...)}, nil
}

func TestWebRequest(t *testing.T) {
	s := openSite(t, page)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		resp, text := s.do(t, method, pagePath+"/a//b%2Fc/.well-known?qualifier=a&qualifier=b", "body",
			"Authorization", "Bearer "+testToken, "Idempotency-Key", "k", "X-A", "1", "X-A", "2", "X_A", "3",
			"Connection", "X-Listed", "X-Listed", "1", "X-Forwarded-For", "10.0.0.1", "X-Spillway-Caller", "root", "Content-Encoding", "gzip")
		want := method + " /a//b%2Fc/.well-known?qualifier=a&qualifier=b " + s.addr + "\n"
		if resp.StatusCode != 201 || !strings.HasPrefix(text, want) || !strings.HasSuffix(text, "\nbody") {
			t.Fatalf("%s: %d %s", method, resp.StatusCode, text)
		}
		for _, line := range []string{"Idempotency-Key: k\n", "X-A: 1|2\n", "X-Forwarded-For: 127.0.0.1\n", "X-Forwarded-Prefix: " + pagePath + "\n",
			"X-Forwarded-Proto: http\n", "X-Spillway-Caller: bearer\n", "Content-Encoding: gzip\n"} {
			if !strings.Contains(text, "\n"+line) {
				t.Errorf("%s: no %q in %s", method, line, text)
			}
		}
		for _, not := range []string{"Authorization", "X_A", "X-Listed", "Connection", testToken} {
			if strings.Contains(text, not) {
				t.Errorf("%s: the function sees %s: %s", method, not, text)
			}
		}
		h := resp.Header
		if h.Get(headerPool) != "onprem" || h.Get(headerReason) != "pinned" || h.Get(headerInvocation) == "" || h.Get("X-From") != "page" ||
			h.Get("X-Hop") != "" || h.Get("Keep-Alive") != "" || len(h[headerPool]) != 1 || h["Content-Type"] != nil ||
			!strings.HasPrefix(h.Get(headerDecision), "outcome=executed reason=pinned pool=onprem") {
			t.Errorf("%s: answer header %v", method, h)
		}
		if e := <-s.posted; e.Kind != billing.KindCharge || e.Outcome != spillway.Executed || e.RequestKey != "" || e.Invocation != h.Get(headerInvocation) || e.Invocation != (<-s.begun).Invocation {
			t.Errorf("%s: ledger line %+v", method, e)
		}
	}
}

func TestWebStatuses(t *testing.T) {
	s := openSite(t, page)
	key := []string{"Authorization", "Bearer " + testToken}
	for _, test := range []struct {
		method, path, body string
		header             []string
		status             int
		reason             string
	}{
		{"GET", pagePath + "/none", "", key, 204, "pinned"},
		{"HEAD", pagePath + "/", "", key, 201, "pinned"},
		{"GET", pagePath + "/exit", "", key, 502, "pinned"},
		{"GET", "/namespaces/web/functions/hasty/hang", "", key, 504, "pinned"},
		{"GET", pagePath + "/", "", nil, 401, "unauthenticated"},
		{"GET", pagePath + "/", "", []string{"Authorization", "Bearer " + narrowToken}, 403, "denied"},
		{"GET", "/namespaces/web/functions/nobody/", "", key, 404, "not_found"},
		{"GET", "/namespaces/web/functions/resize/", "", key, 404, "not_found"},
		{"GET", "/namespaces/web/functions/resize/invoke", "", key, 405, "invalid_request"},
		{"GET", pagePath, "", key, 404, "not_found"},
		{"GET", pagePath + "/a/../b", "", key, 400, "invalid_request"},
		{"GET", pagePath + "/a/%2e%2E", "", key, 400, "invalid_request"},
		{"GET", pagePath + "/..", "", key, 400, "invalid_request"},
		{"GET", pagePath + "/", "", append([]string{"Upgrade", "websocket", "Connection", "Upgrade"}, key...), 501, "unsupported"},
		{"GET", pagePath + "/", "", append([]string{"X-Spillway-Deadline", "soon"}, key...), 400, "invalid_request"},
		{"POST", "/namespaces/web/2015-03-31/functions/page/invocations", "{}", key, 400, "unsupported"},
		{"POST", pagePath + "/invoke", "", key, 201, "pinned"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+s.addr, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = test.path
		for i := 0; i < len(test.header); i += 2 {
			r.Header.Add(test.header[i], test.header[i+1])
		}
		resp, err := s.client.Do(r)
		if err != nil {
			t.Fatalf("%s %s: %v", test.method, test.path, err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != test.status || resp.Header.Get(headerReason) != test.reason {
			t.Errorf("%s %s %v: %d %s %s", test.method, test.path, test.header, resp.StatusCode, resp.Header.Get(headerReason), text)
		}
		if failed := resp.Header.Get(headerURLError) == "Unhandled"; failed != (test.status == 502 || test.status == 504) {
			t.Errorf("%s: function error %q", test.path, resp.Header.Get(headerURLError))
		}
	}
}

// TestWebNoSlash: who leaves out the / after the name of a web function is told so.
func TestWebNoSlash(t *testing.T) {
	s := openSite(t, page)
	resp, text := s.do(t, "GET", pagePath, "", "Authorization", "Bearer "+testToken)
	if resp.StatusCode != 404 || !strings.Contains(text, "mind the / after the name") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}

func TestWebSigned(t *testing.T) {
	s := openSite(t, page)
	r, _ := http.NewRequestWithContext(t.Context(), "POST", "http://"+s.addr+pagePath+"/x", strings.NewReader("signed body"))
	sign(t, r, "signed body")
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 201 || !strings.HasSuffix(string(text), "signed body") || !strings.Contains(string(text), "X-Spillway-Caller: signer\n") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	for _, not := range []string{"Authorization", "X-Amz-", testKey} {
		if strings.Contains(string(text), not) {
			t.Errorf("the function sees %s: %s", not, text)
		}
	}
}

// raw sends a request as it is and returns the connection to read from.
func (s site) raw(t *testing.T, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	text = strings.ReplaceAll(text, "{H}", "Host: h|Authorization: Bearer "+testToken+"|")
	text = strings.NewReplacer("|", "\r\n", "{P}", pagePath).Replace(text)
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func TestWebStream(t *testing.T) {
	s := openSite(t, page)
	_, br := s.raw(t, "GET {P}/events HTTP/1.1|{H}|")
	hints, err := http.ReadResponse(br, nil)
	if err != nil || hints.StatusCode != 103 || hints.Header.Get("Link") != "</a>" {
		t.Fatalf("%v %+v", err, hints)
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "one two " || resp.Trailer.Get("X-Sum") != "2" || resp.Trailer.Get("X-Spillway-Sum") != "" {
		t.Errorf("%v %q, trailer %v", err, body, resp.Trailer)
	}
	if h := resp.Header; h.Get("Link") != "" || h.Get(headerPool) != "onprem" || h.Get("X-Hop") != "" ||
		!strings.HasPrefix(h.Get(headerDecision), "outcome=open reason=pinned") || h.Get(headerInvocation) != (<-s.posted).Invocation {
		t.Errorf("header %v", h)
	}
}

// TestWebCut has a function die in the middle of an answer: the client must notice.
func TestWebCut(t *testing.T) {
	s := openSite(t, page)
	_, br := s.raw(t, "GET {P}/broken HTTP/1.1|{H}|")
	_, _ = http.ReadResponse(br, nil)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "one two " {
		t.Errorf("read %q, then %v", body, err)
	}
	if e := <-s.posted; e.Outcome != spillway.Executed || e.Error != spillway.FunctionUnhandled {
		t.Errorf("ledger line %+v", e)
	}
}

// TestWebClientGone checks that a place is held while an answer streams, and that
// the end of the client ends the execution.
func TestWebClientGone(t *testing.T) {
	s := openSite(t, page)
	var open []net.Conn
	for range 2 {
		c, br := s.raw(t, "GET {P}/open HTTP/1.1|{H}|")
		if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v %+v", err, resp)
		}
		open = append(open, c)
	}
	resp, text := s.do(t, "GET", pagePath+"/", "", "Authorization", "Bearer "+testToken)
	if resp.StatusCode != 429 || resp.Header.Get(headerReason) != "no_capacity" {
		t.Fatalf("with all places taken: %d %s", resp.StatusCode, text)
	}
	_ = open[0].Close()
	if e := <-s.posted; e.Outcome != spillway.Executed || e.Error != spillway.FunctionUnhandled {
		t.Errorf("ledger line %+v", e)
	}
	resp, text = s.do(t, "GET", pagePath+"/", "", "Authorization", "Bearer "+testToken)
	if resp.StatusCode != 201 {
		t.Errorf("with a place free: %d %s", resp.StatusCode, text)
	}
}

func TestWebBodies(t *testing.T) {
	s := openSite(t, page)
	for _, test := range []struct{ name, send, want string }{
		{"chunked", "PUT {P}/x HTTP/1.1|{H}Transfer-Encoding: chunked||3|abc|0||", "streamed abc"},
		{"trailer", "PUT {P}/x HTTP/1.1|{H}Trailer: X-Sum|Transfer-Encoding: chunked||3|abc|0|X-Sum: 7||", "trailer 7\nstreamed abc"},
		{"credentials in a trailer", "PUT {P}/x HTTP/1.1|{H}Trailer: Authorization|Transfer-Encoding: chunked||3|abc|0|Authorization: x||", "trailer \nstreamed abc"},
		{"long", "POST {P}/x HTTP/1.1|{H}Content-Length: 40000||" + strings.Repeat("a", 40000), "streamed " + strings.Repeat("a", 40000)},
		{"short", "POST {P}/x HTTP/1.1|{H}Content-Length: 3||abc", "\nabc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, br := s.raw(t, test.send)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 201 || !strings.HasSuffix(string(body), test.want) {
				t.Errorf("%d %v: %.300s", resp.StatusCode, err, body)
			}
		})
	}
	_, br := s.raw(t, "GET {P}/x HTTP/1.1|{H}Connection: Upgrade|Upgrade: h2c||")
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 201 || !resp.Close {
		t.Fatalf("an offer of h2c: %v %+v", err, resp)
	}
	c, br := s.raw(t, "POST {P}/x HTTP/1.1|{H}Expect: 100-continue|Content-Length: 3||")
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 100 {
		t.Fatalf("%v %+v", err, resp)
	}
	_, _ = io.WriteString(c, "abc")
	if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != 201 {
		t.Fatalf("%v %+v", err, resp)
	}
}

// sign signs as an AWS SDK does.
func sign(t *testing.T, r *http.Request, body string) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	credentials := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(sum[:]), "lambda", "eu-west-1", time.Now()); err != nil {
		t.Fatal(err)
	}
}
