package httpv2

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

func TestEvent(t *testing.T) {
	w := &pools.Web{Method: "POST", Target: "/orders/a%20b?x=1&x=2&y=", Host: "api.example.com", Header: http.Header{
		"Content-Type": {"text/plain"}, "Cookie": {"a=1; b=2"}, "Accept": {"text/html", "*/*"}, "User-Agent": {"curl"}}}
	got, err := Event(w, []byte("hi"), "id-1", time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":"2.0","routeKey":"$default","rawPath":"/orders/a b","rawQueryString":"x=1\u0026x=2\u0026y=","cookies":["a=1","b=2"],` +
		`"headers":{"accept":"text/html,*/*","content-type":"text/plain","host":"api.example.com","user-agent":"curl"},` +
		`"queryStringParameters":{"x":"1,2","y":""},"requestContext":{"http":{"method":"POST","path":"/orders/a b","protocol":"HTTP/1.1","userAgent":"curl"},` +
		`"domainName":"api.example.com","requestId":"id-1","routeKey":"$default","stage":"$default","time":"14/Nov/2023:22:13:20 +0000","timeEpoch":1700000000000},` +
		`"body":"hi","isBase64Encoded":false}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, _ = Event(w, []byte{0xff, 0}, "id", time.Time{}); !strings.Contains(string(got), `"body":"/wA=","isBase64Encoded":true`) {
		t.Errorf("bytes that are no text: %s", got)
	}
}

func TestAnswer(t *testing.T) {
	for payload, want := range map[string]string{
		`{"statusCode":201,"headers":{"x-a":"1","x-n":5,"x-b":true},"cookies":["c=1","d=2"],"body":"made"}`: "201 X-A=[1] X-B=[true] X-N=[5] Set-Cookie=[c=1 d=2] made",
		`{"statusCode":200,"body":"/wA=","isBase64Encoded":true}`:                                           "200 \xff\x00",
		`{"statusCode":204}`: "204 ",
		`{"hello":"world"}`:  `200 Content-Type=[application/json] {"hello":"world"}`,
		`"text"`:             "200 Content-Type=[application/json] text",
		`null`:               "200 Content-Type=[application/json] ",
		`{"statusCode":99}`:  "error",
		`{"statusCode":200,"headers":{"a b":"1"}}`:             "error",
		`{"statusCode":200,"headers":{"a":"1\r\nb: 2"}}`:       "error",
		`{"statusCode":200,"headers":{"a":{}}}`:                "error",
		`{"statusCode":200,"cookies":["a\nb"]}`:                "error",
		`{"statusCode":200,"body":"!","isBase64Encoded":true}`: "error",
		``:          "error",
		`{"statusC`: "error",
		`not json`:  "error",
	} {
		a, err := Answer([]byte(payload))
		got := "error"
		if err == nil {
			got = describe(a)
		}
		if got != want {
			t.Errorf("%s\ngot  %q\nwant %q", payload, got, want)
		}
	}
}

func describe(a *pools.WebAnswer) string {
	var b strings.Builder
	b.WriteString(http.StatusText(0))
	status, _ := json.Marshal(a.Status)
	b.Write(status)
	b.WriteByte(' ')
	for _, name := range []string{"Content-Type", "X-A", "X-B", "X-N", "Set-Cookie"} {
		if v := a.Header[name]; v != nil {
			b.WriteString(name + "=[" + strings.Join(v, " ") + "] ")
		}
	}
	b.Write(a.Body)
	return b.String()
}

// FuzzAnswer: whatever a cloud answers is an error, or a response that HTTP can carry.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{`{"statusCode":200,"headers":{"a":"b"},"body":"x"}`, `"x"`, `{"statusCode":1e2}`, `{"statusCode":200,"headers":null}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		a, err := Answer(payload)
		if err != nil {
			return
		}
		if a.Status < 200 || a.Status > 999 {
			t.Errorf("status %d", a.Status)
		}
		for name, values := range a.Header {
			for _, v := range values {
				if strings.ContainsAny(name+v, "\r\n\x00") {
					t.Errorf("header %q: %q", name, v)
				}
			}
		}
	})
}
