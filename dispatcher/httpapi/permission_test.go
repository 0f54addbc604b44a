package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
)

// judge knows everybody as "web user" and permits as told.
type judge struct {
	permission auth.Permission
	unknown    error // of Authenticate
	unjudged   error // of Authorise
}

func (j judge) Precheck(*http.Request) error { return nil }

func (j judge) Authenticate(*http.Request, []byte, time.Time) (auth.Identity, error) {
	if j.unknown != nil {
		return auth.Identity{}, j.unknown
	}
	return auth.Identity{Name: "web user", Subject: j}, nil
}

func (j judge) Authorise(_ context.Context, id auth.Identity, namespace, function string) (auth.Permission, error) {
	if id.Subject != j || namespace != "web" || function != "resize" && function != "page" {
		panic("judged somebody or something else")
	}
	return j.permission, j.unjudged
}

func judged(j judge, to *slog.Logger) func(*Config) {
	return func(c *Config) { c.Auth, c.Logger = j, to }
}

const webPath = "/namespaces/web/functions/page/cart"

// TestStalePermission hands on that a permission is from memory, on every path.
func TestStalePermission(t *testing.T) {
	for _, test := range []struct {
		permission auth.Permission
		stale      bool
	}{{auth.Allowed, false}, {auth.AllowedStale, true}} {
		s := always(executed(`1`), nil)
		d := openWith(t, s, judged(judge{permission: test.permission}, nil), noLimit)
		d.post(t, urlPath, "{}")
		d.post(t, lambdaPath, "{}")
		d.post(t, lambdaPath, "{}", "X-Amz-Invocation-Type", "DryRun")
		d.post(t, webPath, "{}")
		asks := append(s.ran(), s.previews...)
		if len(asks) != 4 {
			t.Fatalf("%d asks", len(asks))
		}
		for _, ask := range asks {
			if ask.Stale != test.stale || ask.Caller != "web user" {
				t.Errorf("%s: asked %+v", test.permission, ask)
			}
		}
	}
}

// TestNobodyCanJudge answers 503 for identities and permissions that cannot be looked
// up, with when to try again, and runs nothing.
func TestNobodyCanJudge(t *testing.T) {
	gone := auth.Unavailable("the API server cannot be asked", 4500*time.Millisecond)
	for name, j := range map[string]judge{"identity": {unknown: gone}, "permission": {permission: auth.Allowed, unjudged: gone}} {
		t.Run(name, func(t *testing.T) {
			s := always(executed(`1`), nil)
			d := openWith(t, s, judged(j, nil), noLimit)
			for _, path := range []string{urlPath, lambdaPath, webPath} {
				answer, body := d.post(t, path, "{}")
				if answer.StatusCode != 503 || answer.Header.Get("Retry-After") != "5" || !strings.Contains(body, "cannot be asked") {
					t.Errorf("%s: %d, Retry-After %q: %s", path, answer.StatusCode, answer.Header.Get("Retry-After"), body)
				}
				if reason := answer.Header.Get(headerReason); reason != spillway.ReasonUnavailable.String() {
					t.Errorf("%s: reason %s", path, reason)
				}
				if kind := answer.Header.Get(headerErrorType); path == lambdaPath && kind != typeUnavailable {
					t.Errorf("type %s", kind)
				}
			}
			if n := len(s.ran()); n != 0 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// logged collects JSON log lines.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) all(t *testing.T) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for d := json.NewDecoder(bytes.NewReader(l.text.Bytes())); d.More(); {
		var line map[string]any
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		all = append(all, line)
	}
	return all
}

// TestAudit has one line for every refusal for want of credentials or permission: who
// wanted what. It has no line for what was answered, and no token.
func TestAudit(t *testing.T) {
	denied := always(refusal(spillway.ReasonDenied, spillway.Limit{}), nil)
	for name, test := range map[string]struct {
		server             *script
		judge              judge
		path, kind, caller string
		status             float64
	}{
		"forbidden":       {always(executed("1"), nil), judge{}, urlPath, typeAccessDenied, "web user", 403},
		"forbidden page":  {always(executed("1"), nil), judge{}, webPath, typeAccessDenied, "web user", 403},
		"stranger":        {always(executed("1"), nil), judge{unknown: auth.Refuse(auth.TypeUnrecognizedClient, "who?")}, lambdaPath, auth.TypeUnrecognizedClient, "", 403},
		"stranger at URL": {always(executed("1"), nil), judge{unknown: auth.Refuse(auth.TypeUnrecognizedClient, "who?")}, urlPath, auth.TypeUnrecognizedClient, "", 401},
		"by policy":       {denied, judge{permission: auth.Allowed}, lambdaPath, typeAccessDenied, "web user", 403},
		"answered":        {always(executed("1"), nil), judge{permission: auth.Allowed}, urlPath, "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log logged
			d := openWith(t, test.server, judged(test.judge, slog.New(slog.NewJSONHandler(&log, nil))), noLimit)
			d.post(t, test.path, "{}")
			d.settle(t)
			all := log.all(t)
			if test.status == 0 {
				if len(all) != 0 {
					t.Errorf("logged %v", all)
				}
				return
			}
			if len(all) != 1 {
				t.Fatalf("logged %v", all)
			}
			line := all[0]
			if line["status"] != test.status || line["type"] != test.kind || line["caller"] != test.caller || line["namespace"] != "web" ||
				line["function"] == "" || line["peer"] == "" || line["why"] == "" {
				t.Errorf("logged %v", line)
			}
			if strings.Contains(log.text.String(), testToken) {
				t.Error("the log has a token")
			}
		})
	}
}
