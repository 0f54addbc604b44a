package auth

import (
	"errors"
	"fmt"
	"strings"
)

// Identity is who a credential belongs to. It is a value shared by all requests
// with that credential: do not modify Invoke.
type Identity struct {
	Name string // as on ledger lines and in policies
	// Invoke says which functions it may call: "*", "namespace/*" or
	// "namespace/function". Empty permits nothing.
	Invoke []string
	// Stale is set if the credential was good when it could last be looked up, and
	// cannot be looked up now.
	Stale bool
	// Subject is the Authenticator's own, for its Authorise.
	Subject any
}

// May reports whether the identity may invoke a function.
func (id Identity) May(namespace, function string) bool {
	for _, pattern := range id.Invoke {
		if matches(pattern, namespace, function) {
			return true
		}
	}
	return false
}

func matches(pattern, namespace, function string) bool {
	if pattern == "*" {
		return true
	}
	n := len(namespace)
	if len(pattern) <= n || pattern[n] != '/' || pattern[:n] != namespace {
		return false
	}
	rest := pattern[n+1:]
	return rest == "*" || rest == function
}

func (id Identity) check() error {
	if id.Name == "" {
		return errors.New("identity has no name: name it, for the bill and for policies")
	}
	for _, pattern := range id.Invoke {
		if err := checkPattern(pattern); err != nil {
			return fmt.Errorf("identity %q: invoke pattern %q: %w", id.Name, pattern, err)
		}
	}
	return nil
}

func checkPattern(pattern string) error {
	if pattern == "*" {
		return nil
	}
	namespace, function, found := strings.Cut(pattern, "/")
	if !found || !plainName(namespace) || (function != "*" && !plainName(function)) {
		return errors.New(`allowed: "*", "namespace/*" or "namespace/function"`)
	}
	return nil
}

func plainName(s string) bool {
	return s != "" && !strings.ContainsAny(s, "*/ \t\r\n")
}
