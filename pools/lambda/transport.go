package lambda

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/spillway-dev/spillway/pools"
)

// tuned takes the SDK's transport, with the certificate authorities it was
// configured with, and lets it keep connections for a whole account's concurrency.
// It has no time limit of its own for answers: that is the call's.
func tuned(client aws.HTTPClient) *http.Transport {
	t := &http.Transport{Proxy: http.ProxyFromEnvironment}
	if b, ok := client.(*awshttp.BuildableClient); ok {
		t = b.GetTransport()
	}
	t.DialContext = (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 5 * time.Second
	t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 2048, 2048, 0
	t.IdleConnTimeout = time.Minute
	t.DisableCompression = true
	// HTTP/1 only: one lost connection must lose one call, and only there has a
	// failed round trip waited for its writer, so that "not sent" is final.
	t.ForceAttemptHTTP2, t.Protocols = false, new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = nil
	if t.TLSClientConfig != nil {
		t.TLSClientConfig.NextProtos = nil // a copied transport has offered HTTP/2 already
	}
	t.MaxResponseHeaderBytes = 64 << 10
	return t
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// watch tells whether a request's headers have been written in full. Before that
// no server can have run it.
func watch(ctx context.Context) (context.Context, *atomic.Bool) {
	sent := new(atomic.Bool)
	trace := &httptrace.ClientTrace{
		WroteHeaders: func() { sent.Store(true) },
		WroteRequest: func(httptrace.WroteRequestInfo) { sent.Store(true) },
	}
	return httptrace.WithClientTrace(ctx, trace), sent
}

// maxBody is more than Lambda ever answers.
const maxBody = pools.MaxPayload + 64<<10

var errTooLong = errors.New("the answer is longer than any that Lambda gives")

// bounded is a transport whose answers end in an error at maxBody. A request
// cannot be sent twice through it: its body cannot be had again.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.GetBody != nil {
		r = r.Clone(r.Context())
		r.GetBody = nil
	}
	resp, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxBody}
	return resp, nil
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// credentialSource turns a pool's setting into SDK options. A file has to be
// readable: the SDK would only say that a profile is missing.
func credentialSource(from string) ([]func(*config.LoadOptions) error, error) {
	if from == "environment" || from == "" {
		return nil, nil
	}
	path, ok := strings.CutPrefix(from, "file:")
	if !ok {
		return nil, fmt.Errorf("credentials %q; allowed: environment, file:PATH", from)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	if err := file.Close(); err != nil {
		return nil, fmt.Errorf("credentials: %w", err)
	}
	return []func(*config.LoadOptions) error{
		config.WithSharedCredentialsFiles([]string{path}),
		config.WithSharedConfigFiles([]string{}),
		config.WithSharedConfigProfile("default"),
	}, nil
}
