// Package auth says who a request comes from and what that identity may invoke.
//
// An identity comes from a credential only: an AWS Signature Version 4 made with
// a configured key, or a bearer token. No header can name an identity. The
// signature check itself is in auth/sigv4, so that this package needs no SDK.
package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// maxToken bounds a bearer token in bytes.
const maxToken = 256

// minToken and minSecret refuse credentials that can be guessed.
const (
	minToken  = 16
	minSecret = 16
)

// AnonymousName is the identity of requests without credentials, where allowed.
const AnonymousName = "anonymous"

const (
	bearerPrefix = "Bearer "
	signedPrefix = "AWS4-HMAC-SHA256"
)

// Key is an access key as an AWS SDK signs with.
type Key struct {
	AccessKeyID string
	Secret      string
	Identity    Identity
}

// Token is a bearer token, 16 to 256 bytes.
type Token struct {
	Token    string
	Identity Identity
}

// Verifier checks the signature of a request over body, and returns whose key
// made it. lookup returns the secret of a key.
type Verifier interface {
	Verify(r *http.Request, body []byte, now time.Time, lookup func(accessKeyID string) (secret string, ok bool)) (accessKeyID string, err error)
}

// Config is what an Authenticator accepts.
type Config struct {
	Keys   []Key
	Tokens []Token
	SigV4  Verifier // required if there are Keys
	// Anonymous lets requests without credentials in, as an identity that may
	// invoke everything, if they come from this machine (see Authenticate).
	Anonymous bool
}

// Authenticator is immutable and safe for concurrent use.
type Authenticator struct {
	keys      map[string]Key
	tokens    map[[sha256.Size]byte]Identity // tokens themselves are not kept
	signed    Verifier
	anonymous bool
}

