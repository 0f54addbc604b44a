package httpapi

import (
	"net"
	"net/http"
	"strings"
)

// Fields that this hop sets for a web function. Whatever a caller says in them is
// removed first: a function may believe them.
const (
	headerForwardedFor    = "X-Forwarded-For"
	headerForwardedProto  = "X-Forwarded-Proto"
	headerForwardedHost   = "X-Forwarded-Host"
	headerForwardedPrefix = "X-Forwarded-Prefix"
	headerCaller          = "X-Spillway-Caller"
)

// ownPrefix is of fields that only this server writes, in both directions.
const ownPrefix = "X-Spillway-"

// hopByHop are the fields that end at this hop in both directions, besides those
// that Connection lists.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Authentication-Info", "Te", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// withheld are the fields of a request that a function does not see: credentials of
// ours, and what only a trusted hop may say.
func withheld(name string) bool {
	switch name {
	case "Authorization", "X-Amz-Security-Token", "X-Amz-Date", "X-Amz-Content-Sha256",
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port",
		"X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Real-Ip":
		return true
	}
	return strings.HasPrefix(name, ownPrefix)
}

// filterRequest removes from a caller's header, or trailer, what must not reach a
// function. Names with an underscore go too, as with nginx: CGI and its heirs read
// X_Spillway_Caller and X-Spillway-Caller as one.
func filterRequest(h http.Header) {
	removeListed(h)
	for name := range h {
		if hopByHop(name) || withheld(name) || strings.IndexByte(name, '_') >= 0 {
			delete(h, name)
		}
	}
}

// filterAnswer removes from a function's header, or trailer, what ends here and
// what it must not claim.
func filterAnswer(h http.Header) {
	removeListed(h)
	for name := range h {
		if hopByHop(name) || strings.HasPrefix(name, ownPrefix) {
			delete(h, name)
		}
	}
}

// removeListed removes the fields that Connection lists.
func removeListed(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); keptAlways(name) {
				continue
			}
			delete(h, name)
		}
	}
}

// keptAlways are fields that Connection cannot remove: a caller must not take from
// a function what tells it how long a body is or what this server says.
func keptAlways(name string) bool {
	switch name {
	case "Close", "Content-Length", "Trailer", "Host", "Connection":
		return true
	}
	return false
}

// forward says in the header where a request comes from.
func (x *exchange) forward(h http.Header) {
	f := fields{h: h}
	host, _, err := net.SplitHostPort(x.r.RemoteAddr)
	if err == nil {
		f.set(headerForwardedFor, host)
	}
	proto := "http"
	if x.r.TLS != nil {
		proto = "https"
	}
	f.set(headerForwardedProto, proto)
	f.set(headerForwardedHost, x.r.Host)
	f.set(headerForwardedPrefix, x.r.RequestURI[:len(x.r.RequestURI)-len(x.target.below)])
	f.set(headerCaller, headerText(x.identity.Name))
}
