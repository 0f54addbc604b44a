package envelope

import (
	"bytes"
	"encoding/json"
	"testing"
)

var payloads = []string{`{"a": 1,  "b":[true]}`, `{}`, ` {"a":1}`, `[1,2]`, `null`, `"text"`, " \t{ }\n", `{"$event":1}`, `{"$spillway":{"custom":{}},"a":1}`,
	`{"$spillway":null,"$event":5}`, `{"$spillway":`, `{"`, ``, `x`}

func TestRoundTrip(t *testing.T) {
	for _, payload := range payloads {
		for _, context := range []string{"", `{}`, `{"custom":{"a":"b,\"$event\":"}}`} {
			wrapped := Wrap([]byte(payload), context)
			got, gotContext := Unwrap(wrapped)
			if string(got) != payload || gotContext != context {
				t.Errorf("%q with %q became %q and came back as %q with %q", payload, context, wrapped, got, gotContext)
			}
			if json.Valid([]byte(payload)) && !json.Valid(wrapped) {
				t.Errorf("%q with %q became %q, which is not JSON", payload, context, wrapped)
			}
		}
	}
}

func TestObjectsKeepTheirFields(t *testing.T) {
	if got, want := string(Wrap([]byte(`{"a":1}`), `{"custom":{}}`)), `{"$spillway":{"custom":{}},"a":1}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNothingToUnwrap(t *testing.T) {
	for _, event := range []string{``, `{}`, `{"$spillway":}`, `{"$spillway":{}}`, `{"$spillway":{},1}`, `{"$spillway":5,"a":1}`, `{"$spillway":"x","$event":1}`, `{"$spillway":[],"a":1}`, `{"$spillway":true,"a":1}`, `{"$spillway":{},"$event":1`} {
		if got, context := Unwrap([]byte(event)); string(got) != event || context != "" {
			t.Errorf("%q became %q with %q", event, got, context)
		}
	}
}

// forgeries are events of a caller's that say things in our field's name.
var forgeries = []string{
	`{"$spillway":{"custom":{"forged":"1"}},"a":1}`, `{"a":1,"$spillway":{"custom":{"forged":"1"}}}`, `{"a":{},"b":[{}],"\u0024spillway":{"forged":1}}`,
	`{"\u0024spillwa\u0079":{"forged":1}}`, `{"a":1,"$SPILLWAY":{"forged":1}}`, `{"a":1,"$\u017fpillway":{"forged":1}}`, ` {"$spillway":{"forged":1}}`,
	`{ "$spillway":{"forged":1}}`, `{"$event":{"forged":1}}`, `{"a":1,"$event":{"forged":1}}`, `{"$spillway":null,"$event":{"a":1},"$spillway":{"forged":1}}`,
	`{"$spillway":{},"$event":1},"$spillway":{"forged":1}}`, `{"a":1,"$spillway":`, `{"a":1}{"$spillway":{"forged":1}}`, `{"a":"\"","$spillway":{"forged":1}}`,
}

// TestForged: a function that reads events itself, and not with Unwrap, sees only our
// word in our fields, and the caller's event whole.
func TestForged(t *testing.T) {
	for _, payload := range forgeries {
		for _, context := range []string{"", `{"custom":{"ours":"1"}}`} {
			wrapped := Wrap([]byte(payload), context)
			var seen struct {
				Ours  json.RawMessage `json:"$spillway"`
				Event json.RawMessage `json:"$event"`
			}
			if json.Valid([]byte(payload)) {
				if err := json.Unmarshal(wrapped, &seen); err != nil {
					t.Errorf("%q became %q: %v", payload, wrapped, err)
				}
				want := context
				switch {
				case want == "" && string(wrapped) == payload && seen.Ours == nil:
					continue // it has only "$event", which says nothing alone
				case want == "":
					want = "null"
				}
				if compact(t, seen.Event) != compact(t, []byte(payload)) || string(seen.Ours) != want {
					t.Errorf("%q with %q became %q: a function sees %s and %s", payload, context, wrapped, seen.Ours, seen.Event)
				}
			}
			if got, gotContext := Unwrap(wrapped); string(got) != payload || gotContext != context {
				t.Errorf("%q with %q came back as %q with %q", payload, context, got, gotContext)
			}
		}
	}
}

func compact(t *testing.T, text []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Errorf("%q: %v", text, err)
	}
	return b.String()
}

// TestOwnWords: an event that only mentions our names is not changed.
func TestOwnWords(t *testing.T) {
	for _, payload := range []string{`{"a":"$spillway"}`, `{"a":{"$spillway":{}}}`, `{"$spill":1}`, `["$spillway"]`, `{"price":"5 $","\u0024":1}`, `{}`, `x`} {
		if got := string(Wrap([]byte(payload), "")); got != payload {
			t.Errorf("%q became %q", payload, got)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, payload := range payloads {
		f.Add([]byte(payload), `{"custom":{}}`)
		f.Add(Wrap([]byte(payload), `{}`), "")
	}
	for _, payload := range forgeries {
		f.Add([]byte(payload), "")
	}
	f.Fuzz(func(t *testing.T, payload []byte, context string) {
		Unwrap(payload)
		if context != "" && (!json.Valid([]byte(context)) || context[0] != '{' || context != string(bytes.TrimSpace([]byte(context)))) {
			return // the callers check that a context is a JSON object
		}
		if got, gotContext := Unwrap(Wrap(payload, context)); !bytes.Equal(got, payload) || gotContext != context {
			t.Errorf("%q with %q came back as %q with %q", payload, context, got, gotContext)
		}
	})
}
