package kube

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	authorization "k8s.io/api/authorization/v1"

	"github.com/spillway-dev/spillway/auth"
)

// TestBearer takes exactly one bearer token, and no name from any header.
func TestBearer(t *testing.T) {
	for name, test := range map[string]struct {
		headers []string
		refused string
	}{
		"token":       {[]string{"Bearer " + fit("token-web")}, ""},
		"other case":  {[]string{"bearer " + fit("token-web")}, ""},
		"none":        {nil, auth.TypeMissingToken},
		"empty":       {[]string{"Bearer "}, auth.TypeIncompleteSignature},
		"two":         {[]string{"Bearer token-web", "Bearer token-web"}, auth.TypeIncompleteSignature},
		"basic":       {[]string{"Basic dXNlcjpwYXNz"}, auth.TypeIncompleteSignature},
		"signed":      {[]string{"AWS4-HMAC-SHA256 Credential=token-web"}, auth.TypeIncompleteSignature},
		"two in one":  {[]string{"Bearer token-web, Bearer token-web"}, auth.TypeIncompleteSignature},
		"odd bytes":   {[]string{"Bearer token-w\x80b"}, auth.TypeIncompleteSignature},
		"huge":        {[]string{"Bearer token-" + strings.Repeat("x", maxToken)}, auth.TypeIncompleteSignature},
		"long name":   {[]string{"Bearer " + fit("token-"+strings.Repeat("x", maxName+1))}, auth.TypeUnrecognizedClient},
		"not a token": {[]string{"Bearer else"}, auth.TypeUnrecognizedClient},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			r := request(t.Context(), test.headers...)
			for _, forged := range []string{"X-Remote-User", "X-Forwarded-User", "X-Spillway-Caller", "Impersonate-User"} {
				r.Header.Set(forged, "system:admin")
			}
			id, err := d.Authenticate(r, nil, time.Now())
			if e, _ := err.(*auth.Error); test.refused != "" && (e == nil || e.Type != test.refused || e.Status != 403 || id.Name != "") {
				t.Errorf("%q, %v; want %s", id.Name, err, test.refused)
			}
			if test.refused == "" && (err != nil || id.Name != "web" || id.Stale) {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
}

// TestAudience refuses tokens of an API server that looks at no audience, and asks for
// the one that was configured.
func TestAudience(t *testing.T) {
	d := newDesk(t)
	d.ignorant = true
	d.want(t, "token-web", auth.TypeUnrecognizedClient)
	if _, access := d.counts(); access != 0 {
		t.Error("access of a stranger was reviewed")
	}
	other := newDesk(t, func(c *Config) { c.Audience = "faas.example" })
	other.want(t, "token-web", "allowed")
	if _, err := other.Authenticate(request(t.Context()), nil, time.Now()); err == nil || !strings.Contains(err.Error(), "faas.example") {
		t.Errorf("the audience is not said: %v", err)
	}
}

// TestAccessQuestion asks about exactly the function of the call, for all that is known
// of the caller.
func TestAccessQuestion(t *testing.T) {
	d := newDesk(t)
	d.want(t, "token-web", "allowed")
	got, want := fmt.Sprintf("%+v", *d.asked), fmt.Sprintf("%+v", authorization.SubjectAccessReviewSpec{
		ResourceAttributes: d.asked.ResourceAttributes, User: "web", UID: "uid-web", Groups: []string{"all"}, Extra: map[string]authorization.ExtraValue{"pod": {"p"}}})
	if got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	if a := *d.asked.ResourceAttributes; a != (authorization.ResourceAttributes{Namespace: "shop", Verb: "invoke", Group: "spillway.dev", Version: "v1alpha1", Resource: "functions", Name: "pay"}) {
		t.Errorf("asked %+v", a)
	}
}

// TestOthersIdentity has no permission: this Authenticator did not return it.
func TestOthersIdentity(t *testing.T) {
	d := newDesk(t)
	for _, subject := range []any{nil, "web", (**subject)(nil)} {
		if p, err := d.Authorise(t.Context(), auth.Identity{Name: "web", Invoke: []string{"*"}, Subject: subject}, "shop", "pay"); p != auth.Denied || err != nil {
			t.Errorf("%v: %s, %v", subject, p, err)
		}
	}
	d.asks(t, 0, 0)
}

// TestRemembered counts questions over time: what is not in use is asked again when it
// is 60 s, 30 s or, if the answer was no, 5 s old.
func TestRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.may = func(s *authorization.SubjectAccessReviewSpec) bool { return s.ResourceAttributes.Name == "pay" }
		for _, step := range []struct {
			after          time.Duration
			token, name    string
			want           string
			tokens, access int
		}{
			{0, "token-web", "pay", "allowed", 1, 1},
			{10 * time.Second, "token-web", "pay", "allowed", 1, 1},
			{21 * time.Second, "token-web", "pay", "allowed", 1, 2}, // 31 s
			{30 * time.Second, "token-web", "pay", "allowed", 2, 3}, // 61 s
			{0, "token-web", "other", "denied", 2, 4},
			{4 * time.Second, "token-web", "other", "denied", 2, 4},
			{2 * time.Second, "token-web", "other", "denied", 2, 5},
			{0, "nonsense", "pay", auth.TypeUnrecognizedClient, 3, 5},
			{4 * time.Second, "nonsense", "pay", auth.TypeUnrecognizedClient, 3, 5},
			{2 * time.Second, "nonsense", "pay", auth.TypeUnrecognizedClient, 4, 5},
		} {
			time.Sleep(step.after)
			if got := d.callOf(t, step.token, "shop", step.name); got != step.want {
				t.Errorf("%+v: %s", step, got)
			}
			d.asks(t, step.tokens, step.access)
		}
		for kind, want := range map[string][4]float64{"identity": {5, 1, 4, 0}, "permission": {1, 1, 5, 0}} {
			got := [4]float64{d.metric(kind, "hit"), d.metric(kind, "refused"), d.metric(kind, "miss"), d.metric(kind, "stale")}
			if got != want {
				t.Errorf("%s: hit, refused, miss and stale are %v, want %v", kind, got, want)
			}
		}
		if yes, no := d.metric("identity", "yes"), d.metric("identity", "no"); yes != 2 || no != 2 {
			t.Errorf("%v tokens were good and %v were not", yes, no)
		}
	})
}

