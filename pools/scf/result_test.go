package scf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// read takes a Result as it is on the wire.
func read(t testing.TB, result string) pools.Result {
	t.Helper()
	out := api.NewInvokeFunctionResponse()
	if err := json.Unmarshal([]byte(`{"Response":{"RequestId":"aaaa-1","Result":`+result+`}}`), out); err != nil {
		t.Fatal(err)
	}
	return answered(out.Response, &spillway.Binding{MiB: 256}, true, time.Unix(1, 0), 1500*time.Microsecond)
}

func quote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// platform is a RetMsg as Tencent writes failures.
func platform(status, message string) string {
	return quote(`{"errorCode":-1,"errorMessage":` + quote(message) + `,"requestId":"r","statusCode":` + status + `}`)
}

const (
	timed    = `"Duration":12.5,"BillDuration":13,"MemUsage":3207168,"FunctionRequestId":"bbbb-2"`
	untimed0 = `"Duration":0,"BillDuration":0,"MemUsage":0,"FunctionRequestId":"bbbb-2"`
)

func TestResults(t *testing.T) {
	const ran, not, lost, provider = spillway.Executed, spillway.NotExecuted, spillway.Unknown, spillway.CauseProvider
	shim := `{"errorType":"errorString","errorMessage":"no such account","stackTrace":[]}`
	for name, c := range map[string]struct {
		result  string
		class   spillway.OutcomeClass
		cause   spillway.Cause
		failed  bool
		payload string // contained
	}{
		"answer":                  {`{"RetMsg":"{\"a\": 1}","ErrMsg":"","InvokeResult":0,` + timed + `}`, ran, 0, false, `{"a": 1}`},
		"empty answer":            {`{"RetMsg":"",` + timed + `}`, ran, 0, false, ``},
		"answer that is like 432": {`{"RetMsg":` + platform("432", "ResourceLimitReached") + `,` + untimed0 + `}`, ran, 0, false, "432"},
		"quota":                   {`{"RetMsg":` + platform("432", "ResourceLimitReached: over") + `,"ErrMsg":"ResourceLimitReached","InvokeResult":-1,` + untimed0 + `}`, not, spillway.CauseThrottled, false, ""},
		"quota without figures":   {`{"RetMsg":` + platform("432", "over") + `,"InvokeResult":432}`, lost, provider, false, ""},
		"quota, figures null":     {`{"ErrMsg":"432 ResourceLimitReached","Duration":null,"BillDuration":null,"MemUsage":null}`, lost, provider, false, ""},
		"quota, only untimed":     {`{"ErrMsg":"432 ResourceLimitReached","Duration":0}`, lost, provider, false, ""},
		"quota, only not billed":  {`{"ErrMsg":"432 ResourceLimitReached","BillDuration":0}`, lost, provider, false, ""},
		"quota, no memory":        {`{"ErrMsg":"432 ResourceLimitReached","Duration":0,"BillDuration":0}`, not, spillway.CauseThrottled, false, ""},
		"quota, but memory":       {`{"ErrMsg":"432 ResourceLimitReached","Duration":0,"BillDuration":0,"MemUsage":4096}`, ran, 0, true, "432"},
		"quota, negative":         {`{"ErrMsg":"432 ResourceLimitReached","Duration":-1,"BillDuration":0}`, lost, provider, false, ""},
		"quota, minus zero":       {`{"ErrMsg":"432 ResourceLimitReached","Duration":-0.0,"BillDuration":0}`, not, spillway.CauseThrottled, false, ""},
		"quota as text":           {`{"ErrMsg":"432 ResourceLimitReached: concurrency exceeded reserved quota",` + untimed0 + `}`, not, spillway.CauseThrottled, false, ""},
		"quota as a word":         {`{"ErrMsg":"ResourceLimitReached",` + untimed0 + `}`, not, spillway.CauseThrottled, false, ""},
		"quota as a number":       {`{"RetMsg":"","InvokeResult":432,` + untimed0 + `}`, not, spillway.CauseThrottled, false, ""},
		"quota as words":          {`{"ErrMsg":"statusCode:432",` + untimed0 + `}`, not, spillway.CauseThrottled, false, ""},
		"ramp":                    {`{"RetMsg":` + platform("429", "ResourceLimit") + `,"ErrMsg":"x",` + untimed0 + `}`, not, spillway.CauseThrottled, false, ""},
		"balance":                 {`{"RetMsg":` + platform("410", "InsufficientBalance") + `,"ErrMsg":"x",` + untimed0 + `}`, not, spillway.CauseRejected, false, ""},
		"forged quota":            {`{"RetMsg":` + platform("432", "ResourceLimitReached") + `,"ErrMsg":"ResourceLimitReached",` + timed + `}`, ran, 0, true, "ResourceLimitReached"},
		"forged, only billed":     {`{"ErrMsg":"432 ResourceLimitReached","BillDuration":1}`, ran, 0, true, "432"},
		"forged, only timed":      {`{"ErrMsg":"432 ResourceLimitReached","Duration":0.1}`, ran, 0, true, "432"},
		"function's error":        {`{"RetMsg":` + platform("430", shim) + `,"ErrMsg":` + quote(shim) + `,"InvokeResult":430,` + timed + `}`, ran, 0, true, shim},
		"function's error bare":   {`{"RetMsg":` + quote(shim) + `,"ErrMsg":"failed",` + timed + `}`, ran, 0, true, shim},
		"error as text":           {`{"RetMsg":"Traceback","ErrMsg":"division by zero",` + timed + `}`, ran, 0, true, `{"errorType":"Unknown","errorMessage":"division by zero"}`},
		"only InvokeResult":       {`{"InvokeResult":1,` + timed + `}`, ran, 0, true, `"errorType":"Unknown"`},
		"timeout":                 {`{"RetMsg":` + platform("433", "Invoking task timed out after 3 seconds") + `,"ErrMsg":"x",` + timed + `}`, ran, spillway.CauseTimeout, true, `"Sandbox.Timedout","errorMessage":"Invoking task timed out after 3 seconds"`},
		"timeout of the shim":     {`{"RetMsg":` + platform("430", `{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out"}`) + `,"ErrMsg":"x",` + timed + `}`, ran, spillway.CauseTimeout, true, "Sandbox.Timedout"},
		"memory":                  {`{"RetMsg":` + platform("434", "MemoryLimitReached") + `,"ErrMsg":"x",` + timed + `}`, ran, spillway.CauseOutOfMemory, true, "Runtime.OutOfMemory"},
		"exit":                    {`{"RetMsg":` + platform("439", "User process exit when running") + `,"ErrMsg":"x",` + timed + `}`, ran, spillway.CauseCrashed, true, "Runtime.ExitError"},
		"answer too large":        {`{"RetMsg":` + platform("407", "The size of response exceeds the upper limit (6MB)") + `,"ErrMsg":"x",` + timed + `}`, ran, spillway.CauseTooLarge, true, "Function.ResponseSizeTooLarge"},
		"over the contract":       {`{"RetMsg":"` + strings.Repeat("x", pools.MaxPayload+1) + `",` + timed + `}`, ran, spillway.CauseTooLarge, true, "Function.ResponseSizeTooLarge"},
		"neither":                 {`{"FunctionRequestId":"bbbb-2"}`, spillway.Unknown, spillway.CauseProvider, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := read(t, c.result)
			if r.Outcome.Class != c.class || r.Outcome.Cause != c.cause || (r.Outcome.FunctionError == spillway.FunctionUnhandled) != c.failed {
				t.Errorf("%v %v %q (%s)", r.Outcome.Class, r.Outcome.Cause, r.Outcome.FunctionError, r.Outcome.Detail)
			}
			if !strings.Contains(string(r.Payload), c.payload) {
				t.Errorf("payload %.300s, want %s", r.Payload, c.payload)
			}
			if c.class == ran && r.Outcome.Usage.BilledMillis < 1 {
				t.Errorf("usage %+v", r.Outcome.Usage)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		result string
		want   spillway.Usage
	}{
		"measured":      {timed, spillway.Usage{DurationMicros: 12_500, BilledMillis: 13, MaxMemoryMiB: 4, ProviderID: "bbbb-2"}},
		"rounded up":    {`"Duration":0.8261,"BillDuration":1`, spillway.Usage{DurationMicros: 827, BilledMillis: 1, ProviderID: "aaaa-1"}},
		"no duration":   {`"BillDuration":1`, spillway.Usage{DurationMicros: 1, BilledMillis: 1, ProviderID: "aaaa-1"}},
		"nothing":       {`"FunctionRequestId":"not an id"`, spillway.Usage{DurationMicros: 1500, BilledMillis: 2, ProviderID: "aaaa-1", Estimated: true}},
		"not billed":    {`"Duration":5.2,"BillDuration":0`, spillway.Usage{DurationMicros: 5200, BilledMillis: 6, ProviderID: "aaaa-1", Estimated: true}},
		"negative":      {`"Duration":-5,"BillDuration":-5,"MemUsage":-5`, spillway.Usage{DurationMicros: 1500, BilledMillis: 2, ProviderID: "aaaa-1", Estimated: true}},
		"out of reason": {`"Duration":1e300,"BillDuration":9000000000000000000,"MemUsage":9000000000000000000`, spillway.Usage{DurationMicros: 1500, BilledMillis: 2, ProviderID: "aaaa-1", Estimated: true}},
		"only too long": {`"Duration":1e300,"BillDuration":7`, spillway.Usage{DurationMicros: 1, BilledMillis: 7, ProviderID: "aaaa-1"}},
	} {
		c.want.Started, c.want.MemoryMiB = spillway.InstantOf(time.Unix(1, 0)), 256
		if got := read(t, `{"RetMsg":"1",`+c.result+`}`).Outcome.Usage; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestLogTail(t *testing.T) {
	log := strings.Repeat("x", pools.MaxLogTail) + "the end"
	if r := read(t, `{"RetMsg":"1","Log":"`+log+`"}`); len(r.LogTail) != pools.MaxLogTail || !strings.HasSuffix(string(r.LogTail), "the end") {
		t.Errorf("%d bytes", len(r.LogTail))
	}
}

func TestShallow(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, `{"a":[1,{"b":"]]]"}]}`: true, strings.Repeat("[", maxNesting): true, strings.Repeat("[", maxNesting+1): false,
		`"` + strings.Repeat("[", 100) + `"`: true, `"\"` + strings.Repeat("[", 100): true, `"\\"` + strings.Repeat("{", 100): false,
		strings.Repeat("[]", 100): true,
	} {
		if got := shallow([]byte(text)); got != want {
			t.Errorf("%.40q: %v", text, got)
		}
	}
}

// FuzzResult reads Results: no panic, and whatever was executed is metered.
func FuzzResult(f *testing.F) {
	f.Add("1", "", int64(0), 0.5, int64(1), int64(1), "1-2")
	f.Add(`{"errorCode":-1,"errorMessage":"{\"errorType\":\"E\",\"errorMessage\":\"m\"}","statusCode":430}`, "x", int64(430), 0.5, int64(1), int64(1), "1-2")
	f.Add(`{"errorMessage":"{\"errorMessage\":\"{\\\"errorMessage\\\":null}\"}"}`, "432", int64(-1), 0.0, int64(0), int64(0), "")
	f.Add("", "statusCode=429;", int64(0), -1.0, int64(-1), int64(-1), "x")
	f.Fuzz(func(t *testing.T, ret, fail string, code int64, duration float64, billed, memory int64, id string) {
		request := "1"
		r := answered(&api.InvokeFunctionResponseParams{RequestId: &request, Result: &api.Result{RetMsg: &ret, ErrMsg: &fail, InvokeResult: &code,
			Duration: &duration, BillDuration: &billed, MemUsage: &memory, FunctionRequestId: &id}}, &spillway.Binding{MiB: 128}, true, time.Unix(1, 0), time.Second)
		u := r.Outcome.Usage
		switch {
		case r.Outcome.Class == spillway.Executed && (u.BilledMillis < 1 || u.BilledMillis > maxFigure || u.DurationMicros < 1 || u.MaxMemoryMiB < 0):
			t.Errorf("usage %+v", u)
		case r.Outcome.Class == spillway.NotExecuted && (billed != 0 || duration != 0 || memory > 0):
			t.Errorf("it was measured, and yet not executed: %+v", r.Outcome)
		case r.Outcome.FunctionError != "" && !json.Valid(r.Payload):
			t.Errorf("error %q is not JSON", r.Payload)
		}
	})
}

// FuzzCredentials reads credentials files: an error quotes nothing of them.
func FuzzCredentials(f *testing.F) {
	f.Add("[default]\nsecret_id = AKID\nsecret_key = key\n")
	f.Add("secret_id=a\n[default]\n=\nsecret_key==b")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseCredentials(text)
		if err == nil && !k.usable() {
			t.Errorf("%q gave a key that cannot be used", text)
		}
	})
}
