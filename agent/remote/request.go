package remote

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// maxAnswer bounds the body of an answer in bytes.
const maxAnswer = pools.MaxPayload + 64<<10

var errTooLong = errors.New("the agent's answer is over the limit")

// answer is an agent's to one request.
type answer struct {
	status int
	header http.Header
	body   []byte
	last   bool // the agent closes the connection after it
}

// into reads the JSON of an answer with the status wanted.
func (a *answer) into(status int, v any) error {
	if a.status != status {
		return a.failure()
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("its answer cannot be read: %w", err)
	}
	return nil
}

func (a *answer) failure() error {
	var said startAnswer
	if json.Unmarshal(a.body, &said) == nil && said.Type != "" {
		return &pools.StartError{Type: said.Type, Err: errors.New(said.Error)}
	}
	return fmt.Errorf("it answered %d: %.200s", a.status, said.Error)
}

// do sends a request that can be sent again, or whose failure ends the instance, and
// reads the answer.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (*answer, error) {
	request, err := http.NewRequest(method, "https://agent"+path, body)
	if err != nil {
		return nil, err
	}
	return c.roundTrip(ctx, request, smallWrites)
}

// put sends a body of size bytes; −1 if that is not known.
func (c *Client) put(ctx context.Context, path string, body io.Reader, size int64) (*answer, error) {
	request, err := http.NewRequest(http.MethodPut, "https://agent"+path, io.NopCloser(body))
	if err != nil {
		return nil, err
	}
	request.ContentLength = size
	return c.roundTrip(ctx, request, largeWrites)
}

// How much of a request is written at once, in bytes.
const (
	smallWrites = 4 << 10
	largeWrites = batchSize
)

func (c *Client) roundTrip(ctx context.Context, request *http.Request, writes int) (*answer, error) {
	n, err := c.connect(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = n.SetDeadline(time.Unix(1, 0)) })
	a, err := c.request(n, request, writes)
	if !stop() || err != nil || a.last {
		c.drop(n)
		if err != nil && ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		return a, err
	}
	c.keep(n)
	return a, nil
}

// probe asks the agent on a connection whether it is there. After an error the
// connection is closed.
func (c *Client) probe(ctx context.Context, n *conn) error {
	stop := context.AfterFunc(ctx, func() { _ = n.SetDeadline(time.Unix(1, 0)) })
	request, err := http.NewRequest(http.MethodGet, "https://agent/v1/health", nil)
	if err != nil {
		panic(err) // nothing of it varies
	}
	a, err := c.request(n, request, smallWrites)
	if err == nil && (a.last || a.status != http.StatusOK) {
		err = a.failure()
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.drop(n)
	}
	return err
}

func (c *Client) request(n *conn, request *http.Request, writes int) (*answer, error) {
	written := n.send(request, writes)
	// What the agent refuses it answers before it has read all.
	a, err := readAnswer(n.br)
	switch {
	case err == nil && written != nil && a.status != http.StatusOK:
		a.last = true
	case err == nil && written != nil:
		return nil, written
	case err != nil:
		return nil, errors.Join(written, err)
	}
	return a, nil
}

// send writes a request, in parts of so many bytes.
func (n *conn) send(request *http.Request, writes int) error {
	buffered := bufio.NewWriterSize(n, writes)
	if writes == smallWrites {
		return errors.Join(request.Write(buffered), buffered.Flush())
	}
	n.tcp.hold()
	return errors.Join(request.Write(buffered), buffered.Flush(), n.tcp.release())
}

func readAnswer(br *bufio.Reader) (*answer, error) {
	response, err := http.ReadResponse(br, nil)
	if err != nil {
		return nil, err
	}
	a := &answer{status: response.StatusCode, header: response.Header, last: response.Close}
	switch length := response.ContentLength; {
	case length > maxAnswer:
		return nil, errTooLong
	case length >= 0:
		a.body = make([]byte, length)
		_, err = io.ReadFull(response.Body, a.body)
		return a, err
	}
	a.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(a.body) > maxAnswer {
		err = errTooLong
	}
	return a, err
}
