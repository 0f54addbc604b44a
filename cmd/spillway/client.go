package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// maxAnswer bounds what is read of an answer: a payload and what is around it.
const maxAnswer = pools.MaxPayload + 1<<20

// client calls the server. It follows no redirects: credentials go where the
// user sent them.
var client = &http.Client{
	Transport: &http.Transport{
		DialContext:        (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		DisableCompression: true,
		Proxy:              http.ProxyFromEnvironment,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// exchange sends r and returns its answer with the whole body.
func exchange(r *http.Request) (*http.Response, []byte, error) {
	resp, err := client.Do(r)
	if err != nil {
		return nil, nil, unreachable(r.URL, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer of %s: %w", r.URL.Host, err)
	}
	if len(body) > maxAnswer {
		return nil, nil, fmt.Errorf("the answer of %s is larger than %d MiB; is it a Spillway server?", r.URL.Host, maxAnswer>>20)
	}
	return resp, body, nil
}

func unreachable(at *url.URL, err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; a call that was sent goes on to its end in the server")
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%s closed the connection without an answer (%w): what was sent may have run; 'spillway report' shows it once it is billed", at.Host, err)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no server answers at %s: %w; start one with 'spillway up', name another, or reach the one in a cluster: kubectl -n spillway-system port-forward spillway-0 %s", at.Host, err, cmp.Or(at.Port(), "8081"))
	}
	return fmt.Errorf("call %s: %w", at.Host, err)
}

// baseURL checks the address of a server that a flag named.
func baseURL(flag, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		if _, _, split := net.SplitHostPort(text); split == nil && !strings.Contains(text, "/") {
			return nil, wrongInput("%s: %q has no scheme; write http://%[2]s", flag, text)
		}
		return nil, wrongInput("%s: %q is not the address of a server; allowed: http://host:port", flag, text)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

func functionKey(text string) (spillway.FunctionKey, error) {
	namespace, name, ok := strings.Cut(text, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return spillway.FunctionKey{}, wrongInput("%q is not a function; allowed: namespace/name", text)
	}
	return spillway.FunctionKey{Namespace: namespace, Name: name}, nil
}

// payload reads text itself, @file, or - for standard input.
func payload(text string, stdin io.Reader) ([]byte, error) {
	var from io.Reader
	switch file, isFile := strings.CutPrefix(text, "@"); {
	case text == "-":
		from = stdin
	case isFile:
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, wrongInput("payload file %s does not exist", file)
		}
		if err != nil {
			return nil, wrongInput("payload: %w", err)
		}
		defer f.Close()
		from = f
	default:
		from = strings.NewReader(text)
	}
	body, err := io.ReadAll(io.LimitReader(from, pools.MaxPayload+1))
	if errors.Is(err, syscall.EISDIR) {
		return nil, wrongInput("payload: %w; name a file", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read the payload: %w", err)
	}
	if len(body) > pools.MaxPayload {
		return nil, wrongInput("the payload is larger than %d bytes, the most a call can carry", pools.MaxPayload)
	}
	return body, nil
}

// bearer reads a token for the Authorization header; empty without a file.
func bearer(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", wrongInput("--token-file: %w; name a file with one token", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \r\n\t") {
		return "", wrongInput("--token-file: %s holds no token; allowed: one word", file)
	}
	return token, nil
}