// New returns an Authenticator, or all the faults of c. Errors name key ids and
// identities, never secrets.
func New(c Config) (*Authenticator, error) {
	a := &Authenticator{
		keys:      make(map[string]Key, len(c.Keys)),
		tokens:    make(map[[sha256.Size]byte]Identity, len(c.Tokens)),
		signed:    c.SigV4,
		anonymous: c.Anonymous,
	}
	var faults []error
	for i, k := range c.Keys {
		if err := a.addKey(k); err != nil {
			faults = append(faults, fmt.Errorf("auth: key %d: %w", i+1, err))
		}
	}
	for i, t := range c.Tokens {
		if err := a.addToken(t); err != nil {
			faults = append(faults, fmt.Errorf("auth: token %d: %w", i+1, err))
		}
	}
	if len(c.Keys) > 0 && c.SigV4 == nil {
		faults = append(faults, errors.New("auth: access keys are configured but nothing that verifies signatures"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Authenticator) addKey(k Key) error {
	if err := k.Identity.check(); err != nil {
		return err
	}
	if k.AccessKeyID == "" || len(k.AccessKeyID) > 128 || strings.ContainsAny(k.AccessKeyID, "/,= \t\r\n") {
		return fmt.Errorf("identity %q: access key id must have 1 to 128 characters, without /, comma, = or spaces", k.Identity.Name)
	}
	if len(k.Secret) < minSecret {
		return fmt.Errorf("access key %q: secret is shorter than %d bytes", k.AccessKeyID, minSecret)
	}
	if _, taken := a.keys[k.AccessKeyID]; taken {
		return fmt.Errorf("access key %q is configured twice", k.AccessKeyID)
	}
	a.keys[k.AccessKeyID] = k
	return nil
}

func (a *Authenticator) addToken(t Token) error {
	if err := t.Identity.check(); err != nil {
		return err
	}
	if len(t.Token) < minToken || len(t.Token) > maxToken || strings.ContainsAny(t.Token, " \t\r\n") {
		return fmt.Errorf("identity %q: token must have %d to %d bytes, without spaces", t.Identity.Name, minToken, maxToken)
	}
	digest := sha256.Sum256([]byte(t.Token))
	if other, taken := a.tokens[digest]; taken {
		return fmt.Errorf("identities %q and %q have the same token", other.Name, t.Identity.Name)
	}
	a.tokens[digest] = t.Identity
	return nil
}

// Precheck refuses a signed request whose access key is not configured. It costs
// little, so that a stranger cannot make the server read a body.
func (a *Authenticator) Precheck(r *http.Request) error {
	for _, value := range r.Header["Authorization"] {
		if !strings.HasPrefix(value, signedPrefix) {
			continue
		}
		_, rest, found := strings.Cut(value, "Credential=")
		if !found {
			return Refuse(TypeIncompleteSignature, "the Authorization header has no Credential")
		}
		id, _, _ := strings.Cut(rest, "/")
		if _, known := a.keys[id]; !known {
			return Refuse(TypeUnrecognizedClient, "the access key of the signature is not known here")
		}
	}
	return nil
}

// Authenticate returns whose credentials r carries. Body is the whole body of r;
// it matters for signed requests only. Errors are *Error.
//
// Without credentials, r is anonymous if that is allowed and it comes straight
// from this machine: the listener, the peer and the Host are loopback and neither
// a proxy nor a web page is in between. Wrong credentials are never anonymous.
func (a *Authenticator) Authenticate(r *http.Request, body []byte, now time.Time) (Identity, error) {
	values := r.Header["Authorization"]
	switch {
	case len(values) == 0:
		return a.withoutCredentials(r)
	case len(values) > 1:
		return Identity{}, Refuse(TypeIncompleteSignature, "the request has more than one Authorization header; send one")
	case strings.HasPrefix(values[0], signedPrefix):
		return a.withSignature(r, body, now)
	case len(values[0]) > len(bearerPrefix) && strings.EqualFold(values[0][:len(bearerPrefix)], bearerPrefix):
		return a.withToken(values[0][len(bearerPrefix):])
	}
	return Identity{}, Refuse(TypeIncompleteSignature, "the Authorization header has an unknown scheme; allowed: AWS4-HMAC-SHA256, Bearer")
}

// withToken is on the hot path: one hash, one map lookup, no allocation. Looking
// up by digest tells a guesser nothing about how near to a token the guess was.
func (a *Authenticator) withToken(token string) (Identity, error) {
	var buffer [maxToken]byte
	if len(token) <= maxToken {
		digest := sha256.Sum256(buffer[:copy(buffer[:], token)])
		if id, ok := a.tokens[digest]; ok {
			return id, nil
		}
	}
	return Identity{}, Refuse(TypeUnrecognizedClient, "the bearer token is not known here")
}

func (a *Authenticator) withSignature(r *http.Request, body []byte, now time.Time) (Identity, error) {
	if a.signed == nil {
		return Identity{}, Refuse(TypeUnrecognizedClient, "no access keys are configured here; use a bearer token")
	}
	id, err := a.signed.Verify(r, body, now, a.secret)
	if err != nil {
		return Identity{}, err
	}
	return a.keys[id].Identity, nil
}

func (a *Authenticator) secret(accessKeyID string) (string, bool) {
	k, ok := a.keys[accessKeyID]
	return k.Secret, ok
}

func (a *Authenticator) withoutCredentials(r *http.Request) (Identity, error) {
	if query := r.URL.RawQuery; query != "" && strings.Contains(query, "X-Amz-Signature=") {
		return Identity{}, Refuse(TypeIncompleteSignature, "presigned URLs are not accepted; sign the request with an Authorization header")
	}
	if !a.anonymous {
		return Identity{}, Refuse(TypeMissingToken, "the request has no Authorization header; sign it with an access key or send a bearer token")
	}
	if why := remote(r); why != "" {
		return Identity{}, Refuse(TypeMissingToken, "the request has no Authorization header, and only this machine may call without one: "+why)
	}
	return anonymous, nil
}

var anonymous = Identity{Name: AnonymousName, Invoke: []string{"*"}}
