package cloud

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestMeter(t *testing.T) {
	m := newMeter(4, time.Second)
	take := func(now time.Time) (n int) {
		for m.has(now) {
			m.take(now)
			n++
		}
		return n
	}
	for _, step := range []struct {
		after time.Duration
		want  int
	}{
		{0, 4}, {249 * time.Millisecond, 0}, {250 * time.Millisecond, 1}, {time.Second, 3}, {10 * time.Second, 4},
	} {
		if got := take(start.Add(step.after)); got != step.want {
			t.Errorf("at %v: %d, want %d", step.after, got, step.want)
		}
	}
	if m := newMeter(0, time.Second); m.has(start) {
		t.Error("a meter of nothing gave something")
	}
}

func fleetOf(c Config) *fleet {
	c.Region = "us-east-1"
	return newFleet(c.withDefaults())
}

// TestRamp starts environments in virtual time: 1,000 at once, then 100 a second,
// while calls that find an idle environment are not held back.
func TestRamp(t *testing.T) {
	f := fleetOf(Config{Concurrency: 5000, Functions: []Function{handled("a", echo), handled("b", echo)}})
	a, b := f.functions["a"], f.functions["b"]
	count := func(fn *function, now time.Time) (n int) {
		for {
			if _, reason := f.acquire(now, fn, latest); reason != "" {
				if reason != ReasonConcurrency {
					t.Errorf("reason %s", reason)
				}
				return n
			}
			n++
		}
	}
	if n := count(a, start); n != 1000 {
		t.Errorf("%d environments at once", n)
	}
	if n := count(b, start); n != 1000 {
		t.Errorf("the ramp of one function held back another: %d", n)
	}
	if n := count(a, start.Add(time.Second)); n != 100 {
		t.Errorf("%d more after a second", n)
	}
	f.release(start.Add(time.Second), a, &environment{version: latest})
	if e, reason := f.acquire(start.Add(time.Second), a, latest); e == nil || reason != "" {
		t.Errorf("a warm call was refused: %q", reason)
	}
	if a.coldStart != 1100 || a.throttles[ReasonConcurrency] != 2 {
		t.Errorf("%d cold starts, throttles %v", a.coldStart, a.throttles)
	}
}

func TestShares(t *testing.T) {
	two, none := 2, 0
	reserved, off := handled("reserved", echo), handled("off", echo)
	reserved.Reserved, off.Reserved = &two, &none
	f := fleetOf(Config{Concurrency: 5, Functions: []Function{reserved, off, handled("x", echo), handled("y", echo)}})
	want := []struct{ name, reason string }{
		{"x", ""}, {"y", ""}, {"x", ""}, {"x", ReasonConcurrency}, {"y", ReasonConcurrency},
		{"reserved", ""}, {"reserved", ""}, {"reserved", ReasonReservedConcurrency}, {"off", ReasonReservedConcurrency},
	}
	for i, w := range want {
		if _, reason := f.acquire(start, f.functions[w.name], latest); reason != w.reason {
			t.Errorf("call %d of %s: %q, want %q", i, w.name, reason, w.reason)
		}
	}
	f.release(start, f.functions["x"], nil)
	if _, reason := f.acquire(start, f.functions["y"], latest); reason != "" {
		t.Errorf("a released place is not free: %s", reason)
	}
	if f.peak != 5 || f.functions["x"].peak != 2 {
		t.Errorf("peaks %d, %d", f.peak, f.functions["x"].peak)
	}
}

func TestRequestRate(t *testing.T) {
	f := fleetOf(Config{Concurrency: 2, Functions: []Function{handled("a", echo)}})
	a := f.functions["a"]
	for i := range 20 {
		if _, reason := f.acquire(start, a, latest); reason != "" {
			t.Fatalf("request %d: %s", i, reason)
		}
		f.release(start, a, &environment{version: latest})
	}
	if _, reason := f.acquire(start, a, latest); reason != ReasonRate {
		t.Errorf("request 21 in an instant: %q", reason)
	}
	if _, reason := f.acquire(start.Add(50*time.Millisecond), a, latest); reason != "" {
		t.Errorf("50 ms later: %q", reason)
	}
}

// However calls come and go, the account never runs more than it may.
func TestNeverOverLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		account, reserved := rapid.IntRange(1, 9).Draw(t, "account"), 0
		reserved = rapid.IntRange(0, account).Draw(t, "reserved")
		r := handled("r", echo)
		r.Reserved = &reserved
		f := fleetOf(Config{Concurrency: account, RampPer10s: rapid.IntRange(1, 9).Draw(t, "ramp"), Functions: []Function{r, handled("a", echo), handled("b", echo)}})
		now, running := start, map[string]int{}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"r", "a", "b"}).Draw(t, "function")
			now = now.Add(time.Duration(rapid.IntRange(0, 1000).Draw(t, "ms")) * time.Millisecond)
			fn := f.functions[name]
			if running[name] > 0 && rapid.Bool().Draw(t, "release") {
				f.release(now, fn, &environment{version: latest})
				running[name]--
			} else if _, reason := f.acquire(now, fn, latest); reason == "" {
				running[name]++
			}
			if running["r"] > reserved || running["a"]+running["b"] > account-reserved {
				t.Fatalf("running %v of %d with %d reserved", running, account, reserved)
			}
		}
	})
}

func TestThrottleOnTheWire(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s, web := serve(t, Config{Concurrency: 1, Functions: []Function{handled("f", func(context.Context, Event) ([]byte, error) {
		entered <- struct{}{}
		<-leave
		return []byte("1"), nil
	})}})
	c := client(t, web)
	invoke := func() error {
		_, err := c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("f")})
		return err
	}
	var first sync.WaitGroup
	first.Go(func() {
		if err := invoke(); err != nil {
			t.Error(err)
		}
	})
	<-entered
	err := invoke()
	isError(t, err, 429, "TooManyRequestsException", &types.TooManyRequestsException{})
	var throttle *types.TooManyRequestsException
	if !errors.As(err, &throttle) || throttle.Reason != types.ThrottleReasonConcurrentInvocationLimitExceeded || *throttle.RetryAfterSeconds != "1" {
		t.Errorf("got %+v", throttle)
	}
	close(leave)
	first.Wait()
	if state := s.State(); state.Throttles != 1 || state.PeakConcurrency != 1 || state.InFlight != 0 || s.Bill().Executions != 1 {
		t.Errorf("state %+v, %d executions", state, s.Bill().Executions)
	}
}

func TestIdleEnvironmentsAreReaped(t *testing.T) {
	now := newClock()
	s, web := serve(t, Config{Clock: now.Now, IdleTimeout: time.Minute, Functions: []Function{handled("f", echo)}})
	c := client(t, web)
	for _, step := range []struct {
		wait  time.Duration
		colds int
	}{{0, 1}, {59 * time.Second, 1}, {time.Minute, 2}} {
		now.Advance(step.wait)
		s.reapNow()
		if _, err := c.Invoke(context.Background(), &lambda.InvokeInput{FunctionName: aws.String("f")}); err != nil {
			t.Fatal(err)
		}
		if f := s.State().Functions[0]; f.ColdStarts != step.colds || f.Environments != 1 {
			t.Errorf("after %v: %+v", step.wait, f)
		}
	}
}
