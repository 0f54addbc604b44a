package agent

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

const (
	apiPrefix       = "/2018-06-01/runtime/"
	errorTypeHeader = "Lambda-Runtime-Function-Error-Type"
	errorBodyHeader = "Lambda-Runtime-Function-Error-Body"

	maxErrorBytes = 1 << 20 // of a posted error; Lambda cuts them too
)

// ServeHTTP answers the Runtime API to the function.
func (i *Instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !i.enter() {
		panic(http.ErrAbortHandler) // the process is gone: nobody reads an answer
	}
	defer i.leave()
	path, ok := strings.CutPrefix(r.URL.Path, apiPrefix)
	if !ok {
		refuse(w, http.StatusNotFound, "NotFound", "the Runtime API is under "+apiPrefix)
		return
	}
	switch {
	case path == "invocation/next":
		i.only(http.MethodGet, i.next, w, r)
	case path == "init/error":
		i.only(http.MethodPost, i.initError, w, r)
	default:
		i.routeAnswer(path, w, r)
	}
}

func (i *Instance) routeAnswer(path string, w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(path, "invocation/")
	id, verb, cut := strings.Cut(rest, "/")
	if !ok || !cut || verb != "response" && verb != "error" {
		refuse(w, http.StatusNotFound, "NotFound", "no such Runtime API call")
		return
	}
	i.only(http.MethodPost, func(w http.ResponseWriter, r *http.Request) { i.answer(w, r, id, verb == "error") }, w, r)
}

func (i *Instance) only(method string, serve http.HandlerFunc, w http.ResponseWriter, r *http.Request) {
	if r.Method != method {
		w.Header().Set("Allow", method)
		refuse(w, http.StatusMethodNotAllowed, "MethodNotAllowed", "use "+method)
		return
	}
	serve(w, r)
}

func (i *Instance) enter() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return false
	}
	i.requests++
	return true
}

func (i *Instance) leave() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.requests--; i.requests == 0 && i.closed {
		close(i.quiet)
	}
}

// next ends the invocation that was answered and waits for another. Of several
// polls the newest gets the event: the older one's client has given up on it.
func (i *Instance) next(w http.ResponseWriter, r *http.Request) {
	poll, c, ok := i.poll()
	if !ok {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "answer the current invocation before asking for the next")
		return
	}
	if c == nil {
		select {
		case c = <-poll:
		case <-r.Context().Done():
			c = i.withdraw(poll)
		}
	}
	if c == nil {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "a newer poll took the place of this one")
		return
	}
	i.send(w, c)
}

func (i *Instance) poll() (chan *call, *call, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if c := i.running; c != nil {
		if c.answered.IsZero() || !c.sent {
			return nil, nil, false
		}
		i.running = nil
		close(c.done)
	}
	if i.waiting != nil {
		close(i.waiting)
		i.waiting = nil
	}
	if !i.isReady {
		i.isReady = true
		close(i.ready)
	}
	if c := i.pending; c != nil {
		i.pending = nil
		i.fetch(c)
		return nil, c, true
	}
	i.waiting = make(chan *call, 1)
	return i.waiting, nil, true
}

// withdraw takes back a poll whose connection broke. An event that was handed over
// meanwhile counts as delivered.
func (i *Instance) withdraw(poll chan *call) *call {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.waiting == poll {
		i.waiting = nil
		return nil
	}
	return <-poll // closed, or holds one
}

func (i *Instance) send(w http.ResponseWriter, c *call) {
	h := w.Header()
	h["Content-Type"] = []string{"application/json"}
	h["Content-Length"] = []string{strconv.Itoa(len(c.event.Payload))}
	h["Lambda-Runtime-Aws-Request-Id"] = []string{c.event.ID}
	h["Lambda-Runtime-Deadline-Ms"] = []string{strconv.FormatInt(c.event.Deadline.UnixMilli(), 10)}
	h["Lambda-Runtime-Invoked-Function-Arn"] = []string{i.config.ARN}
	if c.event.TraceID != "" {
		h["Lambda-Runtime-Trace-Id"] = []string{c.event.TraceID}
	}
	if c.event.ClientContext != "" {
		h["Lambda-Runtime-Client-Context"] = []string{c.event.ClientContext}
	}
	_, _ = w.Write(c.event.Payload) // a function that hangs up is met at its deadline
	i.mu.Lock()
	c.sent = true
	i.mu.Unlock()
}

// answer takes a response or an error for the invocation id.
func (i *Instance) answer(w http.ResponseWriter, r *http.Request, id string, failed bool) {
	c, status := i.unanswered(id)
	if c == nil {
		refuse(w, status, "InvalidRequestID", "invocation "+strconv.Quote(id)+" is not waiting for an answer")
		return
	}
	limit := i.config.MaxResponse
	if failed {
		limit = min(limit, maxErrorBytes)
	}
	body, err := readBody(r, limit)
	tooLarge := errors.Is(err, errTooLarge)
	switch {
	case tooLarge:
		failed = true
		body = errorPayload("Function.ResponseSizeTooLarge",
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", limit))
	case err != nil:
		failed = true
		body = errorPayload("Runtime.TruncatedResponse", "the function broke off its response")
	case r.Trailer.Get(errorTypeHeader) != "":
		failed = true
		body = streamError(r.Trailer)
	}
	if !i.record(c, body, failed, tooLarge) {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation was answered before")
		return
	}
	if tooLarge {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", fmt.Sprintf("an answer may have %d bytes", limit))
		return
	}
	accept(w)
}

// unanswered returns the running invocation if it is id and has no answer yet.
func (i *Instance) unanswered(id string) (*call, int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch c := i.running; {
	case c == nil || c.event.ID != id:
		return nil, http.StatusBadRequest
	case !c.answered.IsZero():
		return nil, http.StatusForbidden
	default:
		return c, 0
	}
}

func (i *Instance) record(c *call, body []byte, failed, tooLarge bool) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.running != c || !c.answered.IsZero() {
		return false
	}
	c.payload, c.failed, c.tooLarge, c.answered = body, failed, tooLarge, time.Now()
	return true
}

var errTooLarge = errors.New("over the limit")

// readBody reads to the end, where the trailers are, keeping at most limit bytes.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		_, _ = io.CopyN(io.Discard, r.Body, 2*limit) // lets the function read our answer
		return nil, errTooLarge
	}
	body := make([]byte, 0, max(512, r.ContentLength+1))
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			_, _ = io.CopyN(io.Discard, r.Body, 2*limit)
			return nil, errTooLarge
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		}
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
	}
}

// streamError is the error a function met after it had begun its answer.
func streamError(trailer http.Header) []byte {
	body, err := base64.StdEncoding.DecodeString(trailer.Get(errorBodyHeader))
	if err != nil || len(body) == 0 {
		return errorPayload(trailer.Get(errorTypeHeader), "the function failed while it was answering")
	}
	return body
}

func (i *Instance) initError(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r, maxErrorBytes)
	kind := r.Header.Get(errorTypeHeader)
	if kind == "" && err == nil {
		kind = errorTypeOf(body)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.isReady {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "initialisation has ended")
		return
	}
	if i.initErr == nil {
		i.initErr = &pools.StartError{Type: oneLine(kind), Err: errInitFailed}
	}
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "{\"status\":\"OK\"}\n")
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(status)
	_, _ = w.Write(errorPayload(kind, message))
}
