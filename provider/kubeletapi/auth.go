package kubeletapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
)

// How long answers of the API server are believed.
const (
	tokenTTL = 10 * time.Second
	allowTTL = 30 * time.Second
	denyTTL  = 5 * time.Second
)

// Guard decides who may use a handler.
type Guard struct {
	node  string
	authn authenticator.Request
	authz authorizer.Authorizer
	log   *slog.Logger
}

// NewGuard asks the API server behind client about tokens and permissions, as long as
// ctx lasts, and takes client certificates that clientCAs have signed. Both are
// required. Tokens must have been made for the API server.
func NewGuard(ctx context.Context, client kubernetes.Interface, node string, clientCAs dynamiccertificates.CAContentProvider, anonymous bool, log *slog.Logger) (*Guard, error) {
	if clientCAs == nil || len(clientCAs.CurrentCABundleContent()) == 0 {
		return nil, ErrNoClientCA
	}
	backoff := &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}
	authn, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:                          &apiserver.AnonymousAuthConfig{Enabled: anonymous},
		TokenAccessReviewClient:            client.AuthenticationV1(),
		TokenAccessReviewTimeout:           5 * time.Second,
		WebhookRetryBackoff:                backoff,
		CacheTTL:                           tokenTTL,
		ClientCertificateCAContentProvider: clientCAs,
	}.New()
	if err != nil {
		return nil, err
	}
	authz, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client.AuthorizationV1(),
		AllowCacheTTL:             allowTTL, DenyCacheTTL: denyTTL,
		WebhookRetryBackoff: backoff,
	}.New()
	if err != nil {
		return nil, err
	}
	return &Guard{node: node, authn: authn, authz: authz, log: log}, nil
}

// Wrap lets pass what is permitted: 401 for nobody, 403 for nobody who may, 503 while
// the API server cannot be asked. Refusals are logged with who asked for what.
func (g *Guard) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Clean(r.URL.Path) != strings.TrimSuffix(r.URL.Path, "/") { // what is permitted is read off the path
			g.refuse(w, r, "", http.StatusNotFound, nil)
			return
		}
		who, ok, err := g.authn.AuthenticateRequest(r)
		if err != nil || !ok {
			g.refuse(w, r, "", http.StatusUnauthorized, err)
			return
		}
		allowed, err := g.allows(r, who.User)
		switch {
		case allowed:
			next.ServeHTTP(w, r)
		case err != nil:
			g.refuse(w, r, who.User.GetName(), http.StatusServiceUnavailable, err)
		default:
			g.refuse(w, r, who.User.GetName(), http.StatusForbidden, nil)
		}
	})
}

func (g *Guard) allows(r *http.Request, who user.Info) (bool, error) {
	var failed error
	for _, p := range permissions(r) {
		decision, _, err := g.authz.Authorize(r.Context(), authorizer.AttributesRecord{
			User: who, Verb: p.verb, APIVersion: "v1", Resource: "nodes", Subresource: p.subresource,
			Name: g.node, ResourceRequest: true, Path: r.URL.Path,
		})
		if decision == authorizer.DecisionAllow {
			return true, nil
		}
		failed = errors.Join(failed, err)
	}
	return false, failed
}

func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, who string, status int, err error) {
	args := []any{"status", status, "method", r.Method, "path", r.URL.Path, "from", r.RemoteAddr}
	if who != "" {
		args = append(args, "user", who)
	}
	if err != nil {
		args = append(args, "err", err)
	}
	g.log.Warn("kubelet API: refused", args...)
	http.Error(w, http.StatusText(status), status)
}
