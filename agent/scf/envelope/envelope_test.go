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
	for _, event := range []string{``, `{}`, `{"$spillway":}`, `{"$spillway":{}}`, `{"$spillway":{},1}`, `{"$spillway":{},"$event":1`} {
		if got, context := Unwrap([]byte(event)); string(got) != event || context != "" {
			t.Errorf("%q became %q with %q", event, got, context)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, payload := range payloads {
		f.Add([]byte(payload), `{"custom":{}}`)
		f.Add(Wrap([]byte(payload), `{}`), "")
	}
	f.Fuzz(func(t *testing.T, payload []byte, context string) {
		Unwrap(payload)
		if context != "" && (!json.Valid([]byte(context)) || context != string(bytes.TrimSpace([]byte(context))) || context == "null") {
			return // the callers check that a context is a JSON object
		}
		if got, gotContext := Unwrap(Wrap(payload, context)); !bytes.Equal(got, payload) || gotContext != context {
			t.Errorf("%q with %q came back as %q with %q", payload, context, got, gotContext)
		}
	})
}