// TestKeysAreApart: what one may invoke says nothing of another, nor of a namespace and
// a name that read the same one after the other.
func TestKeysAreApart(t *testing.T) {
	d := newDesk(t)
	d.may = func(s *authorization.SubjectAccessReviewSpec) bool {
		return s.User == "web" && s.ResourceAttributes.Namespace == "shop" && s.ResourceAttributes.Name == "pay"
	}
	for _, test := range []struct{ token, namespace, name, want string }{
		{"token-web", "shop", "pay", "allowed"},
		{"token-web", "shopp", "ay", "denied"},
		{"token-web", "sho", "ppay", "denied"},
		{"token-web", "pay", "shop", "denied"},
		{"token-batch", "shop", "pay", "denied"},
		{"token-web", "shop", "pay", "allowed"},
	} {
		if got := d.callOf(t, test.token, test.namespace, test.name); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// TestInUseIsNotWaitedFor has reviews take two seconds: only the first call waits, for
// as long as there is one every second.
func TestInUseIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.takes = 2 * time.Second
		d.want(t, "token-web", "allowed")
		for range 300 {
			time.Sleep(time.Second)
			before := time.Now()
			d.want(t, "token-web", "allowed")
			if waited := time.Since(before); waited != 0 {
				t.Fatalf("waited %s", waited)
			}
		}
		time.Sleep(2 * d.takes) // reviews that nobody waits for end
		if tokens, access := d.counts(); tokens < 5 || tokens > 8 || access < 10 || access > 15 {
			t.Errorf("%d tokens and %d accesses reviewed in 5 minutes", tokens, access)
		}
	})
}

// TestRevoked is felt after 60 s for a token and 30 s for a permission, in use or not.
func TestRevoked(t *testing.T) {
	for _, busy := range []bool{false, true} {
		for what, revoke := range map[string]struct {
			do    func(*stub)
			want  string
			after time.Duration
		}{
			"token":      {func(s *stub) { s.revoked = []string{"token-web"} }, auth.TypeUnrecognizedClient, 60 * time.Second},
			"permission": {func(s *stub) { s.may = func(*authorization.SubjectAccessReviewSpec) bool { return false } }, "denied", 30 * time.Second},
		} {
			t.Run(fmt.Sprintf("%s, busy %t", what, busy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDesk(t)
					d.want(t, "token-web", "allowed")
					began := time.Now()
					d.with(func() { revoke.do(d.stub) })
					for busy && time.Since(began) < revoke.after {
						d.call(t, "token-web")
						time.Sleep(time.Second)
						synctest.Wait()
					}
					time.Sleep(revoke.after - time.Since(began))
					d.want(t, "token-web", revoke.want)
				})
			})
		}
	}
}

