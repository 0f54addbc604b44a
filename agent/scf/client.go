package scf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/agent/scf/envelope"
	"github.com/spillway-dev/spillway/pools"
)

const (
	// maxEvent is an event with its client context.
	maxEvent = pools.MaxPayload + 64<<10
	// postLimit bounds everything but the wait for an event.
	postLimit = 30 * time.Second
)

// event is what SCF handed over.
type event struct{ agent.Event }

// client speaks SCF's custom-runtime API.
type client struct {
	url       string
	http      http.Client
	transport *http.Transport
}

func newClient(address string) *client {
	t := &http.Transport{ // no proxy: the API is inside the instance
		DialContext:        (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		DisableCompression: true,
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client{url: "http://" + address + "/runtime/", transport: t, http: http.Client{Transport: t, CheckRedirect: refuse}}
}

func (c *client) close() { c.transport.CloseIdleConnections() }

// ready tells SCF that the function is initialised.
func (c *client) ready(ctx context.Context) error { return c.post(ctx, "init/ready", []byte(" ")) }

// next waits for an event, for as long as it takes.
func (c *client) next(ctx context.Context) (*event, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"invocation/next", nil)
	if err != nil {
		return nil, fmt.Errorf("ask SCF for an event: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask SCF for an event: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxEvent+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read an event of SCF's: %w", err)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask SCF for an event: it answered %d, want 200", response.StatusCode)
	case len(body) > maxEvent:
		return nil, fmt.Errorf("an event of SCF's is over %d bytes", maxEvent)
	}
	return parseEvent(response.Header, body, time.Now())
}

// parseEvent reads an event that arrived at now.
func parseEvent(h http.Header, body []byte, now time.Time) (*event, error) {
	id := h.Get("Request_Id")
	if id == "" {
		return nil, errors.New("an event of SCF's has no Request_Id")
	}
	limit, err := strconv.ParseInt(h.Get("Time_Limit_In_Ms"), 10, 64)
	if err != nil || limit <= 0 || limit > math.MaxInt64/int64(time.Millisecond) {
		return nil, errors.New("an event of SCF's has no Time_Limit_In_Ms above zero")
	}
	payload, clientContext := envelope.Unwrap(body)
	return &event{agent.Event{
		ID: id, Payload: payload, ClientContext: clientContext,
		Deadline: now.Add(time.Duration(limit) * time.Millisecond),
	}}, nil
}

// answer reports how an event ended.
func (c *client) answer(ctx context.Context, e agent.Ending) error {
	switch {
	case !e.Delivered:
		return c.post(ctx, "invocation/error", undelivered(e.Cause))
	case e.FunctionError != spillway.FunctionOK:
		return c.post(ctx, "invocation/error", e.Payload)
	}
	return c.post(ctx, "invocation/response", e.Payload)
}

// refuse answers an event for which no process could be started, if there is one.
func (c *client) refuse(ctx context.Context, waiting *event, why error) error {
	if waiting == nil {
		return nil
	}
	kind := "Runtime.ExitError"
	var start *pools.StartError
	if errors.As(why, &start) {
		kind = start.Type
	}
	return c.post(ctx, "invocation/error", failure(kind, "the function ended and could not be started again"))
}

func (c *client) post(ctx context.Context, path string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, postLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("post %s to SCF: %w", path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("post %s to SCF: %w", path, err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // the answer has nothing to tell
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("post %s to SCF: it answered %d", path, response.StatusCode)
	}
	return nil
}
