// Package sigv4 verifies AWS Signature Version 4 on received requests.
//
// A request is verified by signing a copy of it again with the AWS SDK's own
// signer, so that no canonical form is written twice. The copy has only the
// headers that the caller says it signed. Not accepted: presigned URLs, unsigned
// payloads, session tokens, and signatures over headers that the signer leaves
// out (User-Agent, Expect and the like, which intermediaries change, and a
// Content-Length of zero).
package sigv4

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/spillway-dev/spillway/auth"
)

// MaxSkew is how far X-Amz-Date may be from now, either way, as at AWS.
const MaxSkew = 5 * time.Minute

const amzDate = "20060102T150405Z"

// maxSigners bounds the signers kept. One holds one derived key at a time.
const maxSigners = 1024

// Verifier verifies requests for one service. It is safe for concurrent use.
type Verifier struct {
	region  string
	service string
	signers *lru.Cache[signerKey, *v4.Signer]
}

// A signer caches its derived key by access key id and day only; the secret and
// the region are in our key so that a rotated secret takes effect at once.
type signerKey struct{ accessKeyID, secret, region string }

// New returns a Verifier for a service ("lambda") in a region. An empty region
// accepts any region in the credential scope.
func New(region, service string) *Verifier {
	signers, err := lru.New[signerKey, *v4.Signer](maxSigners)
	if err != nil { // only for a size below one
		panic(err)
	}
	return &Verifier{region: region, service: service, signers: signers}
}

// Verify returns the access key id that signed r, whose whole body is body.
// lookup returns the secret of a key. Errors are *auth.Error; they hold no secret.
// r is not modified.
func (v *Verifier) Verify(r *http.Request, body []byte, now time.Time, lookup func(accessKeyID string) (secret string, ok bool)) (string, error) {
	target, err := received(r)
	if err != nil {
		return "", err
	}
	a, err := presented(r)
	if err != nil {
		return "", err
	}
	signedAt, err := v.check(r, a, now)
	if err != nil {
		return "", err
	}
	secret, ok := lookup(a.AccessKeyID)
	if !ok || r.Header.Get("X-Amz-Security-Token") != "" {
		return "", auth.Refuse(auth.TypeUnrecognizedClient, "the access key id or the session token in the request is not known here")
	}
	hash, err := payloadHash(r, body)
	if err != nil {
		return "", err
	}
	stripped, err := strip(r, target, a)
	if err != nil {
		return "", err
	}
	if !v.sameSignature(stripped, a, secret, hash, signedAt) {
		return "", invalid("the signature does not match the request; check the secret key, the host and that nothing changed the request on its way")
	}
	return a.AccessKeyID, nil
}

func invalid(message string) error {
	return auth.Refuse(auth.TypeInvalidSignature, message)
}

// received returns path and query as the client sent them, before any handler
// rewrote r.URL.
func received(r *http.Request) (*url.URL, error) {
	u := r.URL
	if r.RequestURI != "" {
		parsed, err := url.ParseRequestURI(r.RequestURI)
		if err != nil {
			return nil, incomplete("the request target cannot be parsed")
		}
		u = parsed
	}
	// The signer drops pairs it cannot parse; such pairs would go unsigned.
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, incomplete("the query string cannot be parsed")
	}
	if query.Has("X-Amz-Signature") || query.Has("X-Amz-Algorithm") {
		return nil, incomplete("presigned URLs are not accepted; sign the request with an Authorization header")
	}
	return &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}, nil
}

func presented(r *http.Request) (authorization, error) {
	switch values := r.Header["Authorization"]; len(values) {
	case 0:
		return authorization{}, auth.Refuse(auth.TypeMissingToken, "the request has no Authorization header; sign it with Signature Version 4")
	case 1:
		return parse(values[0])
	}
	return authorization{}, incomplete("the request has more than one Authorization header; send one")
}

