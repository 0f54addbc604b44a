package gate_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/provider/gate"
)

// TestUnknownIsNoRefusal: what the dispatcher did not say is not taken for its word that
// nothing ran.
func TestUnknownIsNoRefusal(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		status       int
		noToken      bool
		unavailable  bool
	}{
		{"an answer that was cut", `{"state": "exec`, 200, false, true},
		{"no token to ask with", `{}`, 200, true, true},
		{"it is starting", `{}`, 503, false, true},
		{"not allowed", `{"error": "no"}`, 403, false, false},
		{"not understood", `{"error": "no"}`, 400, false, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(row.status)
			_, _ = w.Write([]byte(row.answer))
		}))
		token := ""
		if row.noToken {
			token = filepath.Join(t.TempDir(), "none")
		}
		g, err := gate.New(server.URL, token, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan struct{}, 2)
		_, err = g.Run(t.Context(), "a", gate.RunRequest{Attempt: 1, Namespace: "shop", Function: "f"}, func() { sent <- struct{}{} })
		if err == nil || errors.Is(err, gate.ErrUnavailable) != row.unavailable {
			t.Errorf("%s: %v", row.name, err)
		}
		if !row.noToken {
			<-sent
		} else if len(sent) > 0 {
			t.Errorf("%s: it says that it was sent", row.name)
		}
		server.Close()
	}
}
