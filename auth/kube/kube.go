// Package kube authenticates callers by the bearer tokens of a Kubernetes cluster and
// lets its RBAC say what they may invoke.
//
// A token is judged by a TokenReview for our audience, a call by a
// SubjectAccessReview: verb invoke, resource functions, group spillway.dev, with the
// namespace and the name of the function. Answers are remembered:
//
//	                        yes    no    yes, if the API server cannot be asked
//	who a token belongs to  60 s   5 s   5 min, but not beyond the token's own end
//	what they may invoke    30 s   5 s   5 min, only for calls on-prem
//
// So what is revoked may be used for 90 s more, and while the API server is away for
// 5 minutes more and on-prem only. Who is not remembered is told to try again. What is
// in use is looked up again before its time is over, beside the request that shows it.
//
// Strangers are kept from using up what callers need. A token is reviewed only if it is
// a JWT that names our audience and has not ended; one address has 50 unknown tokens a
// second reviewed, after 200 at once; what is remembered is renewed in places of its own,
// and takes no bad token's place. Tokens are kept as digests, and go to nobody but the
// API server.
package kube

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"
	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"

	"github.com/spillway-dev/spillway/auth"
)

// DefaultAudience is what the tokens of callers are made for.
const DefaultAudience = "spillway.dev"

const (
	maxToken = 16 << 10 // bytes
	maxName  = 512      // bytes of a user name
	// retryAfter is what callers are told that the API server cannot be asked about.
	retryAfter = 2 * time.Second
)

// Reviewer asks the cluster's API server. An error is for not having an answer.
type Reviewer interface {
	ReviewToken(ctx context.Context, token string, audiences []string) (*authentication.TokenReviewStatus, error)
	ReviewAccess(context.Context, *authorization.SubjectAccessReviewSpec) (*authorization.SubjectAccessReviewStatus, error)
}

// Config is what an Authenticator needs.
type Config struct {
	Reviews    Reviewer
	Audience   string // empty: DefaultAudience
	Registerer prometheus.Registerer
	Logger     *slog.Logger // nil: nothing is logged
}

// Authenticator knows callers by bearer tokens. It is safe for concurrent use.
type Authenticator struct {
	reviews     Reviewer
	audiences   []string
	strangers   *strangers
	unfit       prometheus.Counter // tokens that are refused without a review
	identities  *memory[*subject]
	permissions *memory[struct{}]
}

// subject is whom a token belongs to, as the API server says.
type subject struct {
	digest key // of all the rest
	user   authentication.UserInfo
}

// How much is remembered, and for how long.
var (
	ofIdentities  = limits{kind: "identity", yes: 10_000, no: 4_000, fresh: 60 * time.Second, refusal: 5 * time.Second, outage: 5 * time.Minute}
	ofPermissions = limits{kind: "permission", yes: 50_000, no: 4_000, fresh: 30 * time.Second, refusal: 5 * time.Second, outage: 5 * time.Minute}
)

// New returns an Authenticator, or an error if c lacks something or its metrics cannot
// be registered.
func New(c Config) (*Authenticator, error) { return newAuthenticator(c, ofIdentities, ofPermissions) }

func newAuthenticator(c Config, ofIdentities, ofPermissions limits) (*Authenticator, error) {
	if c.Reviews == nil || c.Registerer == nil {
		return nil, errors.New("auth/kube: an Authenticator needs Reviews and a Registerer")
	}
	if c.Audience == "" {
		c.Audience = DefaultAudience
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(c.Registerer)
	if err != nil {
		return nil, err
	}
	silent := new(silence)
	return &Authenticator{
		reviews: c.Reviews, audiences: []string{c.Audience}, strangers: newStrangers(),
		unfit:       m.lookups.WithLabelValues(ofIdentities.kind, "unfit"),
		identities:  newMemory[*subject](ofIdentities, m, silent, c.Logger),
		permissions: newMemory[struct{}](ofPermissions, m, silent, c.Logger),
	}, nil
}

func (a *Authenticator) wanted() string {
	return "send the bearer token of a service account, projected for the audience " + a.audiences[0]
}

// Authenticate returns whose token r carries, by its user name in the cluster. The body
// does not matter. Errors are *auth.Error.
func (a *Authenticator) Authenticate(r *http.Request, _ []byte, _ time.Time) (auth.Identity, error) {
	token, err := a.bearer(r.Header["Authorization"])
	if err != nil {
		return auth.Identity{}, err
	}
	now := time.Now()
	if !reviewable(token, a.audiences[0], now) {
		a.unfit.Inc()
		return auth.Identity{}, a.unknown()
	}
	found, err := a.identities.look(r.Context(), sha256.Sum256([]byte(token)), question[*subject]{
		ask:    func(ctx context.Context) (answer[*subject], error) { return a.reviewToken(ctx, token) },
		mayAsk: func() bool { return a.strangers.admit(r.RemoteAddr, now) },
	})
	switch {
	case errors.Is(err, errTooMany):
		return auth.Identity{}, auth.Unavailable("too many unknown tokens come from this address; nothing ran, try again", retryAfter)
	case err != nil:
		return auth.Identity{}, auth.Unavailable("the cluster's API server cannot be asked now whose token this is; nothing ran, try again", retryAfter)
	case !found.good:
		return auth.Identity{}, a.unknown()
	}
	return auth.Identity{Name: found.value.user.Username, Stale: found.stale, Subject: found.value}, nil
}

// unknown is the refusal of a token.
func (a *Authenticator) unknown() error {
	return auth.Refuse(auth.TypeUnrecognizedClient, "the cluster does not know the bearer token, or it has ended or is for another audience; "+a.wanted())
}

// bearer returns the one bearer token of Authorization headers.
func (a *Authenticator) bearer(values []string) (string, error) {
	const prefix = "Bearer "
	switch {
	case len(values) == 0:
		return "", auth.Refuse(auth.TypeMissingToken, "the request has no Authorization header; "+a.wanted())
	case len(values) > 1:
		return "", auth.Refuse(auth.TypeIncompleteSignature, "the request has more than one Authorization header; send one")
	case len(values[0]) <= len(prefix) || !strings.EqualFold(values[0][:len(prefix)], prefix):
		return "", auth.Refuse(auth.TypeIncompleteSignature, "the Authorization header has an unknown scheme; "+a.wanted())
	}
	token := values[0][len(prefix):]
	if len(token) > maxToken || strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "", auth.Refuse(auth.TypeIncompleteSignature, "the bearer token is longer than 16 KiB or has characters that no token has; "+a.wanted())
	}
	return token, nil
}

