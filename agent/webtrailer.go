package agent

import (
	"net/http"
	"strings"
)

// trailing are the fields of from that may follow a body, in either direction. A
// trailer comes after a message was framed, routed and let in: one that says how to do
// these could only mislead who merges it into the header. from is not modified.
func trailing(from http.Header) http.Header {
	if len(from) == 0 {
		return nil
	}
	fit := make(http.Header, len(from))
	for name, values := range from {
		if mayTrail(name) && plain(values) {
			fit[name] = values
		}
	}
	return fit
}

// mayTrail also refuses what CGI and its heirs would read as a refused name.
func mayTrail(name string) bool {
	if name == "" || strings.ContainsFunc(name, notInToken) {
		return false
	}
	name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
	if unfitTrailers[name] {
		return false
	}
	for _, prefix := range [...]string{"If-", "Proxy-", "X-Forwarded-", "X-Spillway-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

var unfitTrailers = map[string]bool{
	"Age": true, "Authorization": true, "Cache-Control": true, "Connection": true, "Content-Encoding": true,
	"Content-Length": true, "Content-Range": true, "Content-Type": true, "Cookie": true, "Date": true, "Expect": true,
	"Expires": true, "Forwarded": true, "Host": true, "Http2-Settings": true, "Keep-Alive": true, "Location": true,
	"Max-Forwards": true, "Pragma": true, "Range": true, "Realm": true, "Retry-After": true, "Set-Cookie": true,
	"Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "Vary": true, "Warning": true,
	"Www-Authenticate": true, "X-Amz-Content-Sha256": true, "X-Amz-Date": true, "X-Amz-Security-Token": true, "X-Real-Ip": true,
}

// notInToken reports characters that a field's name cannot have.
func notInToken(c rune) bool {
	return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
}

// plain reports values that stay on their line.
func plain(values []string) bool {
	for _, v := range values {
		for i := range len(v) {
			if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
				return false
			}
		}
	}
	return true
}
