package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/memory"
)

// TestStale asks with a permission that could not be looked up again: no cloud is
// sent anything, and the explanation says why.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, memory.Options{}, memory.Options{})
		defer r.close()
		here, away := ask("a", "{}"), ask("away", "{}")
		here.Stale, away.Stale = true, true
		answer, err := r.Invoke(t.Context(), here)
		if err != nil || answer.Refused() != 0 || answer.Placement.Pool != "onprem" {
			t.Fatalf("on-prem: %+v, %v", answer, err)
		}
		text, err := r.Explain(t.Context(), answer.Placement.Invocation)
		if err != nil || !strings.Contains(string(text), `"filter":"permission"`) {
			t.Errorf("explained as %s, %v", text, err)
		}
		if answer, err = r.Invoke(t.Context(), away); err != nil || answer.Refused() != spillway.ReasonUnavailable {
			t.Errorf("cloud only: %+v, %v", answer, err)
		} else if text, _ := json.Marshal(answer.Explanation); !strings.Contains(string(text), `"kind":"permission"`) {
			t.Errorf("explained as %s", text)
		}
		if answer, err = r.Preview(t.Context(), away); err != nil || answer.Refused() != spillway.ReasonUnavailable {
			t.Errorf("preview: %+v, %v", answer, err)
		}
		if n := len(r.cloud.Executions()); n != 0 || len(r.book.intents) != 0 {
			t.Errorf("%d executions and %d intents in the cloud", n, len(r.book.intents))
		}
		away.Stale = false
		if answer, err = r.Invoke(t.Context(), away); err != nil || answer.Placement.Pool != "cloud" {
			t.Errorf("a fresh one: %+v, %v", answer, err)
		}
	})
}
