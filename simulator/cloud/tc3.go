package cloud

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far a request's time may be from ours.
const maxSkew = 5 * time.Minute

// tc3 is an Authorization header of TC3-HMAC-SHA256, taken apart.
type tc3 struct {
	keyID, date, service string
	signed               []string // names of headers, sorted
	signature            string   // 64 hex digits
}

var (
	tc3Form   = regexp.MustCompile(`^TC3-HMAC-SHA256 +Credential=([^/,\s]{1,128})/(\d{4}-\d{2}-\d{2})/([a-z0-9]{1,32})/tc3_request, ?SignedHeaders=([a-z0-9;_-]{1,256}), ?Signature=([0-9a-f]{64})$`)
	stampForm = regexp.MustCompile(`^[1-9][0-9]{0,10}$`)
)

// parseTC3 reads an Authorization header.
func parseTC3(header string) (tc3, *scfError) {
	m := tc3Form.FindStringSubmatch(header)
	if m == nil {
		return tc3{}, &scfError{"AuthFailure.InvalidAuthorization", "Authorization must be TC3-HMAC-SHA256 Credential=ID/DATE/SERVICE/tc3_request, SignedHeaders=…, Signature=…"}
	}
	a := tc3{keyID: m[1], date: m[2], service: m[3], signed: strings.Split(m[4], ";"), signature: m[5]}
	sorted := slices.IsSorted(a.signed) && len(slices.Compact(slices.Clone(a.signed))) == len(a.signed)
	if !sorted || !slices.Contains(a.signed, "content-type") || !slices.Contains(a.signed, "host") {
		return tc3{}, &scfError{"AuthFailure.InvalidAuthorization", "SignedHeaders must be sorted, each once, with content-type and host"}
	}
	return a, nil
}

// verifyTC3 checks who sent r, whose body is given. The host may be signed with or
// without its port: Tencent's own SDKs differ.
func verifyTC3(r *http.Request, body []byte, now time.Time, secrets map[string]string) *scfError {
	a, refused := parseTC3(r.Header.Get("Authorization"))
	if refused != nil {
		return refused
	}
	stamp := r.Header.Get("X-TC-Timestamp")
	if !stampForm.MatchString(stamp) {
		return &scfError{"MissingParameter", "X-TC-Timestamp must be seconds since 1970"}
	}
	seconds, _ := strconv.ParseInt(stamp, 10, 64) // eleven digits fit
	at := time.Unix(seconds, 0).UTC()
	switch {
	case len(r.Header.Values("Authorization")) > 1 || len(r.Header.Values("X-TC-Timestamp")) > 1:
		return &scfError{"AuthFailure.InvalidAuthorization", "Authorization and X-TC-Timestamp must be there once"}
	case r.Header.Get("X-TC-Token") != "":
		return &scfError{"AuthFailure.TokenFailure", "the stand-in has permanent keys only; leave X-TC-Token out"}
	case a.service != serviceOf(r) && !namedBy(r.Host, a.service) || a.date != at.Format(time.DateOnly):
		return &scfError{"AuthFailure.SignatureFailure", "the credential scope must be the UTC date of X-TC-Timestamp, " + serviceOf(r) + " and tc3_request"}
	case at.Sub(now).Abs() > maxSkew:
		return &scfError{"AuthFailure.SignatureExpire", "X-TC-Timestamp is more than five minutes from the server's time"}
	}
	secret, known := secrets[a.keyID]
	if !known {
		return &scfError{"AuthFailure.SecretIdNotFound", "the SecretId is not found"}
	}
	given, _ := hex.DecodeString(a.signature) // the form has checked it
	matches := false
	for _, host := range hosts(r.Host) {
		matches = hmac.Equal(given, a.sign(r, host, body, stamp, secret)) || matches
	}
	if !matches {
		return &scfError{"AuthFailure.SignatureFailure", "the signature does not match the request"}
	}
	return nil
}

// serviceOf is the service whose API a request is for: versions differ.
func serviceOf(r *http.Request) string {
	if r.Header.Get("X-TC-Version") == clsVersion {
		return "cls"
	}
	return "scf"
}

// namedBy reports whether a client took the service's name from an address:
// Tencent's Node.js SDK uses what is before the first dot of any endpoint.
func namedBy(host, service string) bool {
	forms := hosts(host)
	label, _, _ := strings.Cut(host, ".")
	return net.ParseIP(forms[len(forms)-1]).To4() != nil && service == label
}

// hosts are the forms in which a client may sign a Host header.
func hosts(header string) []string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		return []string{header, host}
	}
	return []string{header}
}

// sign returns the signature that r should have.
func (a tc3) sign(r *http.Request, host string, body []byte, stamp, secret string) []byte {
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n/\n" + r.URL.RawQuery + "\n")
	for _, name := range a.signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = host
		}
		canonical.WriteString(name + ":" + strings.ToLower(strings.TrimSpace(value)) + "\n")
	}
	canonical.WriteString("\n" + strings.Join(a.signed, ";") + "\n" + sha256Hex(body))
	text := "TC3-HMAC-SHA256\n" + stamp + "\n" + a.date + "/" + a.service + "/tc3_request\n" + sha256Hex([]byte(canonical.String()))
	key := []byte("TC3" + secret)
	for _, part := range []string{a.date, a.service, "tc3_request"} {
		key = hmacOf(key, part)
	}
	return hmacOf(key, text)
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
