package server_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

// TestWebGoneBefore has the caller of a web function go away before its call is
// placed: nothing is sent, or paid, for nobody.
func TestWebGoneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform + "function shop/site contract=http burst=allow timeout=2s policy=outside")
		if err != nil {
			t.Fatal(err)
		}
		onprem, cloud, book := memory.New(memory.Options{}), memory.NewCloud(1, memory.Options{}), new(bookOnly)
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: cloud}, Policy: permitAll{p}, Ledger: book})
		defer func() { s.Close(); onprem.Close() }()
		gone, goes := context.WithCancel(t.Context())
		goes()
		request := ask("site", "hello")
		request.Web = &server.Web{Web: pools.Web{Method: "PUT", Target: "/", Header: http.Header{}, Caller: gone}}
		a, err := s.Invoke(t.Context(), request)
		if err != nil || a.Refused() != spillway.ReasonUnavailable {
			t.Errorf("%+v, %v", a, err)
		}
		if n := len(cloud.Executions()); n != 0 || len(book.intents) != 0 {
			t.Errorf("%d executions and %d intents for nobody", n, len(book.intents))
		}
		if calls, unknown := s.InFlight(); calls != 0 || unknown != 0 {
			t.Errorf("%d calls and %d attempts are left", calls, unknown)
		}
		for _, q := range s.View().Quotas {
			for _, b := range q.Budgets {
				if b.Spent != 0 || b.Reserved != 0 {
					t.Errorf("budget %+v", b)
				}
			}
		}
	})
}

// TestOtherContract has a function change its contract after a call of it was read: it
// is not run with a request of the other kind.
func TestOtherContract(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform + "function shop/site contract=http burst=allow timeout=2s policy=outside")
		if err != nil {
			t.Fatal(err)
		}
		onprem, cloud := memory.New(memory.Options{}), memory.NewCloud(1, memory.Options{})
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: cloud}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer func() { s.Close(); onprem.Close() }()
		event, request := ask("site", "{}"), ask("away", "hello")
		request.Web = &server.Web{Web: pools.Web{Method: "PUT", Target: "/", Header: http.Header{}, Caller: t.Context()}}
		for _, asked := range []server.Ask{event, request} {
			if a, err := s.Invoke(t.Context(), asked); err != nil || a.Refused() != spillway.ReasonUnavailable {
				t.Errorf("%s: %+v, %v", asked.Function, a.Decision.Last(), err)
			}
		}
		if n := len(cloud.Executions()); n != 0 {
			t.Errorf("%d executions", n)
		}
	})
}

// slowIntents is a ledger whose intents take longer than an attempt may wait.
type slowIntents struct{ bookOnly }

func (b *slowIntents) Intent(ctx context.Context, e *billing.Entry) error {
	time.Sleep(dispatcher.SendWithin + time.Millisecond)
	return b.bookOnly.Intent(ctx, e)
}

// TestSentLate has the intent of a cloud attempt take so long that the attempt would
// run when what it holds has been given back: it is not sent.
func TestSentLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(smallPlatform)
		if err != nil {
			t.Fatal(err)
		}
		p.Functions[2].Policy = 1
		onprem, cloud, book := memory.New(memory.Options{}), memory.NewCloud(1, memory.Options{}), new(slowIntents)
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: cloud}, Policy: permitAll{p}, Ledger: book})
		defer func() { s.Close(); onprem.Close() }()
		a, err := s.Invoke(t.Context(), ask("away", "{}"))
		if err != nil || a.Refused() != spillway.ReasonUnavailable {
			t.Errorf("%+v, %v", a, err)
		}
		if n := len(cloud.Executions()); n != 0 {
			t.Errorf("%d executions", n)
		}
		if kinds := book.kinds(); kinds[billing.KindVoid] != len(book.intents) || len(kinds) != 1 {
			t.Errorf("%d intents were closed by %v", len(book.intents), kinds)
		}
	})
}

// TestIntentDeadline: an intent says until when its attempt may run, for whoever finds
// it after a crash: the limits of the provider, a second to send it and one of margin.
func TestIntentDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{})
		defer r.close()
		if a, err := r.Invoke(t.Context(), ask("away", "{}")); err != nil || a.Refused() != spillway.ReasonNone {
			t.Fatalf("%+v, %v", a, err)
		}
		const timeout, init = 2 * time.Second, time.Second
		e := r.book.intents[0]
		if want := e.Admitted.Add(timeout + init + dispatcher.SendWithin + time.Second); !e.Deadline.Equal(want) || e.Reserved == 0 {
			t.Errorf("admitted %v, deadline %v, want %v, reserved %v", e.Admitted, e.Deadline, want, e.Reserved)
		}
	})
}
