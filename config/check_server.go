package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

const maxCallers = 10_000

var keyForm = regexp.MustCompile(`^[A-Z0-9]{16,128}$`)

func (l *loading) checkServer(e entry[v1alpha1.Server]) {
	spec := &e.object.Spec
	listen := e.address("spec.listen", spec.Listen)
	admin := e.address("spec.admin", spec.Admin)
	if admin.IsValid() && !admin.Addr().IsLoopback() {
		e.fault("spec.admin", spec.Admin+" can be reached from other machines, and the admin port asks for no credentials", "a loopback address such as 127.0.0.1:8081")
	}
	if listen.IsValid() && listen == admin && listen.Port() != 0 {
		e.fault("spec.admin", "is the same address as spec.listen", "another port")
	}
	e.duration("spec.drainTimeout", spec.DrainTimeout, 0, maxDeadline)
	auth := &spec.Auth
	callers := len(auth.Keys) + len(auth.Tokens)
	switch {
	case *auth.Anonymous && listen.IsValid() && !listen.Addr().IsLoopback():
		path := "spec.auth.anonymous"
		if !e.written(path) {
			path = "spec.listen"
		}
		e.fault(path, fmt.Sprintf("anybody who can reach %s could run functions", spec.Listen), "a loopback listen address, or keys or tokens with anonymous: false")
	case !*auth.Anonymous && callers == 0 && !l.checks.InCluster:
		e.fault("spec.auth.anonymous", "without keys and tokens nobody could call", "true, or at least one key or token")
	case *auth.Anonymous && !l.checks.WithoutCode: // which serves nobody
		l.warn("callers without credentials are accepted on %s: anybody on this machine may run every function", spec.Listen)
	}
	if listen.IsValid() && !listen.Addr().IsLoopback() && len(auth.Tokens) > 0 {
		l.warn("bearer tokens travel in clear to %s: put TLS in front, or use access keys", spec.Listen)
	}
	if callers > maxCallers {
		e.fault("spec.auth", fmt.Sprintf("has %d keys and tokens", callers), fmt.Sprintf("at most %d", maxCallers))
		return
	}
	checkAlerts(e.source, &spec.Alerts)
	l.checkKeys(e.source, auth.Keys)
	for i, t := range auth.Tokens {
		path := index("spec.auth.tokens", i)
		l.checkSecret(e.source, path+".tokenFrom", t.TokenFrom)
		checkCaller(e.source, path, t.Identity, t.Invoke)
	}
}

func checkAlerts(s *source, a *v1alpha1.Alerts) {
	s.endpoint("spec.alerts.webhook", a.Webhook)
	if n := len(a.Budgets); n > 10 {
		s.fault("spec.alerts.budgets", fmt.Sprintf("has %d entries", n), "at most 10")
		return
	}
	for i, percent := range a.Budgets {
		s.count(index("spec.alerts.budgets", i), &percent, 1, 100)
		if i > 0 && percent <= a.Budgets[i-1] {
			s.fault(index("spec.alerts.budgets", i), fmt.Sprintf("%d is not more than the one before it", percent), "ascending percentages")
		}
	}
}

func (l *loading) checkKeys(s *source, keys []v1alpha1.AccessKey) {
	seen := map[string]int{}
	for i, k := range keys {
		path := index("spec.auth.keys", i)
		if !keyForm.MatchString(k.AccessKeyID) {
			s.fault(path+".accessKeyID", "is not an access key id", "16 to 128 capital letters and digits")
		} else if first, ok := seen[k.AccessKeyID]; ok {
			s.fault(path+".accessKeyID", fmt.Sprintf("is the id of spec.auth.keys[%d]", first), "an id of its own for each key")
		}
		seen[k.AccessKeyID] = i
		l.checkSecret(s, path+".secretFrom", k.SecretFrom)
		checkCaller(s, path, k.Identity, k.Invoke)
	}
}

func checkCaller(s *source, path, identity string, invoke []string) {
	if !identityForm.MatchString(identity) {
		s.fault(path+".identity", quoteShort(identity)+" is not an identity", identityAllowed)
	}
	if len(invoke) == 0 {
		s.fault(path+".invoke", "is required; the caller could run nothing", `["*"], ["namespace/*"] or ["namespace/function"]`)
	}
	for i, pattern := range invoke {
		namespace, function, ok := strings.Cut(pattern, "/")
		if pattern != "*" && (!ok || !labelForm.MatchString(namespace) || function != "*" && !labelForm.MatchString(function)) {
			s.fault(index(path+".invoke", i), quoteShort(pattern)+" is not a pattern", `"*", "namespace/*" or "namespace/function"`)
		}
	}
}

// address checks IP:port; the zero value means that a fault was noted.
func (s *source) address(path, text string) netip.AddrPort {
	a, err := netip.ParseAddrPort(strings.Replace(text, "localhost:", "127.0.0.1:", 1))
	if err != nil {
		s.fault(path, quoteShort(text)+" is not an address", "IP:PORT such as 127.0.0.1:8080, or localhost:PORT")
	}
	return a
}

// checkSecret checks that a secret can be had, without reading it.
func (l *loading) checkSecret(s *source, path string, from v1alpha1.SecretSource) {
	switch {
	case (from.File != "") == (from.Env != ""):
		s.fault(path, "needs one of file and env", "{file: PATH} or {env: NAME}")
	case from.File != "":
		l.checkSecretFile(s, path+".file", from.File)
	case os.Getenv(from.Env) == "":
		s.fault(path+".env", "the environment variable is not set", "a variable that is set when the server starts")
	}
}

// checkSecretFile does not repeat what was written: it may be the secret itself.
func (l *loading) checkSecretFile(s *source, path, file string) {
	if s.cluster && !filepath.IsAbs(file) {
		s.fault(path, "is not an absolute path, and objects of a cluster are in no directory", "where the Secret is mounted, such as /etc/spillway/secrets/NAME")
		return
	}
	if s.cluster && l.checks.WithoutCode {
		return
	}
	info, err := os.Stat(s.relative(file))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.fault(path, "the file does not exist", "an existing file, relative to this file")
	case err != nil:
		s.fault(path, "the file cannot be read: "+bare(err).Error(), "a file that this user may read")
	case !info.Mode().IsRegular():
		s.fault(path, "is not a file", "a file")
	case info.Mode().Perm()&0o077 != 0:
		l.warn("secret file %s can be read by other users of this machine (mode %04o): chmod 600 it", file, info.Mode().Perm())
	}
}
