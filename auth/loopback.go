package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// CheckListen refuses to let anonymous requests in on an address (host:port) that
// other machines can reach. Names other than localhost count as reachable.
func CheckListen(addr string, anonymous bool) error {
	if !anonymous {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", addr, err)
	}
	if !loopbackHost(host) {
		return fmt.Errorf("listen address %q is reachable from other machines, and requests without credentials are allowed: listen on 127.0.0.1, or configure keys or tokens and forbid anonymous requests", addr)
	}
	return nil
}

// proxied are headers that a reverse proxy or a browser adds: behind a proxy on
// this machine, every peer looks local.
var proxied = [...]string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via", "Origin"}

// remote says why r may come from elsewhere; empty means from this machine.
func remote(r *http.Request) string {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && !loopbackAddr(local.String()) {
		return "it arrived on a public address"
	}
	if !loopbackAddr(r.RemoteAddr) {
		return "it comes from another address"
	}
	if !loopbackHost(hostOnly(r.Host)) {
		return "its Host is not a loopback name"
	}
	for _, name := range proxied {
		if len(r.Header[name]) > 0 {
			return "it has the header " + name
		}
	}
	return ""
}

func loopbackAddr(hostport string) bool {
	addr, err := netip.ParseAddrPort(hostport)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// hostOnly cuts the port and the brackets of an IPv6 literal off a Host.
func hostOnly(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return strings.Trim(host, "[]")
}
