package kube

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"

	"github.com/spillway-dev/spillway/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errGone = errors.New("connection refused")

// fit makes a JWT for our audience of a name; what has points already stays as it is.
func fit(token string) string {
	if strings.Contains(token, ".") {
		return token
	}
	return token + "." + payload(`{"aud":["spillway.dev","faas.example"],"exp":253402300799}`) + ".sig"
}

func payload(claims string) string { return base64.RawURLEncoding.EncodeToString([]byte(claims)) }

// stub is a Reviewer that knows tokens of the form "token-NAME" and counts questions.
type stub struct {
	mu             sync.Mutex
	gone           bool // nobody can be asked
	hangs          bool // nor is there an answer
	noTokens       bool // only of access anything is known
	ignorant       bool // of audiences
	takes          time.Duration
	revoked        []string // tokens
	may            func(*authorization.SubjectAccessReviewSpec) bool
	tokens, access int // questions
	under, most    int // at once
	asked          *authorization.SubjectAccessReviewSpec
}

func (s *stub) begin(ctx context.Context, counted *int) error {
	s.mu.Lock()
	*counted++
	s.under++
	s.most = max(s.most, s.under)
	gone, hangs, takes := s.gone, s.hangs, s.takes
	s.mu.Unlock()
	defer s.with(func() { s.under-- })
	switch {
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	case gone:
		return errGone
	}
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stub) with(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *stub) counts() (tokens, access int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens, s.access
}

func (s *stub) ReviewToken(ctx context.Context, token string, audiences []string) (*authentication.TokenReviewStatus, error) {
	if err := s.begin(ctx, &s.tokens); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noTokens {
		return nil, errGone
	}
	token, _, _ = strings.Cut(token, ".")
	name, known := strings.CutPrefix(token, "token-")
	if !known || slices.Contains(s.revoked, token) {
		return &authentication.TokenReviewStatus{Error: "invalid bearer token"}, nil
	}
	status := &authentication.TokenReviewStatus{Authenticated: true, User: authentication.UserInfo{Username: name, UID: "uid-" + name, Groups: []string{"all"},
		Extra: map[string]authentication.ExtraValue{"pod": {"p"}}}}
	if !s.ignorant {
		status.Audiences = audiences
	}
	return status, nil
}

func (s *stub) ReviewAccess(ctx context.Context, of *authorization.SubjectAccessReviewSpec) (*authorization.SubjectAccessReviewStatus, error) {
	if err := s.begin(ctx, &s.access); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = of
	return &authorization.SubjectAccessReviewStatus{Allowed: s.may == nil || s.may(of)}, nil
}

// desk is an Authenticator with a stub behind it.
type desk struct {
	*Authenticator
	*stub
	registry *prometheus.Registry
}

func newDesk(t testing.TB, change ...func(*Config)) *desk {
	t.Helper()
	d := &desk{stub: &stub{}, registry: prometheus.NewRegistry()}
	c := Config{Reviews: d.stub, Registerer: d.registry}
	for _, f := range change {
		f(&c)
	}
	var err error
	if d.Authenticator, err = New(c); err != nil {
		t.Fatal(err)
	}
	return d
}

func request(ctx context.Context, authorization ...string) *http.Request {
	r := httptest.NewRequest("POST", "/", nil).WithContext(ctx)
	for _, v := range authorization {
		r.Header.Add("Authorization", v)
	}
	return r
}

// call judges a call of shop/pay with a token: the permission, or the type of the error.
func (d *desk) call(t testing.TB, token string) string {
	t.Helper()
	return d.callOf(t, token, "shop", "pay")
}

func (d *desk) callOf(t testing.TB, token, namespace, function string) string {
	t.Helper()
	return d.callFrom(t, "192.0.2.1:1234", token, namespace, function)
}

func (d *desk) callFrom(t testing.TB, address, token, namespace, function string) string {
	t.Helper()
	token = fit(token)
	r := request(t.Context(), "Bearer "+token)
	r.RemoteAddr = address
	id, err := d.Authenticate(r, nil, time.Now())
	if err == nil {
		var p auth.Permission
		if p, err = d.Authorise(t.Context(), id, namespace, function); err == nil {
			return p.String()
		}
	}
	e, ok := errors.AsType[*auth.Error](err)
	if !ok {
		t.Fatalf("an error of another type: %v", err)
	}
	if strings.Contains(e.Error(), token) {
		t.Errorf("the error has the token: %v", e)
	}
	if unavailable := e.Type == auth.TypeUnavailable; unavailable != (e.Status == 503) || unavailable != (e.RetryAfter > 0) {
		t.Errorf("%+v", e)
	}
	return e.Type
}

func (d *desk) want(t *testing.T, token, want string) {
	t.Helper()
	if got := d.call(t, token); got != want {
		t.Errorf("%s: %s, want %s", token, got, want)
	}
}

// asks checks how many questions the stub was asked in all.
func (d *desk) asks(t *testing.T, tokens, access int) {
	t.Helper()
	if gotTokens, gotAccess := d.counts(); gotTokens != tokens || gotAccess != access {
		t.Errorf("%d tokens and %d accesses were reviewed, want %d and %d", gotTokens, gotAccess, tokens, access)
	}
}

func (d *desk) metric(kind, found string) float64 {
	return testutil.ToFloat64(map[string]kindMetrics{"identity": d.identities.metrics, "permission": d.permissions.metrics}[kind].by(found))
}

func (m kindMetrics) by(found string) prometheus.Counter {
	return map[string]prometheus.Counter{"hit": m.hit, "refused": m.refused, "miss": m.miss, "stale": m.stale, "limited": m.limited, "yes": m.yes, "no": m.no, "failed": m.failed}[found]
}
