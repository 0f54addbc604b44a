package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	rbacclient "k8s.io/client-go/kubernetes/typed/rbac/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/internal/freeport"
	"github.com/spillway-dev/spillway/internal/kubetest"
)

// cluster is a real API server, without nodes.
type cluster struct {
	env    *envtest.Environment
	core   *coreclient.CoreV1Client
	rbac   *rbacclient.RbacV1Client
	config *rest.Config // of Spillway's own service account
}

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newCluster starts an API server, in which Spillway's service account may ask for
// reviews and nothing else.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	env := &envtest.Environment{BinaryAssetsDirectory: kubetest.Assets(t), ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	server := env.ControlPlane.GetAPIServer()
	server.CertDir, server.SecureServing.Address, server.SecureServing.Port = t.TempDir(), "127.0.0.1", freeport.Of(t, 1)[0] // they outlive a stop
	admin := must[*rest.Config](t)(env.Start())
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin.QPS = -1
	c := &cluster{env: env, core: must[*coreclient.CoreV1Client](t)(coreclient.NewForConfig(admin)), rbac: must[*rbacclient.RbacV1Client](t)(rbacclient.NewForConfig(admin))}
	c.tenant(t, "spillway-system", "dispatcher")
	must[*rbac.ClusterRoleBinding](t)(c.rbac.ClusterRoleBindings().Create(t.Context(), &rbac.ClusterRoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: "spillway-reviews"}, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
		Subjects: []rbac.Subject{{Kind: "ServiceAccount", Namespace: "spillway-system", Name: "dispatcher"}},
	}, meta.CreateOptions{}))
	c.config = rest.AnonymousClientConfig(admin)
	c.config.BearerToken = c.token(t, "spillway-system", "dispatcher")
	some, reviews := c.token(t, "spillway-system", "dispatcher", DefaultAudience), must[*Reviews](t)(NewReviews(c.config))
	soon(t, "a review", func() bool { // the API server knows rights from a cache
		_, err := reviews.ReviewToken(t.Context(), some, []string{DefaultAudience})
		return err == nil
	})
	return c
}

// tenant makes a namespace with a service account.
func (c *cluster) tenant(t *testing.T, namespace, account string) {
	t.Helper()
	must[*core.Namespace](t)(c.core.Namespaces().Create(t.Context(), &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: namespace}}, meta.CreateOptions{}))
	must[*core.ServiceAccount](t)(c.core.ServiceAccounts(namespace).Create(t.Context(), &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: account}}, meta.CreateOptions{}))
}

// token is one of a service account, for the API server itself if no audience is named.
func (c *cluster) token(t *testing.T, namespace, account string, audiences ...string) string {
	t.Helper()
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{Audiences: audiences}}
	return must[*authentication.TokenRequest](t)(c.core.ServiceAccounts(namespace).CreateToken(t.Context(), account, request, meta.CreateOptions{})).Status.Token
}

// permit lets a service account invoke functions of a namespace, all if none is named.
func (c *cluster) permit(t *testing.T, namespace string, account rbac.Subject, names ...string) {
	t.Helper()
	c.bind(t, namespace, account, rbac.PolicyRule{Verbs: []string{"invoke"}, APIGroups: []string{"spillway.dev"}, Resources: []string{"functions"}, ResourceNames: names})
}

func (c *cluster) bind(t *testing.T, namespace string, account rbac.Subject, rule rbac.PolicyRule) {
	t.Helper()
	name := meta.ObjectMeta{GenerateName: "invoker-"}
	role := must[*rbac.Role](t)(c.rbac.Roles(namespace).Create(t.Context(), &rbac.Role{ObjectMeta: name, Rules: []rbac.PolicyRule{rule}}, meta.CreateOptions{}))
	c.bindTo(t, namespace, account, rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: role.Name})
}

