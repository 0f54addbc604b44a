package cloud

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"
)

// TestMemoryQuota: what is in flight is counted in MiB, and a reservation is a part
// of it that others cannot use.
func TestMemoryQuota(t *testing.T) {
	release, inside := make(chan struct{}), make(chan struct{}, 8)
	wait := func(ctx context.Context, e Event) ([]byte, error) {
		inside <- struct{}{}
		<-release
		return e.Payload, nil
	}
	reserved, closed := 128, 0
	s, c := serveSCF(t, Config{MemoryQuota: 512, Functions: []Function{
		{Name: "large", MiB: 256, Timeout: time.Minute, Handle: wait}, {Name: "small", MiB: 128, Timeout: time.Minute, Handle: wait},
		{Name: "mine", MiB: 128, Timeout: time.Minute, Handle: wait, Reserved: &reserved}, {Name: "none", MiB: 128, Timeout: time.Minute, Handle: wait, Reserved: &closed},
	}})
	var calls sync.WaitGroup
	for _, name := range []string{"large", "small", "mine"} {
		calls.Go(func() {
			if _, err := invokeSCF(c, name, `{}`); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		<-inside
	}
	for _, name := range []string{"large", "small", "mine", "none"} {
		if _, err := invokeSCF(c, name, `{}`); codeOf(err) != "LimitExceeded.Quota" || !strings.Contains(err.Error(), "432 ResourceLimitReached") {
			t.Errorf("%s over the quota: %v", name, err)
		}
	}
	q := api.NewInvokeRequest()
	q.FunctionName = common.StringPtr("none")
	if out, err := c.Invoke(q); err != nil || !strings.Contains(*out.Response.Result.RetMsg, `"statusCode":432`) || *out.Response.Result.BillDuration != 0 {
		t.Errorf("Invoke: %v", err)
	}
	close(release)
	calls.Wait()
	if state := s.State(); state.PeakMemory != 384 || state.MemoryQuota != 512 || state.Throttles != 5 || state.InFlight != 0 {
		t.Errorf("%+v", state)
	}
	if bill := s.Bill(); bill.Executions != 3 {
		t.Errorf("%d executions billed: a refused call costs nothing", bill.Executions)
	}
}

// TestInstanceRamp: the account starts so many instances in a minute, of all
// functions together; calls that find an idle one are not held back.
func TestInstanceRamp(t *testing.T) {
	clock := newClock()
	_, c := serveSCF(t, Config{RampPerMinute: 2, IdleTimeout: time.Hour, Clock: clock.Now, Functions: []Function{handled("aa", echo), handled("bb", echo), handled("cc", echo)}})
	for _, name := range []string{"aa", "bb", "aa", "bb"} {
		if _, err := invokeSCF(c, name, `{}`); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if _, err := invokeSCF(c, "cc", `{}`); codeOf(err) != "LimitExceeded.Quota" || !strings.Contains(err.Error(), "429 ResourceLimit") {
		t.Errorf("a third instance: %v", err)
	}
	clock.Advance(30 * time.Second)
	if _, err := invokeSCF(c, "cc", `{}`); err != nil {
		t.Errorf("half a minute later: %v", err)
	}
}

// TestSCFFaults injects every kind of SCF's, through the admin API's checks.
func TestSCFFaults(t *testing.T) {
	s, web := serve(t, Config{Provider: SCF, Functions: []Function{handled("echo", echo)}})
	c := tencent(t, web)
	const broken = "ClientError.NetworkError"
	tests := map[Kind]struct {
		bills bool
		code  string // of the SDK, "" for an answer
	}{
		Throttle: {false, "LimitExceeded.Quota"}, ErrorCode: {false, "InternalError.System"}, ErrorBefore: {false, "InternalError.System"},
		ResetBefore: {false, broken}, Stall: {false, broken}, ErrorAfter: {true, "InternalError.System"}, ResetAfter: {true, broken},
		StallAfter: {true, broken}, Truncated: {true, "ClientError.ParseJsonError"}, Malformed: {true, "ClientError.ParseJsonError"},
		MalformedIn: {true, "ClientError.ParseJsonError"}, Garbage: {true, broken}, WrongType: {true, "ClientError.ParseJsonError"},
	}
	if kinds := strings.Fields(kindList(SCF)); len(kinds) != len(tests)+2 {
		t.Errorf("%d kinds tested of %d", len(tests), len(kinds))
	}
	for kind, test := range tests {
		t.Run(string(kind), func(t *testing.T) {
			if err := s.Inject(Fault{Kind: kind, Count: 1, HoldMs: 1}); err != nil {
				t.Fatal(err)
			}
			defer s.ClearFaults()
			billed := s.Bill().Executions
			_, err := invokeSCF(c, "echo", `{}`)
			if codeOf(err) != test.code || (s.Bill().Executions == billed+1) != test.bills {
				t.Errorf("%.200v, billed %v", err, s.Bill().Executions > billed)
			}
		})
	}
	if err := errors.Join(s.Inject(Fault{Kind: Oversized, Count: 1}), s.Inject(Fault{Kind: Compress, Count: 1})); err != nil {
		t.Fatal(err)
	}
	if _, text := post(t, web, `{"FunctionName":"echo"}`, nil); len(text) < 40<<20 {
		t.Errorf("oversized: %d bytes", len(text))
	}
	if answer, text := post(t, web, `{"FunctionName":"echo"}`, nil); answer.Header.Get("Content-Encoding") != "gzip" || len(text) > 1<<20 {
		t.Errorf("compressed: %v, %d bytes", answer.Header, len(text))
	}
	for _, code := range append(scfCodes(Throttle), scfErrors...) {
		f := Fault{Kind: Throttle, Reason: code, Count: 1}
		if !f.scfReason() {
			f.Kind = ErrorCode
		}
		if err := s.Inject(f); err != nil {
			t.Fatal(err)
		}
		r, err := invokeSCF(c, "echo", `{}`)
		if _, number := strconv.Atoi(code); number == nil {
			if err != nil || !strings.Contains(*r.RetMsg, `"statusCode":`+code) {
				t.Errorf("%s: %v", code, err)
			}
		} else if codeOf(err) != code {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, f := range []Fault{{Kind: EC2Throttled}, {Kind: Throttle, Reason: "InternalError"}, {Kind: ErrorCode, Reason: "Odd"}, {Kind: Stall, Reason: "432"}} {
		if err := s.Inject(f); err == nil {
			t.Errorf("%+v was taken", f)
		}
	}
}
