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
	n, err := c.connect(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = n.SetDeadline(time.Unix(1, 0)) })
	a, err := c.request(n, method, path, body)
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

func (c *Client) request(n *conn, method, path string, body io.Reader) (*answer, error) {
	request, err := http.NewRequest(method, "https://agent"+path, body)
	if err != nil {
		return nil, err
	}
	buffered := bufio.NewWriter(n)
	written := request.Write(buffered)
	if written == nil {
		written = buffered.Flush()
	}
	// What the agent refuses it answers before it has read all.
	a, err := readAnswer(n.br)
	switch {
	case err == nil && written != nil:
		return a, errors.Join(a.failure(), written)
	case err != nil:
		return nil, errors.Join(written, err)
	}
	return a, nil
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
