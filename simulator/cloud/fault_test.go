package cloud

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// code returns the code of an API error; empty for a failure below the API.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func TestFaults(t *testing.T) {
	tests := []struct {
		kind     Kind
		executes bool
		check    func(out *lambda.InvokeOutput, err error) bool
	}{
		{Throttle, false, func(_ *lambda.InvokeOutput, err error) bool {
			var e *types.TooManyRequestsException
			return errors.As(err, &e) && e.Reason == types.ThrottleReasonCallerRateLimitExceeded && *e.RetryAfterSeconds == "7"
		}},
		{EC2Throttled, false, func(_ *lambda.InvokeOutput, err error) bool {
			var e *types.EC2ThrottledException
			return errors.As(err, &e)
		}},
		{ErrorBefore, false, func(_ *lambda.InvokeOutput, err error) bool { return code(err) == "ServiceException" }},
		{ResetBefore, false, func(_ *lambda.InvokeOutput, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{Stall, false, func(_ *lambda.InvokeOutput, err error) bool { return code(err) == "" && err != nil }},
		{ErrorAfter, true, func(_ *lambda.InvokeOutput, err error) bool { return code(err) == "ServiceException" }},
		{ResetAfter, true, func(_ *lambda.InvokeOutput, err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
		{StallAfter, true, func(_ *lambda.InvokeOutput, err error) bool { return code(err) == "" && err != nil }},
		{Truncated, true, func(_ *lambda.InvokeOutput, err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{Oversized, true, func(out *lambda.InvokeOutput, err error) bool { return err == nil && len(out.Payload) > maxResponse }},
		{Malformed, true, func(out *lambda.InvokeOutput, err error) bool {
			return err == nil && string(out.Payload) == `{"n": [1, 2,`
		}},
		{MalformedIn, true, func(_ *lambda.InvokeOutput, err error) bool { return err != nil }},
		{Garbage, true, func(_ *lambda.InvokeOutput, err error) bool { return code(err) == "" && err != nil }},
		{WrongType, true, func(out *lambda.InvokeOutput, err error) bool {
			return err == nil && strings.HasPrefix(string(out.Payload), "<html>")
		}},
	}
	if kinds := strings.Fields(kindList(Lambda)); len(tests) != len(kinds) {
		t.Errorf("%d kinds tested of %d", len(tests), len(kinds))
	}
	for _, test := range tests {
		t.Run(string(test.kind), func(t *testing.T) {
			s, web := serve(t, Config{Functions: []Function{handled("f", echo), handled("other", echo)}})
			fault := Fault{Kind: test.kind, Function: "f", Count: 1, HoldMs: 20, Reason: ReasonCallerRate, RetryAfterSeconds: 7}
			if err := s.Inject(fault); err != nil {
				t.Fatal(err)
			}
			c := client(t, web)
			invoke := func(name string) (*lambda.InvokeOutput, error) {
				return c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte("1")})
			}
			if _, err := invoke("other"); err != nil {
				t.Errorf("another function was hit: %v", err)
			}
			before := s.Bill().Executions
			out, err := invoke("f")
			if !test.check(out, err) {
				t.Errorf("got %+v, %v", out, err)
			}
			if executed := s.Bill().Executions > before; executed != test.executes {
				t.Errorf("executed %v, want %v", executed, test.executes)
			}
			if _, err := invoke("f"); err != nil {
				t.Errorf("the fault struck more often than Count: %v", err)
			}
			if state := s.State(); state.Throttles != 0 || state.Faults[0].Fired != 1 || state.InFlight != 0 {
				t.Errorf("state %+v", state)
			}
		})
	}
}

// TestImpatientClient: the client leaves while the call runs; the call is executed
// and billed, and the stalled answer ends with the client.
func TestImpatientClient(t *testing.T) {
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	s, web := serve(t, Config{Functions: []Function{handled("f", func(ctx context.Context, _ Event) ([]byte, error) {
		leave()
		return []byte("1"), ctx.Err()
	})}})
	if err := s.Inject(Fault{Kind: StallAfter, HoldMs: maxHoldMs}); err != nil {
		t.Fatal(err)
	}
	_, err := client(t, web).Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("f")})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	web.Close() // waits for the request, whose Hold is far away
	if bill := s.Bill(); bill.Executions != 1 || bill.Lines[0].Status != "success" {
		t.Errorf("%+v", bill)
	}
}

// pattern says which of n calls a fault strikes.
func pattern(f Fault, seed uint64, n int) string {
	faults := newFaults(seed)
	faults.add(f)
	var b strings.Builder
	for range n {
		if faults.pick("f") != nil {
			b.WriteByte('x')
		} else {
			b.WriteByte('.')
		}
	}
	return b.String()
}

func TestWhichCalls(t *testing.T) {
	for want, f := range map[string]Fault{
		"xxxxxx": {Kind: Throttle},
		"xx....": {Kind: Throttle, Count: 2},
		"..x..x": {Kind: Throttle, Every: 3},
		".x.x..": {Kind: Throttle, Every: 2, Count: 2},
		"......": {Kind: Throttle, Function: "g"},
	} {
		if got := pattern(f, 1, 6); got != want {
			t.Errorf("%+v: %s, want %s", f, got, want)
		}
	}
	half := Fault{Kind: Throttle, Probability: 0.5}
	once := pattern(half, 7, 200)
	if once != pattern(half, 7, 200) || once == pattern(half, 8, 200) {
		t.Error("the seed does not decide")
	}
	if n := strings.Count(once, "x"); n < 70 || n > 130 {
		t.Errorf("%d of 200 with probability 0.5", n)
	}
}

func TestInjectRefuses(t *testing.T) {
	s, _ := serve(t, Config{Functions: []Function{handled("f", echo)}})
	for _, f := range []Fault{
		{}, {Kind: "flood"}, {Kind: Throttle, Function: "nobody"}, {Kind: Throttle, Count: -1}, {Kind: Throttle, Probability: 1.5},
		{Kind: Throttle, Every: 2, Probability: 0.5}, {Kind: Stall, HoldMs: maxHoldMs + 1},
	} {
		if err := s.Inject(f); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

func TestAdmin(t *testing.T) {
	s, web := serve(t, Config{Functions: []Function{handled("f", echo)}})
	ask := func(method, path, contentType, body string, change func(*http.Request)) (int, string) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Content-Type", contentType)
		if change != nil {
			change(r)
		}
		w := httptest.NewRecorder()
		s.Admin().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if status, body := ask("POST", "/faults", "application/json", `{"kind":"throttle","count":1}`, nil); status != 201 {
		t.Errorf("%d %s", status, body)
	}
	for _, body := range []string{`{"kind":"flood"}`, `{"kind":"throttle","often":1}`, `{`, `{"kind":"throttle"}{}`} {
		if status, _ := ask("POST", "/faults", "application/json", body, nil); status != 400 {
			t.Errorf("%s: %d", body, status)
		}
	}
	if status, _ := ask("POST", "/faults", "text/plain", `{"kind":"throttle"}`, nil); status != 415 {
		t.Errorf("any content type: %d", status)
	}
	if status, _ := ask("GET", "/bill", "", "", func(r *http.Request) { r.RemoteAddr = "10.0.0.1:1" }); status != 403 {
		t.Errorf("another machine: %d", status)
	}
	c := client(t, web)
	_, err := c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("f")})
	if code(err) != "TooManyRequestsException" {
		t.Errorf("got %v", err)
	}
	if _, body := ask("GET", "/state", "", "", nil); !strings.Contains(body, `"fired":1`) {
		t.Errorf("state %s", body)
	}
	if status, _ := ask("DELETE", "/faults", "", "", nil); status != 204 || len(s.State().Faults) != 0 {
		t.Errorf("faults are still there: %d", status)
	}
	if _, err := c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("f")}); err != nil {
		t.Error(err)
	}
	if _, body := ask("GET", "/bill", "", "", nil); !strings.Contains(body, `"executions":1`) || strings.Contains(body, `"lines"`) {
		t.Errorf("bill %s", body)
	}
	if _, body := ask("GET", "/bill?lines=true", "", "", nil); !strings.Contains(body, `"function":"f"`) {
		t.Errorf("bill with lines %s", body)
	}
}
