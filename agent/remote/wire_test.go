package remote

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
)

func TestEndingsArriveAsTheyWere(t *testing.T) {
	arrived, sent := time.Now(), time.Now().Add(-400*24*time.Hour) // the clocks are a year apart
	for _, e := range []agent.Ending{
		{Cause: spillway.CauseCrashed, InstanceGone: true},
		{Cause: spillway.CauseRejected},
		{Delivered: true, Started: arrived.Add(3 * time.Millisecond), Duration: 5 * time.Microsecond, CPU: 4 * time.Microsecond, Init: time.Second, PeakBytes: 1 << 30},
		{Delivered: true, Started: arrived, Cause: spillway.CauseOutOfMemory, FunctionError: spillway.FunctionUnhandled, ErrorType: "Runtime.OutOfMemory", InstanceGone: true, LogTail: []byte{}},
		{Delivered: true, Started: arrived, FunctionError: spillway.FunctionUnhandled, ErrorType: "Ж\x7f\n\U0001F600\u2028", LogTail: bytes.Repeat([]byte{0xff}, pools.MaxLogTail)},
	} {
		text := asciiJSON(endingOf(e, arrived))
		for _, b := range text {
			if b < ' ' || b >= 0x7f {
				t.Fatalf("%q cannot be a header's value", text)
			}
		}
		parsed, err := parseEnding(text)
		if err != nil {
			t.Fatal(err)
		}
		got := parsed.agentEnding(sent)
		if e.Delivered {
			e.Started = sent.Add(e.Started.Sub(arrived))
		} else {
			got.Started = time.Time{}
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("%+v became %+v", e, got)
		}
	}
}