// reviewToken asks for good whose a token is. API servers that know nothing of
// audiences answer without any.
func (a *Authenticator) reviewToken(ctx context.Context, token string) (answer[*subject], error) {
	status, err := a.reviews.ReviewToken(ctx, token, a.audiences)
	if err != nil {
		return answer[*subject]{}, err
	}
	if !status.Authenticated || !slices.Contains(status.Audiences, a.audiences[0]) || !nameable(status.User.Username) {
		return answer[*subject]{}, nil
	}
	return answer[*subject]{value: newSubject(status.User), good: true, ends: expiry(token)}, nil
}

// nameable reports that a user name may be on ledger lines and in headers.
func nameable(name string) bool {
	return name != "" && len(name) <= maxName && !strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar })
}

// Authorise asks the cluster's RBAC whether the identity, which Authenticate returned,
// may invoke a function. Errors are *auth.Error.
func (a *Authenticator) Authorise(ctx context.Context, id auth.Identity, namespace, function string) (auth.Permission, error) {
	s, ours := id.Subject.(*subject)
	if !ours {
		return auth.Denied, nil
	}
	found, err := a.permissions.look(ctx, s.asking(namespace, function), question[struct{}]{ask: func(ctx context.Context) (answer[struct{}], error) {
		status, err := a.reviews.ReviewAccess(ctx, s.access(namespace, function))
		if err != nil {
			return answer[struct{}]{}, err
		}
		return answer[struct{}]{good: status.Allowed && !status.Denied}, nil
	}})
	switch {
	case err != nil:
		return auth.Denied, auth.Unavailable("the cluster's API server cannot be asked now what "+id.Name+" may invoke; nothing ran, try again", retryAfter)
	case !found.good:
		return auth.Denied, nil
	case found.stale || id.Stale:
		return auth.AllowedStale, nil
	}
	return auth.Allowed, nil
}

func newSubject(user authentication.UserInfo) *subject {
	text, err := json.Marshal(user) // maps in the order of their keys
	if err != nil {                 // strings only: nothing can fail to be written
		panic(err)
	}
	return &subject{digest: sha256.Sum256(text), user: user}
}

// asking is the key of a permission.
func (s *subject) asking(namespace, function string) key {
	var buffer [256]byte
	text := append(buffer[:0], s.digest[:]...)
	text = binary.AppendUvarint(text, uint64(len(namespace)))
	text = append(append(text, namespace...), function...)
	return sha256.Sum256(text)
}

// access is what the API server is asked about a function.
func (s *subject) access(namespace, function string) *authorization.SubjectAccessReviewSpec {
	extra := make(map[string]authorization.ExtraValue, len(s.user.Extra))
	for name, values := range s.user.Extra {
		extra[name] = authorization.ExtraValue(values)
	}
	return &authorization.SubjectAccessReviewSpec{
		User: s.user.Username, UID: s.user.UID, Groups: s.user.Groups, Extra: extra,
		ResourceAttributes: &authorization.ResourceAttributes{
			Namespace: namespace, Verb: "invoke", Group: "spillway.dev", Version: "v1alpha1", Resource: "functions", Name: function,
		},
	}
}