// TestTogether asks once for what many want at once, also when the first of them goes.
func TestTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.takes = time.Second
		first, goes := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := d.Authenticate(request(first, "Bearer "+fit("token-web")), nil, time.Now()); err == nil {
				t.Error("one that has gone is known")
			}
		})
		synctest.Wait()
		for range 100 {
			all.Go(func() { d.want(t, "token-web", "allowed") })
		}
		synctest.Wait()
		goes()
		all.Wait()
		d.asks(t, 1, 1)
	})
}

// TestStrangersPushNobodyOut sends more bad tokens, and asks for more functions that are
// denied, than are remembered: who is known stays known.
func TestStrangersPushNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{stub: new(stub)}
		ofIdentities, ofPermissions := ofIdentities, ofPermissions
		ofIdentities.yes, ofIdentities.no, ofPermissions.yes, ofPermissions.no = 10, 5, 10, 5
		var err error
		d.Authenticator, err = newAuthenticator(Config{Reviews: d.stub, Registerer: prometheus.NewRegistry()}, ofIdentities, ofPermissions)
		if err != nil {
			t.Fatal(err)
		}
		d.may = func(s *authorization.SubjectAccessReviewSpec) bool { return s.ResourceAttributes.Name == "pay" }
		d.want(t, "token-web", "allowed")
		for i := range 100 {
			d.want(t, fmt.Sprintf("random-%d", i), auth.TypeUnrecognizedClient)
			if got := d.callOf(t, "token-web", "shop", fmt.Sprintf("guess-%d", i)); got != "denied" {
				t.Error(got)
			}
		}
		d.gone = true // so that it is known from memory only
		d.want(t, "token-web", "allowed")
		if good, bad := d.identities.good.Len(), d.identities.bad.Len(); good != 1 || bad != 5 {
			t.Errorf("%d good tokens and %d bad ones are remembered", good, bad)
		}
		if good, bad := d.permissions.good.Len(), d.permissions.bad.Len(); good != 1 || bad != 5 {
			t.Errorf("%d permissions and %d denials are remembered", good, bad)
		}
		for i := range 20 {
			d.gone = false
			d.want(t, fmt.Sprintf("token-%d", i), "allowed")
		}
		if n := d.identities.good.Len(); n != 10 {
			t.Errorf("%d good tokens are remembered", n)
		}
	})
}

// TestNoTokenIsKept looks for a token in the log, in the metrics' names and in what is
// remembered.
func TestNoTokenIsKept(t *testing.T) {
	var log bytes.Buffer
	d := newDesk(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	token := fit("token-web") + "canary-of-a-token"
	d.want(t, token, "allowed")
	d.gone = true
	d.want(t, token+"2", auth.TypeUnavailable)
	families, err := d.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := d.Authenticate(request(t.Context(), "Bearer "+token), nil, time.Now())
	kept := fmt.Sprintf("%s %+v %+v %v %+v", log.String(), id, id.Subject, families, d.identities.good.Values()[0].answer.value)
	if strings.Contains(kept, "canary") {
		t.Errorf("a token is in %s", kept)
	}
}

func TestNewNeeds(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := New(Config{Registerer: registry}); err == nil {
		t.Error("without Reviews")
	}
	if _, err := New(Config{Reviews: &stub{}}); err == nil {
		t.Error("without a Registerer")
	}
	if _, err := New(Config{Reviews: &stub{}, Registerer: registry}); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Reviews: &stub{}, Registerer: registry}); err == nil {
		t.Error("its metrics are registered twice")
	}
}

func BenchmarkKnown(b *testing.B) {
	d := newDesk(b)
	r := request(b.Context(), "Bearer "+fit("token-web")+strings.Repeat("x", 1000))
	b.ReportAllocs()
	for b.Loop() {
		id, err := d.Authenticate(r, nil, time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		if p, err := d.Authorise(b.Context(), id, "shop", "pay"); p == auth.Denied || err != nil {
			b.Fatal(p, err)
		}
	}
}
