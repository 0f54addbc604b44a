package kube

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/httpapi"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// house has the functions pay and site, a web function, in every namespace of a tenant,
// and remembers who called which.
type house struct {
	mu    sync.Mutex
	calls map[string]int // "caller namespace/function"
}

func (h *house) Contract(key spillway.FunctionKey) (spillway.Contract, error) {
	switch {
	case !strings.HasPrefix(key.Namespace, "tenant-"):
	case key.Name == "pay":
		return spillway.ContractLambda, nil
	case key.Name == "site":
		return spillway.ContractHTTP, nil
	}
	return 0, &server.UnknownFunctionError{Function: key}
}

func (h *house) Invoke(_ context.Context, ask server.Ask) (*server.Answer, error) {
	if _, err := h.Contract(ask.Function); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls[ask.Caller+" "+ask.Function.String()]++
	d := &dispatcher.Decision{Tries: 1, Reason: spillway.ReasonPreferred}
	d.Attempts[0].Outcome.Class = spillway.Executed
	return &server.Answer{Decision: d, Payload: []byte("{}"), Placement: server.Placement{Invocation: "i", Pool: "onprem", Reason: spillway.ReasonPreferred}}, nil
}

func (h *house) Preview(ctx context.Context, ask server.Ask) (*server.Answer, error) {
	return h.Invoke(ctx, ask)
}

// unsigned has no keys for signatures.
type unsigned struct{ *desk }

func (unsigned) Precheck(*http.Request) error {
	return auth.Refuse(auth.TypeUnrecognizedClient, "no signatures")
}

// routes are the ways to a function.
var routes = []struct{ method, path, function string }{
	{"POST", "/namespaces/%s/functions/%s/invoke", "pay"},
	{"POST", "/namespaces/%s/2015-03-31/functions/%s/invocations", "pay"},
	{"POST", "/namespaces/%s/2015-03-31/functions/arn:aws:lambda:eu-west-1:123456789012:function:%s/invocations?Qualifier=v1", "pay"},
	{"GET", "/namespaces/%s/functions/%s/", "site"},
	{"DELETE", "/namespaces/%s/functions/%s/cart/7?all=1", "site"},
}

const tenants = 20

// testTenants has every tenant call every other's functions by every route: each is
// refused with the words that it would get if the function were not there, and logged.
func (c *cluster) testTenants(t *testing.T) {
	d := c.authenticator(t, ofIdentities, ofPermissions)
	var log bytes.Buffer
	h := &house{calls: map[string]int{}}
	front := must[*httpapi.Front](t)(httpapi.New(httpapi.Config{Server: h, Auth: unsigned{d}, Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	tokens := make([]string, tenants)
	name := func(i int) string { return fmt.Sprintf("tenant-%02d", i) }
	for i := range tokens {
		c.tenant(t, name(i), "web")
		c.permit(t, name(i), accountOf(name(i), "web"))
		tokens[i] = c.token(t, name(i), "web", DefaultAudience)
		soon(t, "a right of "+name(i), func() bool { return d.callOf(t, tokens[i], name(i), "seen") == "allowed" })
	}
	send := func(as int, method, path, namespace, function string) (int, string) {
		r := httptest.NewRequest(method, fmt.Sprintf(path, namespace, function), strings.NewReader("{}"))
		r.Header.Set("Authorization", "Bearer "+tokens[as])
		for _, forged := range []string{"X-Remote-User", "X-Forwarded-User", "X-Spillway-Caller", "Impersonate-User", "X-Spillway-Namespace"} {
			r.Header.Set(forged, "system:serviceaccount:"+namespace+":web")
		}
		w := httptest.NewRecorder()
		front.ServeHTTP(w, r)
		w.Header().Del("X-Amzn-Requestid") // a new one for every request
		return w.Code, fmt.Sprint(w.Header(), w.Body)
	}
	refused := 0
	for i := range tenants {
		for j := range tenants {
			for _, route := range routes {
				status, said := send(i, route.method, route.path, name(j), route.function)
				absent, saidOfAbsent := send(i, route.method, route.path, name(j), "absent")
				switch {
				case i == j && (status == http.StatusForbidden || absent != http.StatusNotFound):
					t.Errorf("%s of its own at %s: %d and, if absent, %d", name(i), route.path, status, absent)
				case i != j && (status != http.StatusForbidden || absent != status || said != saidOfAbsent):
					t.Errorf("%s to %s at %s: %d %s; if absent %d %s", name(i), name(j), route.path, status, said, absent, saidOfAbsent)
				case i != j:
					refused += 2
				}
			}
		}
	}
	if want := 2 * tenants * (tenants - 1) * len(routes); refused != want || strings.Count(log.String(), "msg=refused") != want {
		t.Errorf("%d refusals and %d lines of audit, want %d", refused, strings.Count(log.String(), "msg=refused"), want)
	}
	for call, n := range h.calls {
		caller, function, _ := strings.Cut(call, " ")
		namespace, _, _ := strings.Cut(function, "/")
		if caller != "system:serviceaccount:"+namespace+":web" {
			t.Errorf("%s ran %d times", call, n)
		}
	}
	if len(h.calls) != 2*tenants {
		t.Errorf("%d functions were called by their tenants, want %d", len(h.calls), 2*tenants)
	}
	for _, token := range tokens {
		if strings.Contains(log.String(), token) {
			t.Fatal("the log has a token")
		}
	}
}
