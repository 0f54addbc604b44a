package httpapi

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/dispatcher/server"
)

// In raw requests | is a line end, {H} a Host, {A} the narrow token, which may
// call web/resize only, {P} and {L} the paths of that function, and {S} a whole
// second request, whose payload is 9.
var rawText = strings.NewReplacer("|", "\r\n", "{H}", "Host: 127.0.0.1\r\n", "{A}", "Authorization: Bearer "+narrowToken+"\r\n",
	"{P}", urlPath, "{L}", lambdaPath,
	"{S}", "POST "+urlPath+" HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "+narrowToken+"\r\nContent-Length: 1\r\n\r\n9")

// rawRequests is the corpus: what is sent, the statuses of the answers, and the
// payloads that ran, all of them as web/resize.
var rawRequests = []struct {
	name, send string
	statuses   []int
	ran        string // payloads, separated by spaces
}{
	// What must work.
	{"plain", "POST {P} HTTP/1.1|{H}{A}Content-Length: 1||1", []int{200}, "1"},
	{"pipelined", "POST {P} HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{200, 200}, "1 9"},
	{"no body", "POST {P} HTTP/1.1|{H}{A}|", []int{200}, "{}"},
	{"query is not a name", "POST {P}?namespace=shop&name=other HTTP/1.1|{H}{A}Content-Length: 1||1", []int{200}, "1"},
	{"encoded colon", "POST /namespaces/web/2015-03-31/functions/resize%3av1/invocations HTTP/1.1|{H}{A}Content-Length: 1||1", []int{200}, "1"},
	{"continue", "POST {P} HTTP/1.1|{H}{A}Expect: 100-continue|Content-Length: 1||1", []int{100, 200}, "1"},

	// Framing.
	{"CL before TE", "POST {P} HTTP/1.1|{H}{A}Content-Length: 5|Transfer-Encoding: chunked||1|1|0||{S}", []int{200}, "1"},
	{"TE before CL", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked|Content-Length: 1||1|1|0||{S}", []int{200}, "1"},
	{"TE with CL of all that follows", "POST {P} HTTP/1.1|{H}{A}Content-Length: 300|Transfer-Encoding: chunked||0||{S}", []int{200}, "{}"},
	{"chunked alone", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||1|1|0||{S}", []int{200}, "1"},
	{"TE in capitals", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: CHUNKED||1|1|0||{S}", []int{200}, "1"},
	{"TE twice", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked|Transfer-Encoding: identity||1|1|0||{S}", []int{501}, ""},
	{"TE list", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: gzip, chunked||1|1|0||{S}", []int{501}, ""},
	{"TE unknown", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: xchunked|Content-Length: 1||1{S}", []int{501}, ""},
	{"TE with a tab", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding:\tchunked|Content-Length: 1||1|1|0||{S}", []int{200}, "1"},
	{"TE with a vertical tab", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: \x0bchunked|Content-Length: 1||1{S}", []int{400}, ""},
	{"TE, space before colon", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding : chunked|Content-Length: 1||1{S}", []int{400}, ""},
	{"underscored TE", "POST {P} HTTP/1.1|{H}{A}Transfer_Encoding: chunked|Content-Length: 1||1", []int{200}, "1"},
	{"TE in HTTP/1.0", "POST {P} HTTP/1.0|{H}{A}Transfer-Encoding: chunked|Connection: keep-alive||1|1|0||{S}", []int{411}, ""},
	{"same CL twice", "POST {P} HTTP/1.1|{H}{A}Content-Length: 1|Content-Length: 1||1", []int{200}, "1"},
	{"two CL", "POST {P} HTTP/1.1|{H}{A}Content-Length: 1|Content-Length: 2||1{S}", []int{400}, ""},
	{"CL list", "POST {P} HTTP/1.1|{H}{A}Content-Length: 1, 1||1{S}", []int{400}, ""},
	{"CL plus", "POST {P} HTTP/1.1|{H}{A}Content-Length: +1||1{S}", []int{400}, ""},
	{"CL minus", "POST {P} HTTP/1.1|{H}{A}Content-Length: -1||1{S}", []int{400}, ""},
	{"CL hexadecimal", "POST {P} HTTP/1.1|{H}{A}Content-Length: 0x1||1{S}", []int{400}, ""},
	{"CL overflow", "POST {P} HTTP/1.1|{H}{A}Content-Length: 18446744073709551617||1{S}", []int{400}, ""},
	{"CL over the limit", "POST {P} HTTP/1.1|{H}{A}Content-Length: 6291457||1", []int{413}, ""},
	{"CL of terabytes", "POST {L} HTTP/1.1|{H}{A}Content-Length: 9999999999999||1", []int{413}, ""},
	{"underscored CL", "POST {P} HTTP/1.1|{H}{A}Content_Length: 1||", []int{200}, "{}"},
	{"no CL, a body", "POST {P} HTTP/1.1|{H}{A}|x{S}", []int{200, 405}, "{}"},
	{"truncated body", "POST {P} HTTP/1.1|{H}{A}Content-Length: 9||1", []int{400}, ""},
	{"truncated chunk", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||9|1", []int{400}, ""},
	{"no last chunk", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||1|1|", []int{400}, ""},
	{"chunk size overflow", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||10000000000000001|1|0||{S}", []int{400}, ""},
	{"negative chunk", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||-1|1|0||{S}", []int{400}, ""},
	{"chunk longer than said", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||1|111|0||{S}", []int{400}, ""},
	{"chunk extension", "POST {P} HTTP/1.1|{H}{A}Transfer-Encoding: chunked||1;a=b|1|0||{S}", []int{200}, "1"},
	{"credentials in a trailer", "POST {P} HTTP/1.1|{H}Trailer: Authorization|Transfer-Encoding: chunked||1|1|0|{A}|", []int{401}, ""},
	{"upgrade to h2c", "POST {P} HTTP/1.1|{H}{A}Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABk|Content-Length: 1||1{S}", []int{200}, "1"},
	{"upgrade to websocket", "POST {P} HTTP/1.1|{H}{A}Connection: Upgrade|Upgrade: websocket|Content-Length: 1||1{S}", []int{200}, "1"},
	{"HTTP/2 preface", "PRI * HTTP/2.0||SM||", []int{400}, ""},
	{"HTTP/1.0 kept alive", "POST {P} HTTP/1.0|{H}{A}Connection: keep-alive|Content-Length: 1||1{S}", []int{200}, "1"},
	{"HTTP/0.9", "POST {P}|", []int{400}, ""},
	{"HTTP/3", "POST {P} HTTP/3.0|{H}{A}Content-Length: 1||1", []int{505}, ""},
	{"other expectation", "POST {P} HTTP/1.1|{H}{A}Expect: magic|Content-Length: 1||1", []int{417}, ""},
	{"continue without credentials", "POST {P} HTTP/1.1|{H}Expect: 100-continue|Content-Length: 1||", []int{401}, ""},

	// Header fields.
	{"two Hosts", "POST {P} HTTP/1.1|{H}Host: evil.example|{A}Content-Length: 1||1", []int{400}, ""},
	{"no Host", "POST {P} HTTP/1.1|{A}Content-Length: 1||1", []int{400}, ""},
	{"odd Host", "POST {P} HTTP/1.1|Host: a/b@c|{A}Content-Length: 1||1", []int{400}, ""},
	{"NUL in a value", "POST {P} HTTP/1.1|{H}{A}X-A: a\x00b|Content-Length: 1||1", []int{400}, ""},
	{"bare CR in a value", "POST {P} HTTP/1.1|{H}{A}X-A: a\rContent-Length: 9|Content-Length: 1||1", []int{400}, ""},
	{"header without a name", "POST {P} HTTP/1.1|{H}{A}: a|Content-Length: 1||1", []int{400}, ""},
	{"header without a colon", "POST {P} HTTP/1.1|{H}{A}Content-Length|Content-Length: 1||1", []int{400}, ""},
	{"first line continued", "POST {P} HTTP/1.1| {H}{A}Content-Length: 1||1", []int{400}, ""},
	{"header of 40 KiB", "POST {P} HTTP/1.1|{H}{A}X-A: " + strings.Repeat("a", 40<<10) + "|Content-Length: 1||1", []int{431}, ""},
	{"5000 headers", "POST {P} HTTP/1.1|{H}{A}" + strings.Repeat("X-A: aaa|", 5000) + "Content-Length: 1||1", []int{431}, ""},
	{"target of 4 KiB", "POST {P}?" + strings.Repeat("a", 4<<10) + " HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"target of 40 KiB", "POST {P}?" + strings.Repeat("a", 40<<10) + " HTTP/1.1|{H}{A}Content-Length: 1||1", []int{431}, ""},
	{"two credentials", "POST {P} HTTP/1.1|{H}{A}{A}Content-Length: 1||1", []int{401}, ""},
	{"forged identity", "POST {P} HTTP/1.1|{H}X-Spillway-Identity: root|X-Remote-User: root|X-Forwarded-User: root|X-Amzn-Caller: root|Content-Length: 1||1", []int{401}, ""},
	{"forged identity beside a token", "POST {P} HTTP/1.1|{H}{A}X-Spillway-Identity: root|X_Remote_User: root|Forwarded: for=127.0.0.1|Content-Length: 1||1", []int{200}, "1"},
	{"underscored credentials", "POST {P} HTTP/1.1|{H}X_Authorization: Bearer " + narrowToken + "|Content-Length: 1||1", []int{401}, ""},
	{"credentials in the query", "POST {P}?access_token=" + narrowToken + " HTTP/1.1|{H}Content-Length: 1||1", []int{401}, ""},
	{"method override", "GET {P} HTTP/1.1|{H}{A}X-HTTP-Method-Override: POST|Content-Length: 1||1", []int{405}, ""},
	{"rewritten URL", "POST /namespaces/shop/functions/x/invoke HTTP/1.1|{H}{A}X-Original-URL: {P}|X-Rewrite-URL: {P}|Content-Length: 1||1", []int{403}, ""},
	{"compressed", "POST {P} HTTP/1.1|{H}{A}Content-Encoding: gzip|Content-Length: 1||1", []int{415}, ""},
	{"request in a refused body", "POST {P} HTTP/1.1|{H}Content-Length: 160||{S}", []int{401}, ""},
	{"request in a body of GET", "GET {P} HTTP/1.1|{H}{A}Content-Length: 160||{S}", []int{405}, ""},

	// Targets.
	{"absolute", "POST http://127.0.0.1{P} HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"absolute, other host", "POST http://evil.example{P} HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"authority", "CONNECT 127.0.0.1:80 HTTP/1.1|{H}{A}|{S}", []int{400}, ""},
	{"asterisk", "OPTIONS * HTTP/1.1|{H}{A}|{S}", []int{400}, ""},
	{"two slashes first", "POST //namespaces/web/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"two slashes", "POST /namespaces/web//functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"dots", "POST /namespaces/web/../web/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"one dot", "POST /./namespaces/web/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"encoded dots", "POST /namespaces/shop/%2e%2E/web/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"encoded slash", "POST /namespaces/shop%2Fweb/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"encoded slash in a FunctionName", "POST /namespaces/web/2015-03-31/functions/shop%2fresize/invocations HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"slash encoded twice", "POST /namespaces/web/functions/shop%252Fresize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"backslash", "POST /namespaces/shop\\web/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1{S}", []int{400}, ""},
	{"encoded letter", "POST /namespaces/web/functions/%72esize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"encoded letter in the path", "POST /%6eamespaces/web/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{404}, ""},
	{"encoded NUL", "POST /namespaces/web/functions/resize%00/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"broken escape", "POST /namespaces/web/functions/resize%zz/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"UTF-8", "POST /namespaces/web/functions/r\u00e9size/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"fragment", "POST {P}#x HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"path parameter", "POST /namespaces/web/functions/resize;a=b/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"slash last", "POST {P}/ HTTP/1.1|{H}{A}Content-Length: 1||1", []int{404}, ""},
	{"capitals", "POST /Namespaces/web/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{404}, ""},
	{"capitals in a name", "POST /namespaces/web/functions/Resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"no namespace", "POST /namespaces//functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"two names", "POST /namespaces/web/functions/resize/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{404}, ""},
	{"space in the target", "POST /namespaces/web/functions/resize /invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"tab in the target", "POST\t{P} HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
	{"small letters of a method", "post {P} HTTP/1.1|{H}{A}Content-Length: 1||1", []int{405}, ""},
	{"another's namespace", "POST /namespaces/shop/functions/resize/invoke HTTP/1.1|{H}{A}Content-Length: 1||1", []int{403}, ""},
	{"another's function by ARN", "POST /namespaces/web/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:other/invocations HTTP/1.1|{H}{A}Content-Length: 1||1", []int{403}, ""},
	{"two names in one ARN", "POST /namespaces/web/2015-03-31/functions/123456789012:function:resize:function:other/invocations HTTP/1.1|{H}{A}Content-Length: 1||1", []int{400}, ""},
}

func TestRawRequests(t *testing.T) {
	for _, test := range rawRequests {
		t.Run(test.name, func(t *testing.T) {
			s := always(executed("1"), nil)
			d := open(t, s)
			statuses := exchangeRaw(t, d.addr, rawText.Replace(test.send))
			if !slices.Equal(statuses, test.statuses) {
				t.Errorf("answered %v, want %v", statuses, test.statuses)
			}
			if ran := payloads(t, s.ran()); ran != test.ran {
				t.Errorf("ran %q, want %q", ran, test.ran)
			}
		})
	}
}

// payloads also checks that all that ran is what the token may run.
func payloads(t *testing.T, asks []server.Ask) string {
	t.Helper()
	var all []string
	for _, ask := range asks {
		if ask.Function.String() != "web/resize" || ask.Caller != "narrow" {
			t.Errorf("ran %s as %s", ask.Function, ask.Caller)
		}
		all = append(all, string(ask.Payload))
	}
	return strings.Join(all, " ")
}

// exchangeRaw sends text, ends its side, and returns the statuses of all answers.
func exchangeRaw(t *testing.T, addr, text string) []int {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	// A write may fail once the server has refused the beginning.
	_, _ = io.WriteString(c, text)
	_ = c.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(c)
	if err != nil && len(all) == 0 {
		t.Fatal(err)
	}
	return statusesOf(t, all)
}

func statusesOf(t *testing.T, text []byte) (statuses []int) {
	t.Helper()
	b := bufio.NewReader(bytes.NewReader(text))
	for {
		if _, err := b.Peek(1); err != nil {
			return statuses
		}
		resp, err := http.ReadResponse(b, nil)
		if err != nil {
			t.Fatalf("answer that is none: %v: %q", err, text)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses = append(statuses, resp.StatusCode)
	}
}
