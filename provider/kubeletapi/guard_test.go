package kubeletapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/cert"

	"github.com/spillway-dev/spillway/internal/kubetest/apiserver"
)

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// server is a guarded handler that says "passed", behind TLS, beside a real API server.
type server struct {
	*httptest.Server
	client kubernetes.Interface
}

func newServer(t *testing.T, anonymous bool) *server {
	t.Helper()
	config := apiserver.Start(t)
	client := must[*kubernetes.Clientset](t)(kubernetes.NewForConfig(config))
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, config.CAData, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	cas, err := ClientCAsFromFile(ctx, ca)
	if err != nil {
		t.Fatal(err)
	}
	guard := must[*Guard](t)(NewGuard(ctx, client, "offline", cas, anonymous, slog.New(slog.DiscardHandler)))
	web := httptest.NewUnstartedServer(guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "passed") })))
	own, key := must2(t)(cert.GenerateSelfSignedCertKey("localhost", nil, nil))
	pair := must[tls.Certificate](t)(tls.X509KeyPair(own, key))
	web.TLS = TLS(func() (*tls.Certificate, error) { return &pair, nil })
	web.StartTLS()
	t.Cleanup(web.Close)
	return &server{web, client}
}

func must2(t *testing.T) func(a, b []byte, err error) ([]byte, []byte) {
	return func(a, b []byte, err error) ([]byte, []byte) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

// account is a service account with the given rights on the node, as "verb/subresource"
// words; it returns its token.
func (s *server) account(t *testing.T, name string, rights ...string) string {
	t.Helper()
	ctx := t.Context()
	must[*core.ServiceAccount](t)(s.client.CoreV1().ServiceAccounts("default").Create(ctx, &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{}))
	role := &rbac.ClusterRole{ObjectMeta: meta.ObjectMeta{Name: name}}
	for _, right := range rights {
		verb, sub, _ := strings.Cut(right, "/")
		role.Rules = append(role.Rules, rbac.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes/" + sub}, ResourceNames: []string{"offline"}, Verbs: []string{verb}})
	}
	must[*rbac.ClusterRole](t)(s.client.RbacV1().ClusterRoles().Create(ctx, role, meta.CreateOptions{}))
	must[*rbac.ClusterRoleBinding](t)(s.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbac.ClusterRoleBinding{
		ObjectMeta: meta.ObjectMeta{Name: name}, RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbac.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: name}},
	}, meta.CreateOptions{}))
	for _, rule := range role.Rules { // the API server knows them from a cache, and the guard remembers a refusal
		s.granted(t, "system:serviceaccount:default:"+name, rule.Verbs[0], strings.TrimPrefix(rule.Resources[0], "nodes/"))
	}
	got := must[*authentication.TokenRequest](t)(s.client.CoreV1().ServiceAccounts("default").CreateToken(ctx, name, &authentication.TokenRequest{}, meta.CreateOptions{}))
	return got.Status.Token
}

// granted waits until a user has a right on the node.
func (s *server) granted(t *testing.T, user, verb, sub string) {
	t.Helper()
	review := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{User: user,
		ResourceAttributes: &authorization.ResourceAttributes{Verb: verb, Version: "v1", Resource: "nodes", Subresource: sub, Name: "offline"}}}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if must[*authorization.SubjectAccessReview](t)(s.client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, meta.CreateOptions{})).Status.Allowed {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s may not %s nodes/%s within a minute", user, verb, sub)
		}
	}
}

func (s *server) ask(t *testing.T, method, path, token string) int {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, s.URL+path, nil))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer := must[*http.Response](t)(s.Client().Do(r))
	answer.Body.Close()
	return answer.StatusCode
}

// TestGuard asks everything as everybody.
func TestGuard(t *testing.T) {
	s := newServer(t, false)
	looker := s.account(t, "looker", "get/proxy")
	runner := s.account(t, "runner", "create/proxy")
	reader := s.account(t, "reader", "get/log")
	meter := s.account(t, "meter", "get/stats", "get/metrics")
	nobody := s.account(t, "nobody")
	const logs, exec = "/containerLogs/shop/job/main", "/exec/shop/job/main?command=id"
	for _, test := range []struct {
		who, token, method, path string
		want                     int
	}{
		{"stranger", "", "GET", "/pods", 401},
		{"forged", "not.a.token", "GET", "/pods", 401},
		{"nobody", nobody, "GET", "/pods", 403},
		{"nobody", nobody, "GET", "/healthz", 403},
		{"looker", looker, "GET", "/pods", 200},
		{"looker", looker, "GET", "/runningpods/", 200},
		{"looker", looker, "GET", logs, 200},
		{"looker", looker, "GET", exec, 403}, // a WebSocket begins like this
		{"looker", looker, "POST", exec, 403},
		{"looker", looker, "GET", "/attach/shop/job/main", 403},
		{"looker", looker, "GET", "/portForward/shop/job", 403},
		{"looker", looker, "GET", "//exec/shop/job/main", 404},
		{"looker", looker, "GET", "/pods/../exec/shop/job/main", 404},
		{"looker", looker, "GET", "/pods/%2e%2e/exec/shop/job/main", 404},
		{"runner", runner, "GET", exec, 200},
		{"runner", runner, "POST", exec, 200},
		{"runner", runner, "GET", "/portForward/shop/job", 200},
		{"runner", runner, "GET", logs, 403},
		{"reader", reader, "GET", logs, 200},
		{"reader", reader, "GET", "/pods", 403},
		{"reader", reader, "GET", exec, 403},
		{"meter", meter, "GET", "/stats/summary", 200},
		{"meter", meter, "GET", "/metrics/resource", 200},
		{"meter", meter, "GET", logs, 403},
		{"meter", meter, "GET", "/anything", 403},
	} {
		if got := s.ask(t, test.method, test.path, test.token); got != test.want {
			t.Errorf("%s: %s %s: %d, want %d", test.who, test.method, test.path, got, test.want)
		}
	}
}

// TestGuardCertificates takes certificates of the client CA alone.
func TestGuardCertificates(t *testing.T) {
	s := newServer(t, false)
	foreign, key := must2(t)(cert.GenerateSelfSignedCertKey("system:masters", nil, nil))
	pair := must[tls.Certificate](t)(tls.X509KeyPair(foreign, key))
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}}}
	defer client.CloseIdleConnections()
	answer := must[*http.Response](t)(client.Get(s.URL + "/pods"))
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a foreign certificate: %d", answer.StatusCode)
	}
}

// TestGuardNeedsCA: without a way to tell callers apart there is no API.
func TestGuardNeedsCA(t *testing.T) {
	if _, err := NewGuard(t.Context(), nil, "offline", nil, true, slog.Default()); err == nil || !strings.Contains(err.Error(), "--client-ca-file") {
		t.Errorf("got %v", err)
	}
}
