package cloud

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"
)

func TestLambdaReserves(t *testing.T) {
	now := newClock()
	s, web := serve(t, Config{Functions: []Function{described(), handled("plain", echo)}, Concurrency: 150, Clock: now.Now})
	c, ctx := client(t, web), context.Background()
	put := func(name string, n int32) error {
		now.Advance(time.Second) // for the control plane's rate
		_, err := c.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &name, ReservedConcurrentExecutions: &n})
		return err
	}
	has := func(name string, want *int32, unreserved int32) {
		t.Helper()
		out, err := c.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
		if err != nil || (out.ReservedConcurrentExecutions == nil) != (want == nil) || aws.ToInt32(out.ReservedConcurrentExecutions) != aws.ToInt32(want) {
			t.Errorf("%s: %v: %+v", name, err, out)
		}
		account, err := c.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
		if err != nil || *account.AccountLimit.UnreservedConcurrentExecutions != unreserved {
			t.Errorf("%v: %+v", err, account)
		}
	}
	has("resize", aws.Int32(2), 148)
	for _, n := range []int32{50, 0, 40} {
		if err := put("resize", n); err != nil {
			t.Fatal(err)
		}
		has("resize", &n, 150-n)
	}
	isError(t, put("plain", 11), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, put("resize", 51), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, put("resize", -1), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, put("resize:live", 1), 400, "InvalidParameterValueException", &types.InvalidParameterValueException{})
	isError(t, put("nobody", 1), 404, "ResourceNotFoundException", &types.ResourceNotFoundException{})
	if err := put("plain", 0); err != nil {
		t.Fatal(err)
	}
	_, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("plain")})
	isError(t, err, 429, "TooManyRequestsException", &types.TooManyRequestsException{})
	for range 2 { // of none, it is no error
		if _, err := c.DeleteFunctionConcurrency(ctx, &lambda.DeleteFunctionConcurrencyInput{FunctionName: aws.String("plain")}); err != nil {
			t.Fatal(err)
		}
	}
	has("plain", nil, 110)
	if _, err := c.Invoke(ctx, &lambda.InvokeInput{FunctionName: aws.String("plain")}); err != nil {
		t.Error(err)
	}
	if n := s.fleet.shared.inFlight; n != 0 {
		t.Errorf("%d calls are counted that have ended", n)
	}
}

func TestSCFReserves(t *testing.T) {
	_, c := serveSCF(t, Config{Functions: []Function{describedSCF(), handled("plain", echo)}, MemoryQuota: 16_000})
	text := common.StringPtr
	put := func(name, namespace string, mib uint64) string {
		q := api.NewPutReservedConcurrencyConfigRequest()
		q.FunctionName, q.Namespace, q.ReservedConcurrencyMem = &name, &namespace, &mib
		_, err := c.PutReservedConcurrencyConfig(q)
		return codeOf(err)
	}
	has := func(want int64, allocated int64) {
		t.Helper()
		q := api.NewGetReservedConcurrencyConfigRequest()
		q.FunctionName, q.Namespace = text("orders"), text("tools")
		out, err := c.GetReservedConcurrencyConfig(q)
		if err != nil || want < 0 != (out.Response.ReservedMem == nil) || want >= 0 && *out.Response.ReservedMem != uint64(want) {
			t.Errorf("%v: %+v", err, out)
		}
		account, err := c.GetAccount(api.NewGetAccountRequest())
		if err != nil || *account.Response.AccountUsage.TotalAllocatedConcurrencyMem != allocated {
			t.Errorf("%v: %+v", err, account)
		}
	}
	has(0, 0)
	for what, codes := range map[string][2]string{
		"all that may be":  {put("orders", "tools", 3200), ""},
		"too much":         {put("orders", "tools", 3201), "LimitExceeded.FunctionReservedConcurrencyMemory"},
		"too much of both": {put("plain", "default", 1), "LimitExceeded.FunctionReservedConcurrencyMemory"},
		"unknown":          {put("nobody", "tools", 1), "ResourceNotFound.Function"},
		"elsewhere":        {put("orders", "default", 1), "ResourceNotFound.Function"},
	} {
		if codes[0] != codes[1] {
			t.Errorf("%s: %s, want %s", what, codes[0], codes[1])
		}
	}
	has(3200, 3200)
	q := api.NewDeleteReservedConcurrencyConfigRequest()
	q.FunctionName, q.Namespace = text("orders"), text("tools")
	for range 2 {
		if _, err := c.DeleteReservedConcurrencyConfig(q); err != nil {
			t.Fatal(err)
		}
	}
	has(-1, 0)
	missing := api.NewPutReservedConcurrencyConfigRequest()
	missing.FunctionName, missing.Namespace = text("orders"), text("tools")
	if _, err := c.PutReservedConcurrencyConfig(missing); codeOf(err) != "MissingParameter" {
		t.Error(err)
	}
}

// TestReserveMovesWhatRuns: calls in flight are counted where the reservation puts them.
func TestReserveMovesWhatRuns(t *testing.T) {
	f := newFleet(Config{Provider: Lambda, Concurrency: 102, RampPer10s: 100, Functions: []Function{{Name: "a"}, {Name: "b"}}})
	a, now := f.functions["a"], newClock().Now()
	for range 2 {
		if _, reason := f.acquire(now, a, latest); reason != "" {
			t.Fatal(reason)
		}
	}
	if err := f.reserve(a, 1); err != nil || a.share == f.shared || a.share.inFlight != 2 || f.shared.inFlight != 0 {
		t.Fatalf("%v: %+v", err, a.share)
	}
	if _, reason := f.acquire(now, a, latest); reason != ReasonReservedConcurrency {
		t.Error(reason)
	}
	if err := f.reserve(a, 2); err != nil || a.share.inFlight != 2 {
		t.Errorf("%v: %+v", err, a.share)
	}
	f.release(now, a, nil)
	f.unreserve(a)
	if f.shared.inFlight != 1 || f.shared.limit != 102 || a.share != f.shared {
		t.Errorf("%+v", f.shared)
	}
	f.release(now, a, nil)
	if f.shared.inFlight != 0 {
		t.Errorf("%+v", f.shared)
	}
}
