package httpapi

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
)

// rawAnswers are answers of functions that contradict themselves. The one to the
// next request on the connection must be found where the client looks for it.
var rawAnswers = []struct {
	name, method string
	status       int
	header       http.Header
	body, want   string // want is of the body; ! if the client sees it broken off
}{
	{"plain", "GET", 200, nil, "abc", "abc"},
	{"HEAD", "HEAD", 200, nil, "", ""},
	{"HEAD with a body", "HEAD", 200, nil, "abc", ""},
	{"HEAD with a length", "HEAD", 200, http.Header{"Content-Length": {"99"}}, "", ""},
	{"HEAD with two lengths", "HEAD", 200, http.Header{"Content-Length": {"98", "99"}}, "", ""},
	{"HEAD with no number", "HEAD", 200, http.Header{"Content-Length": {"x"}}, "", ""},
	{"204 with a body", "GET", 204, nil, "abc", ""},
	{"204 with a length", "GET", 204, http.Header{"Content-Length": {"3"}}, "", ""},
	{"304 with a body", "GET", 304, nil, "abc", ""},
	{"304 with a length", "GET", 304, http.Header{"Content-Length": {"3"}}, "", ""},
	{"length and no body", "GET", 200, http.Header{"Content-Length": {"3"}}, "", "!"},
	{"length too long", "GET", 200, http.Header{"Content-Length": {"30"}}, "abc", "abc!"},
	{"length too short", "GET", 200, http.Header{"Content-Length": {"2"}}, "abc", "!"},
	{"two lengths", "GET", 200, http.Header{"Content-Length": {"3", "30"}}, "abc", "abc"},
	{"lengths that are none", "GET", 200, http.Header{"Content-Length": {"+3"}}, "abc", "abc"},
	{"coding", "GET", 200, http.Header{"Transfer-Encoding": {"chunked"}}, "abc", "abc"},
	{"coding that is none", "GET", 200, http.Header{"Transfer-Encoding": {"identity"}}, "abc", "abc"},
	{"coding and length", "GET", 200, http.Header{"Transfer-Encoding": {"chunked"}, "Content-Length": {"3"}}, "abc", "abc"},
	{"length listed by Connection", "GET", 200, http.Header{"Connection": {"Content-Length, Trailer"}, "Content-Length": {"3"}}, "abc", "abc"},
	{"keep-alive", "GET", 200, http.Header{"Connection": {"keep-alive"}, "Keep-Alive": {"timeout=9"}}, "abc", "abc"},
	{"line ends in a value", "GET", 200, http.Header{"X-A": {"b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0"}}, "abc", "abc"},
	{"line end in a length", "GET", 200, http.Header{"Content-Length": {"3\r\nX-A: b"}}, "abc", "abc"},
	{"field listed by Connection", "GET", 200, http.Header{"Connection": {"x-hop"}, "X-Hop": {"1"}}, "abc", "abc"},
	{"announced trailer", "GET", 200, http.Header{"Trailer": {"X-A"}}, "abc", "abc"},
	{"upgrade", "GET", 426, http.Header{"Upgrade": {"h2c"}, "Connection": {"Upgrade"}}, "abc", "abc"},
}

// TestRawAnswers asks for each answer, whole and as a stream, and then for a plain
// one on the same connection.
func TestRawAnswers(t *testing.T) {
	for _, test := range rawAnswers {
		for _, streams := range []bool{false, true} {
			name := test.name
			if streams {
				name += " streamed"
			}
			t.Run(name, func(t *testing.T) {
				c := &coded{code: func(_ context.Context, w *server.Web) *pools.WebAnswer {
					if w.Method == "POST" {
						return whole("next")
					}
					if !streams {
						return &pools.WebAnswer{Status: test.status, Header: orEmpty(test.header), Body: []byte(test.body)}
					}
					w.Stream.Begin(test.status, orEmpty(test.header), time.Now().Add(time.Minute))
					_, _ = w.Stream.Write([]byte(test.body))
					return nil
				}}
				conn := dial(t, open(t, c).addr)
				_, _ = io.WriteString(conn, rawWeb.text(test.method+" {P} HTTP/1.1|{H}{A}|{S}"))
				br := bufio.NewReader(conn)
				first, resp := readAnswer(t, br, test.method)
				want := test.want
				if !streams { // the length is known, and said
					want = strings.TrimSuffix(want, "!")
					if want == "" && test.status == 200 && test.method == "GET" {
						want = test.body
					}
				}
				if first != want {
					t.Fatalf("read %q, want %q", first, want)
				}
				for _, name := range []string{"Upgrade", "Keep-Alive", "X-Hop"} {
					if resp.Header[name] != nil {
						t.Errorf("the client sees %s", name)
					}
				}
				if len(resp.Trailer) > 0 && !streams {
					t.Errorf("the client waits for %v", resp.Trailer)
				}
				if resp.Close || strings.HasSuffix(first, "!") {
					if rest, _ := io.ReadAll(br); len(rest) > 0 {
						t.Errorf("after the end: %q", rest)
					}
					return
				}
				if next, _ := readAnswer(t, br, "POST"); next != "next" {
					t.Errorf("the next answer is %q", next)
				}
			})
		}
	}
}

func orEmpty(h http.Header) http.Header {
	if h == nil {
		return http.Header{}
	}
	return h.Clone()
}

// readAnswer reads one answer, which must be framed in one way only.
func readAnswer(t *testing.T, br *bufio.Reader, method string) (string, *http.Response) {
	t.Helper()
	head, err := peekHead(br)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(head["Content-Length"]); n > 1 || n > 0 && len(head["Transfer-Encoding"]) > 0 {
		t.Errorf("framed twice: %v", head)
	}
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		body = append(body, '!')
	}
	return string(body), resp
}

// peekHead reads the fields of the answer that comes next, and leaves them there.
func peekHead(br *bufio.Reader) (textproto.MIMEHeader, error) {
	for n := 1; ; n++ {
		text, err := br.Peek(n)
		if err != nil {
			return nil, err
		}
		if end := strings.Index(string(text), "\r\n\r\n"); end >= 0 {
			_, fields, _ := strings.Cut(string(text), "\r\n")
			return textproto.NewReader(bufio.NewReader(strings.NewReader(fields))).ReadMIMEHeader()
		}
	}
}
