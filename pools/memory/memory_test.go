package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

// TestScript plays every step in virtual time.
func TestScript(t *testing.T) {
	const limit = 3 * time.Second
	for _, c := range []struct {
		name  string
		step  memory.Step
		class spillway.OutcomeClass
		cause spillway.Cause
		took  time.Duration
		gone  bool
	}{
		{"returns", memory.Step{Service: 1500 * time.Microsecond}, spillway.Executed, spillway.CauseNone, 1500 * time.Microsecond, false},
		{"fails", memory.Step{Service: time.Second, Ending: memory.Fails}, spillway.Executed, spillway.CauseNone, time.Second, false},
		{"crashes", memory.Step{Service: time.Second, Ending: memory.Crashes}, spillway.Executed, spillway.CauseCrashed, time.Second, true},
		{"times out", memory.Step{Service: limit}, spillway.Executed, spillway.CauseTimeout, limit, true},
		{"vanishes", memory.Step{Service: time.Second, Ending: memory.Vanishes}, spillway.Unknown, spillway.CauseLost, time.Second, false},
		{"refuses", memory.Step{Service: time.Second, Ending: memory.Refuses, Cause: spillway.CauseThrottled}, spillway.NotExecuted, spillway.CauseThrottled, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				step := func(pools.Request) memory.Step { return c.step }
				pool := memory.New(memory.Options{Step: step})
				defer pool.Close()
				if _, err := pool.StartInstance(t.Context(), 1, function(limit)); err != nil {
					t.Fatal(err)
				}
				started := time.Now()
				r := pool.Invoke(t.Context(), pools.Request{Invocation: "a", Attempt: 1, Instance: 1, Function: function(limit)})
				o := r.Outcome
				if o.Class != c.class || o.Cause != c.cause || r.InstanceGone != c.gone || time.Since(started) != c.took {
					t.Errorf("%v %v gone=%v after %v", o.Class, o.Cause, r.InstanceGone, time.Since(started))
				}
				if ran := len(pool.Executions()); (ran == 0) != (c.class == spillway.NotExecuted) {
					t.Errorf("%d executions recorded", ran)
				}
				if c.took > 0 && o.Usage.DurationMicros != c.took.Microseconds() {
					t.Errorf("duration %d µs, want %v", o.Usage.DurationMicros, c.took)
				}
			})
		})
	}
}

func TestPeakAndBill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := func(r pools.Request) memory.Step {
			return memory.Step{Service: time.Duration(r.Attempt)*time.Millisecond + time.Nanosecond}
		}
		cloud := memory.NewCloud(1, memory.Options{Step: step})
		billed := make(chan int64, 5)
		for n := range cap(billed) {
			go func() {
				r := pools.Request{Invocation: "a", Attempt: n + 1, Function: function(time.Minute)}
				billed <- cloud.Invoke(t.Context(), r).Outcome.Usage.BilledMillis
			}()
		}
		for want := range cap(billed) {
			if got := <-billed; got != int64(want)+2 {
				t.Errorf("billed %d ms, want %d", got, want+2)
			}
		}
		if cloud.Peak("test") != cap(billed) || cloud.Peak("other") != 0 || len(cloud.Executions()) != cap(billed) {
			t.Errorf("peak %d of %v", cloud.Peak("test"), cloud.Executions())
		}
	})
}

func TestColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := func(context.Context, *spillway.Function) (pools.ColdStart, error) {
			return pools.ColdStart{Start: time.Second, Init: time.Second}, nil
		}
		pool := memory.New(memory.Options{Start: start})
		defer pool.Close()
		began := time.Now()
		cold, err := pool.StartInstance(t.Context(), 1, function(time.Second))
		if err != nil || cold.Total() != 2*time.Second || time.Since(began) != cold.Total() {
			t.Errorf("cold start %+v after %v: %v", cold, time.Since(began), err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var failed *pools.StartError
		if _, err := pool.StartInstance(short, 2, function(time.Second)); !errors.As(err, &failed) || pool.Instances() != 1 {
			t.Errorf("start cut short: %v, %d instances", err, pool.Instances())
		}
		if _, err := pool.StartInstance(t.Context(), 1, function(time.Second)); err == nil {
			t.Error("an id was used twice")
		}
	})
}

// TestClose checks that nobody waits for a closed pool.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := memory.New(memory.Options{Step: func(pools.Request) memory.Step { return memory.Step{Service: time.Hour} }})
		f := function(2 * time.Hour)
		for id := spillway.InstanceID(1); id <= 2; id++ {
			if _, err := pool.StartInstance(t.Context(), id, f); err != nil {
				t.Fatal(err)
			}
		}
		go pool.Kill(2) // nobody reads Exits
		result := make(chan pools.Result)
		go func() { result <- pool.Invoke(t.Context(), pools.Request{Instance: 1, Function: f}) }()
		synctest.Wait()
		go pool.Close()
		if r := <-result; r.Outcome.Class != spillway.Executed || !r.InstanceGone {
			t.Errorf("%+v", r)
		}
		for range pool.Exits() {
			t.Error("an exit after Close")
		}
	})
}