func (c *cluster) bindTo(t *testing.T, namespace string, account rbac.Subject, role rbac.RoleRef) {
	t.Helper()
	must[*rbac.RoleBinding](t)(c.rbac.RoleBindings(namespace).Create(t.Context(), &rbac.RoleBinding{
		ObjectMeta: meta.ObjectMeta{GenerateName: "invokers-"}, RoleRef: role, Subjects: []rbac.Subject{account}}, meta.CreateOptions{}))
}

func accountOf(namespace, name string) rbac.Subject {
	return rbac.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

// quick remembers for so short a time that a test can wait for its end.
func quick(l limits) limits {
	l.fresh, l.refusal, l.outage = time.Second, 100*time.Millisecond, 30*time.Second
	return l
}

func (c *cluster) authenticator(t *testing.T, identities, permissions limits) *desk {
	t.Helper()
	reviews := must[*Reviews](t)(NewReviews(c.config))
	d := &desk{registry: prometheus.NewRegistry()}
	d.Authenticator = must[*Authenticator](t)(newAuthenticator(Config{Reviews: reviews, Registerer: d.registry}, identities, permissions))
	return d
}

// TestAPIServer judges by a real TokenReview and a real RBAC.
func TestAPIServer(t *testing.T) {
	c := newCluster(t)
	t.Run("tokens", c.testTokens)
	t.Run("permissions", c.testPermissions)
	t.Run("revoked", c.testRevoked)
	t.Run("tenants", c.testTenants)
	t.Run("strangers", c.testStrangers)
	t.Run("nodes", c.testNodes)
	t.Run("outage", c.testOutage) // last: the administrator's certificate is of no use after it
}

// forged is a token with another signature.
func forged(token string) string {
	at := len(token) - 2 // the last letter is not all signature
	other := "A"
	if token[at] == 'A' {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

// testTokens knows service accounts by tokens for our audience only.
func (c *cluster) testTokens(t *testing.T) {
	c.tenant(t, "tokens", "web")
	d := c.authenticator(t, ofIdentities, ofPermissions)
	good := c.token(t, "tokens", "web", DefaultAudience)
	id := must[auth.Identity](t)(d.Authenticate(request(t.Context(), "Bearer "+good), nil, time.Now()))
	if id.Name != "system:serviceaccount:tokens:web" || id.Stale || len(id.Invoke) != 0 {
		t.Errorf("%+v", id)
	}
	if s := id.Subject.(*subject); !slices.Contains(s.user.Groups, "system:serviceaccounts:tokens") || s.user.UID == "" {
		t.Errorf("known as %+v", s.user)
	}
	if end := expiry(good); time.Until(end) < 50*time.Minute || time.Until(end) > 70*time.Minute {
		t.Errorf("the token ends %s", end)
	}
	if end := d.identities.good.Values()[0].answer.ends; end.IsZero() {
		t.Error("the token's end is not remembered")
	}
	both := c.token(t, "tokens", "web", "else.example", DefaultAudience)
	must[auth.Identity](t)(d.Authenticate(request(t.Context(), "Bearer "+both), nil, time.Now()))
	for name, token := range map[string]string{
		"without an audience":   c.token(t, "tokens", "web"),
		"for another audience":  c.token(t, "tokens", "web", "else.example"),
		"with another ending":   forged(good),
		"without its signature": good[:len(good)-81],
		"nonsense":              "non.sense",
	} {
		if got := d.callOf(t, token, "tokens", "pay"); got != auth.TypeUnrecognizedClient {
			t.Errorf("a token %s: %s", name, got)
		}
	}
	if unfit, no := testutil.ToFloat64(d.unfit), d.metric("identity", "no"); unfit != 3 || no != 2 {
		t.Errorf("%v tokens were refused without a review and %v by one, want 3 and 2", unfit, no)
	}
}

// testStrangers has more forged tokens than one address may send, as many at once as a
// connection each: who is known is not held up, and what is new of others is known.
func (c *cluster) testStrangers(t *testing.T) {
	c.tenant(t, "strangers", "web")
	c.permit(t, "strangers", accountOf("strangers", "web"))
	d := c.authenticator(t, quick(ofIdentities), quick(ofPermissions))
	known, fresh := c.token(t, "strangers", "web", DefaultAudience), c.token(t, "strangers", "web", DefaultAudience)
	soon(t, "allowed", func() bool { return d.callOf(t, known, "strangers", "pay") == "allowed" })
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var mu sync.Mutex
	said := map[string]int{}
	began := time.Now()
	for i := range 100 {
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				time.Sleep(10 * time.Millisecond) // and leave the API server a part of the machine
				got := d.callFrom(t, fmt.Sprintf("192.0.2.9:%d", i+1), fmt.Sprintf("%s%06d%06d", fresh[:len(fresh)-20], i, n), "strangers", "pay")
				mu.Lock()
				said[got]++
				mu.Unlock()
			}
		})
	}
	refused := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return d.metric("identity", "no") >= strangerBurst && said[auth.TypeUnavailable] > 0
	}
	for time.Since(began) < 3*time.Second || !refused() && time.Since(began) < time.Minute {
		time.Sleep(5 * time.Millisecond)
		if got := d.callOf(t, known, "strangers", "pay"); got != "allowed" {
			t.Errorf("who is known: %s", got)
		}
	}
	soon(t, "known, who is new", func() bool { return d.callOf(t, fresh, "strangers", "pay") == "allowed" })
	stop()
	load.Wait()
	most := strangerBurst + strangerRate*time.Since(began).Seconds()
	if asked := d.metric("identity", "no"); asked > most || asked < strangerBurst || said["allowed"] > 0 || said[auth.TypeUnavailable] == 0 {
		t.Errorf("%v forged tokens were reviewed, at most %v should be: %v", asked, most, said)
	}
}

