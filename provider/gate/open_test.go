package gate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/provider/gate"
)

// TestOpen: a long list is read whole, what other nodes run is left out, and a word that
// is not known is not taken for another.
func TestOpen(t *testing.T) {
	long := strings.Repeat("n", 250)
	list := func(n int, state gate.State) []gate.Held {
		all := []gate.Held{{UID: "other", Node: "elsewhere", Answer: gate.Answer{State: gate.Admitted}}}
		for i := range n {
			all = append(all, gate.Held{UID: fmt.Sprint("uid-", i), Namespace: "shop", Pod: long, Node: "node", Answer: gate.Answer{State: state, Attempt: 1, Text: long}})
		}
		return all
	}
	for _, c := range []struct {
		n     int
		state gate.State
		fails bool
	}{{10_000, gate.Waiting, false}, {1, gate.Over, false}, {1, "lost", true}, {40_000, gate.Waiting, true}} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(map[string]any{"admissions": list(c.n, c.state)})
		}))
		g, err := gate.New(s.URL, "", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		open, err := g.Open(t.Context(), "node")
		s.Close()
		if (err != nil) != c.fails || !c.fails && (len(open) != c.n || open[0].Pod != long || open[0].Attempt != 1) {
			t.Errorf("%d %s: %d, %v", c.n, c.state, len(open), err)
		}
	}
}
