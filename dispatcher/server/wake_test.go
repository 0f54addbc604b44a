package server_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/dispatcher/server"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/memory"
)

// TestWindowOpens has a call wait for the minute in which its burst window opens: it
// goes to the cloud then, though nothing else happens, and not when its wait is over.
func TestWindowOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight
		p, err := testplatform.Parse(`
pool onprem process slots=1
pool cloud lambda
quota all budget=day:1000000000:reject
policy default Hybrid order=onprem,cloud hours=2-60
namespace shop quota=all
function shop/a burst=allow timeout=10m deadline=10m maxwait=5m`)
		if err != nil {
			t.Fatal(err)
		}
		onprem, cloud := memory.New(takes(4*time.Minute)), memory.NewCloud(1, memory.Options{})
		s := server.New(server.Config{Engine: dispatcher.New(p), Pools: map[int]pools.Pool{0: onprem, 1: cloud}, Policy: permitAll{p}, Ledger: new(bookOnly)})
		defer func() { s.Close(); onprem.Close() }()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := s.Invoke(t.Context(), ask("a", "{}")); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		time.Sleep(10 * time.Second)
		a, err := s.Invoke(t.Context(), ask("a", "{}"))
		if err != nil {
			t.Fatal(err)
		}
		if a.Placement.Pool != "cloud" || a.Decision.Waited != 110*time.Second {
			t.Errorf("on %s after %v", a.Placement.Pool, a.Decision.Waited)
		}
		<-done
	})
}
