package server_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

const burstingPlatform = `
pool idle offline
pool onprem process slots=1
pool cloud lambda init=1s
quota all budget=day:1000000000:reject
policy default Hybrid order=onprem,cloud
namespace shop quota=all
function shop/a burst=allow timeout=60s
`

// TestJobInCloud: an attempt that is sent to a cloud runs there, with nothing on-prem
// used, once, however often and from wherever it is asked for.
func TestJobInCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := testplatform.Parse(burstingPlatform)
		if err != nil {
			t.Fatal(err)
		}
		book := new(bookOnly)
		serve := func() (*server.Server, func()) {
			onprem := memory.New(memory.Options{})
			s := server.New(server.Config{Engine: dispatcher.New(p), Policy: permitAll{p}, Ledger: book, Records: book,
				Pools: map[int]pools.Pool{1: onprem, 2: memory.NewCloud(2, takes(time.Minute/2))}})
			return s, func() { s.Close(); onprem.Close() }
		}
		s, end := serve()
		run := server.JobRun{UID: "u", Attempt: 1, Caller: "node", Function: spillway.FunctionKey{Namespace: "shop", Name: "a"}, Payload: []byte(`{}`)}
		if _, err := s.RunJob(t.Context(), run); !errors.Is(err, server.ErrNotSent) {
			t.Errorf("not admitted: %v", err)
		}
		ask := jobAsk("u")
		ask.CloudOnly, ask.BurstFunction = true, "a"
		if r, err := s.AdmitJob(t.Context(), ask); err != nil || r.State != dispatcher.JobCloud || r.Pool != "cloud" {
			t.Fatalf("%+v, %v", r, err)
		}
		other := run
		other.Attempt = 2
		if _, err := s.RunJob(t.Context(), other); !errors.Is(err, server.ErrNotSent) {
			t.Errorf("an attempt that was not sent: %v", err)
		}
		gone, withdrawn := run, run
		gone.Function.Name, withdrawn.Denied = "", true
		if _, err := s.RunJob(t.Context(), gone); !errors.Is(err, server.ErrNotSent) {
			t.Errorf("without a function: %v", err)
		}
		if _, err := s.RunJob(t.Context(), withdrawn); !errors.Is(err, server.ErrRunDenied) {
			t.Errorf("by who may not: %v", err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if a, err := s.RunJob(t.Context(), run); err != nil || a.Placement.Pool != "cloud" || a.Decision.Call.ID != server.JobInvocation("u", 1) {
					t.Errorf("%+v, %v", a, err)
				}
			})
		}
		synctest.Wait() // it runs
		for what, late := range map[string]server.JobRun{"that names no function any more": gone, "by who may not have it run any more": withdrawn} {
			wg.Go(func() {
				if a, err := s.RunJob(t.Context(), late); err != nil || a.Decision.Call.ID != server.JobInvocation("u", 1) {
					t.Errorf("what runs, %s: %+v, %v", what, a, err)
				}
			})
		}
		wg.Wait()
		if _, err := s.EndJob(t.Context(), "u", ran(1, time.Second)); err != nil {
			t.Error(err)
		}
		if a, err := s.RunJob(t.Context(), run); err != nil || a.Refused() != spillway.ReasonNone {
			t.Errorf("soon after its end: %v", err)
		}
		if r, err := s.AdmitJob(t.Context(), ask); err != nil || r.Attempt != 2 {
			t.Errorf("after attempt 1 comes %+v, %v", r, err)
		}
		time.Sleep(time.Hour)
		if _, err := s.RunJob(t.Context(), run); !errors.Is(err, server.ErrJobRan) {
			t.Errorf("long after: %v", err)
		}
		end()
		again, endAgain := serve()
		defer endAgain()
		if _, err := again.RunJob(t.Context(), run); !errors.Is(err, server.ErrJobRan) {
			t.Errorf("to a server that was started anew: %v", err)
		}
		if _, err := again.RunJob(t.Context(), gone); !errors.Is(err, server.ErrJobRan) {
			t.Errorf("without a function any more: %v", err)
		}
		denied, never := run, run
		denied.Denied, never.Denied, never.Attempt = true, true, 7
		if _, err := again.RunJob(t.Context(), denied); !errors.Is(err, server.ErrJobRan) {
			t.Errorf("by who may not have it run any more: %v", err)
		}
		if _, err := again.RunJob(t.Context(), never); !errors.Is(err, server.ErrRunDenied) {
			t.Errorf("by who may not have it run: %v", err)
		}
		if p, err = testplatform.Parse(strings.Replace(burstingPlatform, "shop/a", "shop/b", 1)); err != nil {
			t.Fatal(err)
		}
		without, endWithout := serve()
		defer endWithout()
		if _, err := without.RunJob(t.Context(), run); !errors.Is(err, server.ErrJobRan) {
			t.Errorf("of a function that was taken away: %v", err)
		}
		if len(book.lines) != 1 || !book.lines[0].Cloud || book.lines[0].Function != "a" || len(book.intents) != 1 {
			t.Errorf("%d intents, lines %+v", len(book.intents), book.lines)
		}
	})
}
