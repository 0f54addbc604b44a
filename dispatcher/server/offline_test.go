package server_test

import (
	"context"
	"encoding/json"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

const idleFunctions = `
pool idle offline keepalive=1s
quota team
policy default Hybrid order=idle
namespace shop quota=team
function shop/again class=offline retry=idempotent timeout=1m maxwait=1m deadline=5m mcpu=500
function shop/once class=offline timeout=1m maxwait=1m deadline=5m mcpu=500
`

// taken is a pool that online work takes the first so many attempts from.
type taken struct {
	*memory.Pool
	left   int
	beside spillway.Resources
}

func (p *taken) Invoke(ctx context.Context, r pools.Request) pools.Result {
	result := p.Pool.Invoke(ctx, r)
	if p.left > 0 {
		p.left--
		p.StopInstance(ctx, r.Instance)
		result.Outcome.Cause, result.Outcome.FunctionError, result.InstanceGone = spillway.CauseReclaimed, spillway.FunctionUnhandled, true
		result.Payload = []byte(`{"errorType":"Spillway.Reclaimed"}`)
	}
	return result
}

func (p *taken) Beside() spillway.Resources { return p.beside }

func offlineServer(t *testing.T, pool *taken) (*server.Server, *bookOnly) {
	t.Helper()
	p, err := testplatform.Parse(idleFunctions)
	if err != nil {
		t.Fatal(err)
	}
	book := new(bookOnly)
	return server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: pool}, Policy: permitAll{p}, Ledger: book}), book
}

// TestReclaimedCall: what had to go and may be repeated is run again, and paid for twice;
// else, and when it has no second chance, the answer is that it had to go.
func TestReclaimedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := false
		pool := &taken{Pool: memory.New(memory.Options{Step: func(r pools.Request) memory.Step {
			if refuses && r.Attempt > 1 {
				return memory.Step{Ending: memory.Refuses, Cause: spillway.CauseCrashed}
			}
			return memory.Step{}
		}})}
		s, book := offlineServer(t, pool)
		defer pool.Close()
		defer s.Close()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(s.Collector())
		room := spillway.Resources{Slots: 5, MilliCPU: 500, MiB: 1024}
		measure := func() {
			if err := s.MeasureOffline("node", room); err != nil {
				t.Fatal(err)
			}
		}
		measure()
		invoke := func(name string) *server.Answer {
			t.Helper()
			defer time.AfterFunc(5*time.Second, measure).Stop() // what was taken back is gone until then
			a, err := s.Invoke(t.Context(), ask(name, `"hello"`))
			if err != nil || a.Refused() != spillway.ReasonNone {
				t.Fatalf("%+v, %v", a, err)
			}
			return a
		}
		kind := func(a *server.Answer) string {
			var body struct{ ErrorType string }
			_ = json.Unmarshal(a.Payload, &body)
			return body.ErrorType
		}
		pool.left = 1
		if a := invoke("once"); kind(a) != "Spillway.Reclaimed" || a.FunctionError != spillway.FunctionUnhandled || len(book.lines) != 1 {
			t.Errorf("not to be repeated: %s %s, %d lines", a.FunctionError, a.Payload, len(book.lines))
		}
		measure()
		pool.left = 1
		if a := invoke("again"); string(a.Payload) != `"hello"` || a.FunctionError != spillway.FunctionOK || a.Decision.Tries != 2 || len(book.lines) != 3 {
			t.Errorf("to be repeated: %s, %d attempts, %d lines", a.Payload, a.Decision.Tries, len(book.lines))
		}
		measure()
		pool.left, refuses = 1, true
		if a := invoke("again"); kind(a) != "Spillway.Reclaimed" || a.FunctionError != spillway.FunctionUnhandled || a.Decision.Tries != 3 {
			t.Errorf("what never ran again: %s %s, %d attempts", a.FunctionError, a.Payload, a.Decision.Tries)
		}
		counted := map[string]float64{"shop/once v1 idle function_error": 1, "shop/again v1 idle success": 1, "shop/again v1 idle function_error": 1}
		if got := revisionCalls(t, registry); !maps.Equal(got, counted) {
			t.Errorf("counted as %v, want %v", got, counted)
		}
		measure()
		pool.left = 1
		room = spillway.Resources{}
		time.AfterFunc(time.Second, measure)
		if a := invoke("again"); kind(a) != "Spillway.Reclaimed" || a.FunctionError != spillway.FunctionUnhandled || a.Decision.Waited < 50*time.Second {
			t.Errorf("without room for a second attempt: %s %s after waiting %s", a.FunctionError, a.Payload, a.Decision.Waited)
		}
	})
}

// TestBeside: what instances hold beside their functions is no room for others.
func TestBeside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &taken{Pool: memory.New(memory.Options{}), beside: spillway.Resources{MilliCPU: 10}}
		s, _ := offlineServer(t, pool)
		defer pool.Close()
		defer s.Close()
		if err := s.MeasureOffline("node", spillway.Resources{Slots: 5, MilliCPU: 509, MiB: 1024}); err != nil {
			t.Fatal(err)
		}
		a, err := s.Invoke(t.Context(), ask("once", ""))
		if err != nil || a.Refused() != spillway.ReasonNoCapacity {
			t.Fatalf("%+v, %v", a, err)
		}
	})
}