// check holds the scope and the time against what is expected here, and returns
// when the request was signed.
func (v *Verifier) check(r *http.Request, a authorization, now time.Time) (time.Time, error) {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") && !a.signs(name) {
			return time.Time{}, incomplete("the header " + name + " must be one of the SignedHeaders")
		}
	}
	if a.Service != v.service {
		return time.Time{}, invalid("Credential should be scoped to the service " + v.service)
	}
	if v.region != "" && a.Region != v.region {
		return time.Time{}, invalid("Credential should be scoped to the region " + v.region)
	}
	dates := r.Header["X-Amz-Date"]
	if len(dates) != 1 {
		return time.Time{}, incomplete("the request must have one X-Amz-Date header")
	}
	at, err := time.Parse(amzDate, dates[0])
	if err != nil {
		return time.Time{}, incomplete("X-Amz-Date must be in the form YYYYMMDD'T'HHMMSS'Z'")
	}
	if at.Format("20060102") != a.Date {
		return time.Time{}, invalid("the date in Credential must be the date of X-Amz-Date")
	}
	return at, checkSkew(at, now.UTC())
}

func checkSkew(at, now time.Time) error {
	if at.Before(now.Add(-MaxSkew)) {
		return invalid("Signature expired: " + at.Format(amzDate) + " is now earlier than " + now.Add(-MaxSkew).Format(amzDate) + " (" + now.Format(amzDate) + " - 5 min.)")
	}
	if at.After(now.Add(MaxSkew)) {
		return invalid("Signature not yet current: " + at.Format(amzDate) + " is still later than " + now.Add(MaxSkew).Format(amzDate) + " (" + now.Format(amzDate) + " + 5 min.)")
	}
	return nil
}

func payloadHash(r *http.Request, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	actual := hex.EncodeToString(sum[:])
	switch declared := r.Header["X-Amz-Content-Sha256"]; {
	case len(declared) == 0:
		return actual, nil
	case len(declared) > 1 || strings.HasPrefix(declared[0], "STREAMING-") || declared[0] == "UNSIGNED-PAYLOAD":
		return "", incomplete("X-Amz-Content-Sha256 must be the SHA-256 of the body; unsigned and streaming payloads are not accepted")
	case declared[0] != actual:
		return "", invalid("X-Amz-Content-Sha256 is not the SHA-256 of the body")
	}
	return actual, nil
}

// strip returns a copy of r for the signer: what a.SignedHeaders names, no body.
func strip(r *http.Request, target *url.URL, a authorization) (*http.Request, error) {
	c := &http.Request{Method: r.Method, URL: target, Host: r.Host, Header: make(http.Header, len(a.SignedHeaders)+1)}
	for _, name := range a.SignedHeaders {
		switch name {
		case "host":
			continue
		case "content-length":
			c.ContentLength = r.ContentLength
			continue
		case "authorization", "user-agent", "x-amzn-trace-id", "expect", "transfer-encoding":
			return nil, invalid("the header " + name + " cannot be part of a signature here; do not sign it")
		}
		key := http.CanonicalHeaderKey(name)
		values, present := r.Header[key]
		if !present {
			return nil, invalid("a header that SignedHeaders names is not in the request")
		}
		c.Header[key] = append([]string(nil), values...)
	}
	return c, nil
}

// sameSignature signs stripped and compares. It modifies stripped.
func (v *Verifier) sameSignature(stripped *http.Request, a authorization, secret, hash string, at time.Time) bool {
	id := aws.Credentials{AccessKeyID: a.AccessKeyID, SecretAccessKey: secret}
	err := v.signer(a, secret).SignHTTP(context.Background(), id, stripped, hash, a.Service, a.Region, at)
	if err != nil {
		return false
	}
	signed := stripped.Header.Get("Authorization")
	_, expected, found := strings.Cut(signed, "Signature=")
	return found && subtle.ConstantTimeCompare([]byte(expected), []byte(a.Signature)) == 1
}

func (v *Verifier) signer(a authorization, secret string) *v4.Signer {
	key := signerKey{a.AccessKeyID, secret, a.Region}
	if s, ok := v.signers.Get(key); ok {
		return s
	}
	s := v4.NewSigner()
	v.signers.Add(key, s)
	return s
}