// testPermissions wants the verb invoke on functions of our group, by namespace or name;
// what else a caller may do with functions or the namespace is not enough.
func (c *cluster) testPermissions(t *testing.T) {
	d := c.authenticator(t, ofIdentities, ofPermissions)
	c.tenant(t, "rights", "all")
	roles := map[string]func(rbac.Subject){
		"all":   func(a rbac.Subject) { c.permit(t, "rights", a) },
		"named": func(a rbac.Subject) { c.permit(t, "rights", a, "pay") },
		"owner": func(a rbac.Subject) {
			c.bind(t, "rights", a, rbac.PolicyRule{Verbs: []string{"get", "create", "update", "delete"}, APIGroups: []string{"spillway.dev"}, Resources: []string{"functions"}})
		},
		"group": func(a rbac.Subject) {
			c.bind(t, "rights", a, rbac.PolicyRule{Verbs: []string{"invoke"}, APIGroups: []string{"apps"}, Resources: []string{"functions"}})
		},
		"sub": func(a rbac.Subject) {
			c.bind(t, "rights", a, rbac.PolicyRule{Verbs: []string{"invoke"}, APIGroups: []string{"spillway.dev"}, Resources: []string{"functions/logs"}})
		},
		"admin": func(a rbac.Subject) {
			c.bindTo(t, "rights", a, rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "admin"})
		},
		"nobody": func(rbac.Subject) {},
	}
	tokens := map[string]string{}
	for name, give := range roles {
		if name != "all" {
			must[*core.ServiceAccount](t)(c.core.ServiceAccounts("rights").Create(t.Context(), &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{}))
		}
		give(accountOf("rights", name))
		tokens[name] = c.token(t, "rights", name, DefaultAudience)
	}
	for _, test := range []struct{ who, namespace, function, want string }{
		{"all", "rights", "pay", "allowed"}, {"all", "rights", "ship", "allowed"}, {"all", "tokens", "pay", "denied"}, {"all", "nowhere", "pay", "denied"},
		{"named", "rights", "pay", "allowed"}, {"named", "rights", "ship", "denied"},
		{"owner", "rights", "pay", "denied"}, {"group", "rights", "pay", "denied"}, {"sub", "rights", "pay", "denied"},
		{"admin", "rights", "pay", "denied"}, {"nobody", "rights", "pay", "denied"},
	} {
		soon(t, fmt.Sprintf("%+v", test), func() bool { return d.callOf(t, tokens[test.who], test.namespace, test.function) == test.want })
	}
}

