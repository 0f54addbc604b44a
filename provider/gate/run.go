package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"time"
)

// RunRequest is an attempt of a pod that the dispatcher has sent to a cloud.
type RunRequest struct {
	Attempt   int             `json:"attempt"`
	Namespace string          `json:"namespace"`
	Function  string          `json:"function"` // empty: none any more, and what was sent is joined
	Event     json.RawMessage `json:"event"`    // the same whenever the attempt is asked for
}

// Ran is what became of it.
type Ran struct {
	State      string     `json:"state"` // executed, not_executed, unknown
	ExitCode   int32      `json:"exitCode"`
	Reason     string     `json:"reason"`
	Text       string     `json:"text"`
	Pool       string     `json:"pool"`
	Invocation string     `json:"invocation"`
	Started    *time.Time `json:"started,omitempty"`
	Ended      *time.Time `json:"ended,omitempty"`
	Log        string     `json:"log"` // its end
}

// ErrForbidden is wrapped by errors of what this node may not do.
var ErrForbidden = errors.New("not allowed")

// Run runs the attempt of a pod in its cloud, and returns when it has ended. It runs once
// at most: after ErrUnavailable the same may be asked again, and joins it. It calls sent,
// perhaps more than once and at the same time, when the question is on its way: before that
// nothing runs.
func (g *Gate) Run(ctx context.Context, uid string, r RunRequest, sent func()) (Ran, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(wrote httptrace.WroteRequestInfo) {
		if wrote.Err == nil {
			sent()
		}
	}})
	var ran Ran
	if err := g.sendBy(ctx, g.long, http.MethodPost, g.server.JoinPath("v1/offline/admissions", uid, "run"), r, &ran); err != nil {
		return Ran{}, fmt.Errorf("run function %s/%s for pod %s: %w", r.Namespace, r.Function, uid, err)
	}
	return ran, nil
}

// shorn is the message of an error of the dispatcher.
func shorn(body []byte) string {
	var said struct{ Error string }
	if json.Unmarshal(body, &said) == nil && said.Error != "" {
		return said.Error
	}
	return strings.TrimSpace(string(body[:min(len(body), 300)]))
}
