package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// sizeUnsaid is the size in bytes from which a body is sent without saying how long
// it is. Spillway answers such a request, says that it will close the connection, and
// does so.
const sizeUnsaid = 128 << 10

// echoed is what came back of a request to a web function.
type echoed struct {
	request  string // the caller's own name for it, which the function writes down
	sent     int    // bytes
	returned int    // equal bytes, from the first on
	status   int
}

// webCaller is a plain HTTP client of a web function. It is safe for concurrent use.
type webCaller struct {
	namespace string
	url       string
	token     string
	client    http.Client
	requests  atomic.Int64

	seats          int          // most connections at once
	opened, closed atomic.Int64 // connections; closed are those that an answer announced
}

// newWebCaller makes a client that opens at most so many connections and sends each
// request once.
func newWebCaller(front, namespace, token string, seats int) *webCaller {
	c := &webCaller{namespace: namespace, url: front + "/namespaces/" + namespace + "/functions/", token: token, seats: seats}
	dial := (&net.Dialer{}).DialContext
	c.client = http.Client{Timeout: callLimit, Transport: &http.Transport{
		MaxConnsPerHost: seats, MaxIdleConnsPerHost: seats, DisableCompression: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c.opened.Add(1)
			return dial(ctx, network, address)
		},
	}}
	return c
}

// call posts event to the function's /echo.
func (c *webCaller) call(ctx context.Context, function, event string) answer {
	a := answer{Namespace: c.namespace, Function: function, Kind: broken, Sent: time.Now(),
		web: &echoed{request: fmt.Sprintf("web-%d", c.requests.Add(1)), sent: len(event)}}
	defer func() { a.Took = time.Since(a.Sent) }()
	resp, err := c.post(ctx, function, event, a.web.request)
	if err != nil {
		a.Detail = err.Error()
		return a
	}
	defer resp.Body.Close()
	if resp.Close {
		c.closed.Add(1)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.Detail = "the answer broke off: " + err.Error()
		return a
	}
	a.read(resp.Header)
	a.web.status, a.web.returned = resp.StatusCode, samePrefix(body, event)
	a.Kind = webEnding(resp)
	return a
}

// post hides the body behind a plain reader: nothing could send it a second time.
func (c *webCaller) post(ctx context.Context, function, event, name string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+function+"/echo", struct{ io.Reader }{strings.NewReader(event)})
	if err != nil {
		return nil, err
	}
	if len(event) < sizeUnsaid {
		r.ContentLength = int64(len(event))
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("X-Request-Id", name)
	return c.client.Do(r)
}

func webEnding(r *http.Response) kind {
	switch {
	case r.Header.Get("X-Spillway-Invocation") == "":
		return broken
	case r.StatusCode == http.StatusOK:
		return succeeded
	case r.StatusCode == http.StatusGatewayTimeout:
		return unknown
	case r.Header.Get("X-Spillway-Function-Error") != "":
		return failed
	}
	return refused
}

// samePrefix is how many bytes at the beginning of body are those of event; -1 if
// body goes on after all of them.
func samePrefix(body []byte, event string) int {
	if bytes.HasPrefix(body, []byte(event)) && len(body) > len(event) {
		return -1
	}
	n := 0
	for n < len(body) && n < len(event) && body[n] == event[n] {
		n++
	}
	return n
}
