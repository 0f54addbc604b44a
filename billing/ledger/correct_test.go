package ledger

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// TestCorrect takes an estimate back: it is not listed again, spend goes down by as
// much, a second time changes nothing, and a bad line keeps the others out.
func TestCorrect(t *testing.T) {
	l, err := Open(t.TempDir(), quick)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, id := range []string{"open", "lost", "other"} {
		if err := l.Intent(t.Context(), cloud(id, 1)); err != nil {
			t.Fatal(err)
		}
	}
	var estimates []billing.Entry
	for _, id := range []string{"lost", "other"} {
		e := billing.EstimateOf(cloud(id, 1), admitted.Add(time.Minute))
		estimates = append(estimates, e)
		if err := l.Post(&e); err != nil {
			t.Fatal(err)
		}
	}
	u, err := l.Unsettled(t.Context(), admitted)
	if err != nil || len(u.Open) != 1 || u.Open[0].Invocation != "open" || len(u.Estimates) != 2 || u.Estimates[0].Invocation != "lost" {
		t.Fatalf("%v: %+v", err, u)
	}
	back := billing.ReversalOf(&estimates[0], admitted.Add(time.Hour))
	bad := back
	bad.Attempt = 0
	if l.Correct(t.Context(), []billing.Entry{back, bad}) == nil {
		t.Error("a bad line was taken")
	}
	for range 2 {
		if u, err = l.Unsettled(t.Context(), admitted); err != nil {
			t.Fatal(err)
		}
		if err := l.Correct(t.Context(), []billing.Entry{back}); err != nil {
			t.Fatal(err)
		}
	}
	if len(u.Estimates) != 1 || u.Estimates[0].Invocation != "other" || l.Stats().Conflicts != 0 {
		t.Errorf("%+v, %+v", u.Estimates, l.Stats())
	}
	if u, err = l.Unsettled(t.Context(), admitted.Add(time.Nanosecond)); err != nil || len(u.Estimates) != 0 {
		t.Errorf("%v: admitted before: %+v", err, u.Estimates)
	}
	who := []spillway.FunctionKey{{Namespace: estimates[0].Namespace}}
	spent, err := l.Spent(t.Context(), who, spillway.InstantOf(admitted), spillway.InstantOf(admitted.Add(time.Hour)))
	if err != nil || spent != estimates[1].Settled {
		t.Errorf("%v: %s is spent, want the other estimate's %s", err, spent, estimates[1].Settled)
	}
}