// testRevoked takes a right and an account away: both are felt.
func (c *cluster) testRevoked(t *testing.T) {
	c.tenant(t, "revoked", "web")
	d := c.authenticator(t, quick(ofIdentities), quick(ofPermissions))
	c.permit(t, "revoked", accountOf("revoked", "web"))
	token := c.token(t, "revoked", "web", DefaultAudience)
	soon(t, "allowed", func() bool { return d.callOf(t, token, "revoked", "pay") == "allowed" })
	if err := c.rbac.RoleBindings("revoked").DeleteCollection(t.Context(), meta.DeleteOptions{}, meta.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	soon(t, "denied", func() bool { return d.callOf(t, token, "revoked", "pay") == "denied" })
	if err := c.core.ServiceAccounts("revoked").Delete(t.Context(), "web", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	soon(t, "unknown", func() bool { return d.callOf(t, token, "revoked", "pay") == auth.TypeUnrecognizedClient })
}

// soon asks until it is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// testOutage stops the API server: who is known goes on, on-prem; then nobody; and with
// the API server all is as before, without one refusal for good in between.
func (c *cluster) testOutage(t *testing.T) {
	c.tenant(t, "outage", "web")
	c.permit(t, "outage", accountOf("outage", "web"))
	known, fresh := c.token(t, "outage", "web", DefaultAudience), c.token(t, "outage", "web", DefaultAudience)
	identities, permissions := quick(ofIdentities), quick(ofPermissions)
	d := c.authenticator(t, identities, permissions)
	call := func() string { return d.callOf(t, known, "outage", "pay") }
	soon(t, "allowed", func() bool { return call() == "allowed" })

	server := c.env.ControlPlane.GetAPIServer()
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	soon(t, "stale", func() bool { return call() == "allowed_stale" })
	for what, got := range map[string]string{"a new token": d.callOf(t, fresh, "outage", "pay"), "another function": d.callOf(t, known, "outage", "ship"), "a forged token": d.callOf(t, forged(fresh), "outage", "pay")} {
		if got != auth.TypeUnavailable {
			t.Errorf("%s: %s", what, got)
		}
	}
	said := map[string]int{}
	soon(t, "unavailable", func() bool { got := call(); said[got]++; return got == auth.TypeUnavailable })
	if said["allowed_stale"] == 0 {
		t.Errorf("%v", said)
	}

	// Known again, and stale again: then the API server comes back under load.
	identities.outage, permissions.outage = ofIdentities.outage, ofPermissions.outage // a restart may take long
	d = c.authenticator(t, identities, permissions)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	soon(t, "allowed again", func() bool { return call() == "allowed" })
	var mu sync.Mutex
	clear(said)
	ctx, cancel := context.WithCancelCause(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ; ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
				got := call()
				mu.Lock()
				said[got]++
				mu.Unlock()
			}
		})
	}
	if err := errors.Join(server.Stop(), server.Start()); err != nil {
		t.Error(err)
	}
	soon(t, "new tokens known", func() bool { return d.callOf(t, fresh, "outage", "pay") == "allowed" })
	cancel(nil)
	load.Wait()
	t.Logf("while it restarted: %v", said)
	if said["allowed"]+said["allowed_stale"] == 0 || said["denied"]+said[auth.TypeUnrecognizedClient] > 0 {
		t.Errorf("while it restarted: %v", said)
	}
}
