package scf

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// newTransport can keep connections for a whole account's concurrency. It has no
// time limit of its own for answers: that is the call's.
func newTransport() *http.Transport {
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        2048, MaxIdleConnsPerHost: 2048,
		IdleConnTimeout:        time.Minute,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		// HTTP/1 only: one lost connection must lose one call, and only there has a
		// failed round trip waited for its writer, so that "not sent" is final.
		Protocols: new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// sight is what a call's connection saw, which the SDK does not tell.
type sight struct {
	sent   atomic.Bool  // the headers were written in full: before that no server can have run it
	status atomic.Int32 // of the HTTP answer; zero if there was none
	broken atomic.Bool  // the answer had a head and no readable body
}

type sightKey struct{}

func watch(ctx context.Context) (context.Context, *sight) {
	s := new(sight)
	trace := &httptrace.ClientTrace{
		WroteHeaders: func() { s.sent.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { s.sent.Store(true) },
	}
	return httptrace.WithClientTrace(context.WithValue(ctx, sightKey{}, s), trace), s
}

// maxBody is more than SCF ever answers: a result of 6 MiB as a JSON string, in
// which a byte may take six, and the rest.
const maxBody = 6*pools.MaxPayload + 64<<10

var errAnswer = errors.New("the answer is not one that SCF gives")

// bounded is a transport that hands on complete answers with status 200 and nothing
// else: the SDK would follow redirects, unpack archives of any size, and run out of
// stack on deep JSON. A request cannot be sent twice through it: its
// body cannot be had again.
type bounded struct {
	next        http.RoundTripper
	large, huge chan struct{} // hold one for each answer over largeBody, or hugeBody, that is being read
}

// Answers that are slow hold up others of their size. Those that functions give are
// hardly ever over hugeBody: such an answer may take maxBody, and as much again until
// it is collected.
const (
	largeBody, largeAtOnce = 1 << 20, 8
	hugeBody, hugeAtOnce   = 8 << 20, 2
)

func newBounded(next http.RoundTripper) bounded {
	return bounded{next, make(chan struct{}, largeAtOnce), make(chan struct{}, hugeAtOnce)}
}

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.GetBody != nil {
		r = r.Clone(r.Context())
		r.GetBody = nil
	}
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	seen, _ := r.Context().Value(sightKey{}).(*sight)
	if seen == nil {
		seen = new(sight)
	}
	seen.status.Store(int32(response.StatusCode))
	body, err := b.read(r.Context(), response.Body)
	switch {
	case err != nil:
		seen.broken.Store(true)
		return nil, err
	case response.StatusCode != http.StatusOK, len(body) > maxBody, response.Header.Get("Content-Encoding") != "", !shallow(body):
		return nil, errAnswer
	}
	response.Header = http.Header{"Content-Type": {"application/octet-stream"}} // the SDK reads any other type twice
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// steps are the sizes in which room for an answer grows: in few steps, as what is left
// of each is not free before the next collection.
var steps = [...]int{4 << 10, 64 << 10, largeBody, hugeBody, maxBody + 1}

// read returns the body, or more than maxBody of it. Large ones wait for one another:
// together they could take all memory.
func (b bounded) read(ctx context.Context, body io.Reader) (all []byte, err error) {
	for _, size := range steps {
		if room := b.room(len(all)); room != nil {
			select {
			case room <- struct{}{}:
				defer func() { <-room }()
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		all = append(make([]byte, 0, size), all...)
		for len(all) < size {
			n, err := body.Read(all[len(all):size])
			all = all[:len(all)+n]
			switch {
			case err == io.EOF:
				return all, nil
			case err != nil:
				return nil, err
			}
		}
	}
	return all, nil
}

// room is what an answer needs to grow on from a size, if anything.
func (b bounded) room(size int) chan struct{} {
	switch size {
	case largeBody:
		return b.large
	case hugeBody:
		return b.huge
	}
	return nil
}

// maxNesting is more than an answer of SCF's has; a function's own JSON is text in it.
const maxNesting = 64

// shallow reports that JSON in body is not nested deeper than maxNesting.
func shallow(body []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxNesting {
				return false
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return true
}
