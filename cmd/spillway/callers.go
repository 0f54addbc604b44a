package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/auth/sigv4"
	"github.com/spillway-dev/spillway/config"
)

// authenticator reads the secrets that the configuration points to. Errors name
// where a secret should be, never what it is.
func authenticator(s *config.Server) (*auth.Authenticator, error) {
	c := auth.Config{Anonymous: s.Anonymous, SigV4: sigv4.New("", "lambda")}
	for _, k := range s.Keys {
		secret, err := secretOf(k.SecretFrom)
		if err != nil {
			return nil, fmt.Errorf("secret of access key %s: %w", k.AccessKeyID, err)
		}
		c.Keys = append(c.Keys, auth.Key{AccessKeyID: k.AccessKeyID, Secret: secret, Identity: auth.Identity{Name: k.Identity, Invoke: k.Invoke}})
	}
	for _, t := range s.Tokens {
		secret, err := secretOf(t.TokenFrom)
		if err != nil {
			return nil, fmt.Errorf("token of %s: %w", t.Identity, err)
		}
		c.Tokens = append(c.Tokens, auth.Token{Token: secret, Identity: auth.Identity{Name: t.Identity, Invoke: t.Invoke}})
	}
	a, err := auth.New(c)
	if err != nil {
		return nil, inputError{err}
	}
	return a, nil
}

// secretOf reads a secret, without the white space around it.
func secretOf(from v1alpha1.SecretSource) (string, error) {
	secret := os.Getenv(from.Env)
	if from.File != "" {
		text, err := os.ReadFile(from.File)
		if err != nil {
			return "", inputError{err}
		}
		secret = string(text)
	}
	if secret = strings.TrimSpace(secret); secret == "" {
		return "", wrongInput("%s%s is empty; put the secret there", from.File, from.Env)
	}
	return secret, nil
}
