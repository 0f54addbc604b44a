package server_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/pools/memory"
)

// TestCorrect books what corrections of several attempts settle, each once and in the
// window of its own call.
func TestCorrect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{})
		spent := func() spillway.Nano { return r.View().Quotas[0].Budgets[0].Spent }
		now := time.Now()
		line := func(kind billing.Kind, id string, attempt int, admitted time.Time, settled spillway.Nano) billing.Entry {
			return billing.Entry{Kind: kind, Invocation: id, Attempt: attempt, Namespace: "shop", Function: "away", Cloud: true, Admitted: admitted, Settled: settled}
		}
		lines := []billing.Entry{
			line(billing.KindReversal, "a", 1, now, -100), line(billing.KindCharge, "a", 1, now, 170),
			line(billing.KindCharge, "a", 2, now, 1000),
			line(billing.KindReversal, "b", 2, now.Add(-100*time.Hour), -10_000), // of a window that is over
			line(billing.KindCharge, "c", 2, now, 5),
		}
		if r.Correct(nil); spent() != 0 {
			t.Errorf("no lines book %v", spent())
		}
		if r.Correct(lines); spent() != 70+1000+5 {
			t.Errorf("booked %v", spent())
		}
		r.close()
		r.Correct(lines) // the server has ended: they are summed up when it starts
		if spent() != 1075 {
			t.Errorf("a server that has ended booked, now %v", spent())
		}
	})
}