func TestEndingsThatMakeNoSense(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{`, `{}`, `{"delivered":true,"cause":"throttled"}`, `{"cause":"no such"}`, `{"delivered":true,"functionError":"Maybe"}`,
		`{"cause":"crashed","functionError":"Unhandled"}`, `{"delivered":true,"durationMicros":-1}`, `{"delivered":true,"initMicros":9000000000000000}`,
		`{"delivered":true,"peakBytes":-1}`, `{"cause":"crashed","detail":"` + strings.Repeat("x", maxWord+1) + `"}`,
		`{"delivered":true,"logTail":"` + strings.Repeat("AAAA", 1+pools.MaxLogTail/3) + `"}`,
		`{"delivered":true,"errorType":"` + strings.Repeat("x", maxEnding) + `"}`,
	} {
		if e, err := parseEnding([]byte(text)); err == nil {
			t.Errorf("%.60s is %+v", text, e)
		}
	}
	if _, err := parseEnding([]byte(`{"delivered":true,"fieldOfLater":1}`)); err != nil {
		t.Error(err)
	}
}

func FuzzEnding(f *testing.F) {
	f.Add([]byte(`{"delivered":true,"cause":"timeout","functionError":"Unhandled","errorType":"Sandbox.Timedout","logTail":"YWI=","tailed":true,"afterMicros":5,"durationMicros":7,"gone":true}`))
	f.Add([]byte(`{"cause":"rejected","detail":"it has no place"}`))
	f.Add([]byte(`{"peakBytes":1e300}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseEnding(text)
		if err != nil {
			return
		}
		got := e.agentEnding(time.Unix(0, 0))
		r := got.Result(pools.Request{Function: &spillway.Function{}})
		if r.Outcome.Class == spillway.Unknown || got.Delivered != (r.Outcome.Class == spillway.Executed) || len(got.LogTail) > pools.MaxLogTail || r.Outcome.Usage.DurationMicros < 0 {
			t.Errorf("%+v", r)
		}
		again, err := parseEnding(asciiJSON(e))
		if len(again.LogTail) == 0 {
			again.LogTail, e.LogTail = nil, nil
		}
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}

func FuzzCall(f *testing.F) {
	f.Add(`{"ticket":"0123456789abcdef-7","invocation":"a","leftMicros":5,"clientContext":"e30=","logTail":true,"room":4096}`)
	f.Add(`{"ticket":"0123456789abcdef-18446744073709551616"}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCall(http.Header{callHeader: {text}})
		if err != nil {
			return
		}
		again, err := parseCall(http.Header{callHeader: {string(asciiJSON(c))}})
		if len(c.ClientContext) == 0 {
			c.ClientContext, again.ClientContext = nil, nil
		}
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v became %+v, %v", c, again, err)
		}
	})
}

func TestHeadsArriveAsTheyWere(t *testing.T) {
	request := webHead{method: "POST", target: "/a?b=%2F", host: "h\xe9", header: http.Header{"A": {"1", ""}, "B": {}}, streams: true, expect: true, length: -1}
	if got, err := parseWebHead(request.append(nil)); err != nil || !reflect.DeepEqual(got, request) {
		t.Errorf("%+v %v", got, err)
	}
	answer := answerHead{status: 200, whole: true, header: http.Header{"Set-Cookie": {"a", "b"}}}
	if got, err := parseAnswerHead(answer.append(nil)); err != nil || !reflect.DeepEqual(got, answer) {
		t.Errorf("%+v %v", got, err)
	}
	last := webEnding{ending: []byte(`{}`), payload: []byte{0, 1}, trailer: http.Header{"X": {"y"}}}
	if got, err := parseWebEnding(last.append(nil)); err != nil || !reflect.DeepEqual(got, last) {
		t.Errorf("%+v %v", got, err)
	}
}

// FuzzFrames reads bytes as every kind of frame: an error or something that is written
// back as it was, and no more memory than bytes.
func FuzzFrames(f *testing.F) {
	request := webHead{method: "GET", target: "/", header: http.Header{"A": {"1"}}}
	answer := answerHead{status: 200, header: http.Header{"B": {"2"}}}
	last := webEnding{ending: []byte(`{}`)}
	f.Add(appendFrame(nil, frameHead, request.append(nil)))
	f.Add(appendFrame(nil, frameHead, answer.append(nil)))
	f.Add(appendFrame(nil, frameEnding, last.append(nil)))
	f.Add(appendFrame(nil, frameData, []byte("data")))
	f.Add([]byte{frameHead, 0, 0, 0, 3, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		from := bytes.NewReader(b)
		kind, size, err := readFrameHead(from)
		if err != nil {
			return
		}
		text, err := readBytes(from, size)
		if err != nil {
			return
		}
		if again := appendFrame(nil, kind, text); !bytes.Equal(again, b[:len(again)]) {
			t.Errorf("%q became %q", b, again)
		}
		if h, err := parseWebHead(text); err == nil {
			if again, err := parseWebHead(h.append(nil)); err != nil || !reflect.DeepEqual(again, h) {
				t.Errorf("%+v became %+v", h, again)
			}
		}
		if h, err := parseAnswerHead(text); err == nil {
			if again, err := parseAnswerHead(h.append(nil)); err != nil || !reflect.DeepEqual(again, h) {
				t.Errorf("%+v became %+v", h, again)
			}
		}
		if e, err := parseWebEnding(text); err == nil {
			if again, err := parseWebEnding(e.append(nil)); err != nil || !reflect.DeepEqual(again, e) {
				t.Errorf("%+v became %+v", e, again)
			}
		}
	})
}

func TestFramesOverTheLimit(t *testing.T) {
	for _, b := range [][]byte{{frameHead, 0, 0x50, 0, 0}, {frameData, 0xff, 0, 0, 0}} {
		if _, _, err := readFrameHead(bytes.NewReader(b)); !errors.Is(err, errFrames) {
			t.Errorf("%v: %v", b, err)
		}
	}
	if _, err := readBytes(strings.NewReader("abc"), maxFrame); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

const client = "0123456789abcdef"

func TestACallIsRememberedOrVouchedFor(t *testing.T) {
	var k records
	run := func(number uint64, payload int) {
		t.Helper()
		r := k.begin(ticket{client, number})
		if r == nil {
			t.Fatalf("call %d must not run", number)
		}
		k.end(r, ending{Delivered: true, After: int64(number)}, make([]byte, payload))
	}
	run(1, 10)
	if k.begin(ticket{client, 1}) != nil {
		t.Error("a call runs twice")
	}
	if _, s := k.find(ticket{client, 2}); s != absent {
		t.Error("a call that has not come is known")
	}
	if k.begin(ticket{client, 2}) != nil {
		t.Error("a call runs that was vouched for not to")
	}
	if _, s := k.find(ticket{client, 2}); s != absent {
		t.Error("and is not vouched for again")
	}
	waiting := k.begin(ticket{client, 3})
	for n := range uint64(keptEndings + 100) {
		run(10+n, 100<<10)
	}
	if len(k.known) != keptEndings+1 || k.bytes > keptBytes {
		t.Errorf("%d calls and %d bytes are kept", len(k.known), k.bytes)
	}
	if r, s := k.find(ticket{client, 3}); s != present || r != waiting {
		t.Error("a call under way was forgotten")
	}
	k.end(waiting, ending{}, nil)
	if _, s := k.find(ticket{client, 1}); s != beyond {
		t.Error("a call that was forgotten is vouched for")
	}
	if k.begin(ticket{client, 4}) != nil {
		t.Error("a call runs of which it may have been said that it will not")
	}
	newest, _ := k.find(ticket{client, 10 + keptEndings + 99})
	oldest, _ := k.find(ticket{client, 10 + 110})
	if e, payload := k.answer(newest); len(payload) != 100<<10 || e.PayloadLost {
		t.Errorf("the newest answer has %d bytes, lost %v", len(payload), e.PayloadLost)
	}
	if e, payload := k.answer(oldest); len(payload) != 0 || !e.PayloadLost {
		t.Errorf("an old answer has %d bytes, lost %v", len(payload), e.PayloadLost)
	}
	if _, s := k.find(ticket{"fedcba9876543210", 1}); s != absent {
		t.Error("a call of another client is taken for a forgotten one")
	}
}

func TestTicketsOfManyClients(t *testing.T) {
	var k records
	for n := range uint64(keptEndings + keptClients + 50) {
		r := k.begin(ticket{strings.Repeat("0", 8) + string([]byte{'a' + byte(n>>8&15), 'a' + byte(n>>4&15), 'a' + byte(n&15), 'a', 'a', 'a', 'a', 'a'}), n})
		if r == nil {
			t.Fatalf("call %d must not run", n)
		}
		k.end(r, ending{}, nil)
		if len(k.forgotten) > keptClients {
			t.Fatalf("%d clients", len(k.forgotten))
		}
		if k.lost {
			break
		}
	}
	if _, s := k.find(ticket{client, 1}); s != beyond || !k.lost {
		t.Error("it is claimed that a call has not come, of a client that may have been forgotten")
	}
}

func TestSpecsAreJSON(t *testing.T) {
	f := spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "pay"}, Revision: "r1", Env: []string{"A=b"}, Contract: spillway.ContractHTTP, Concurrency: 3}
	f.Instance.MiB, f.Package.Digest = 64, "sha256:0"
	text, err := json.Marshal(SpecOf(&f))
	if err != nil {
		t.Fatal(err)
	}
	var s Spec
	if err := json.Unmarshal(text, &s); err != nil || !reflect.DeepEqual(s, SpecOf(&f)) || s.places() != 3 || s.key() != f.FunctionKey || s.MiB != 64 {
		t.Errorf("%+v %v", s, err)
	}
}
