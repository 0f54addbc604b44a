package remote

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
)

// call is one on the agent's side.
type call struct {
	callHead
	*record
	arrived  time.Time
	deadline time.Time
	instance *agent.Instance
}

// admit gives a call whose request has come a place and a record; e is the answer if it
// must not run. One that is admitted must be ended.
func (s *Server) admit(head callHead, arrived time.Time) (c *call, e ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != StateStarted:
		return nil, refused(spillway.CauseRejected, "its agent is "+s.state)
	case s.draining:
		return nil, refused(spillway.CauseRejected, "its agent has been told to end")
	case s.calls >= s.spec.places():
		return nil, refused(spillway.CauseRejected, "it has no place")
	}
	r := s.records.begin(head.Ticket)
	if r == nil {
		return nil, refused(spillway.CauseCancelled, "it was cancelled, or given up, before it had come")
	}
	s.calls++
	return &call{head, r, arrived, arrived.Add(time.Duration(head.Left) * time.Microsecond), s.instance}, ending{}
}

func refused(cause spillway.Cause, detail string) ending {
	return ending{Cause: cause.String(), Detail: detail}
}

// end frees the place of a call and remembers how it ended.
func (s *Server) endCall(c *call, e ending, payload []byte) {
	s.records.end(c.record, e, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls--; s.calls == 0 && s.draining {
		s.hush()
	}
}

func (s *Server) serveInvoke(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	head, err := parseCall(r.Header)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, "%s", bounded(err.Error()))
		return
	}
	payload, status := s.payload(w, r)
	if status != 0 {
		s.refuse(w, r, status, "the payload did not come as announced, or is over %d bytes", pools.MaxPayload)
		return
	}
	if s.specIsWeb() {
		s.tell(w, refused(spillway.CauseRejected, "web functions take HTTP requests"), nil)
		return
	}
	c, e := s.admit(head, began)
	if c == nil {
		s.tell(w, e, nil)
		return
	}
	ended := c.instance.Invoke(c.ctx, agent.Event{
		ID: head.Invocation, Payload: payload, ClientContext: string(head.ClientContext), Deadline: c.deadline, LogTail: head.LogTail,
	})
	e = endingOf(ended, began)
	s.endCall(c, e, ended.Payload)
	s.tell(w, e, ended.Payload)
}

func (s *Server) specIsWeb() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spec.Web
}

// payload reads a body of a length that was said before, in good time.
func (s *Server) payload(w http.ResponseWriter, r *http.Request) ([]byte, int) {
	switch {
	case r.ContentLength < 0:
		return nil, http.StatusLengthRequired
	case r.ContentLength > pools.MaxPayload:
		return nil, http.StatusRequestEntityTooLarge
	case r.ContentLength == 0:
		return nil, 0
	}
	payload := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, payload); err != nil {
		return nil, http.StatusBadRequest
	}
	arrived(w)
	return payload, 0
}

// arrived lifts the limit on the time that a body may take, which would end the wait for
// what it is about.
func arrived(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// tell writes an ending and what belongs to it.
func (s *Server) tell(w http.ResponseWriter, e ending, payload []byte) {
	s.hurry(w)
	h := w.Header()
	h[endingHeader] = []string{string(asciiJSON(e))}
	h["Content-Length"] = []string{strconv.Itoa(len(payload))}
	h["Content-Type"] = nil // or the payload would be looked at for a guess
	h["Date"] = nil
	_, _ = w.Write(payload)
}

// found reads the ticket that a request is about.
func (s *Server) found(w http.ResponseWriter, r *http.Request) (*record, bool) {
	var t ticket
	if err := t.UnmarshalText([]byte(r.PathValue("ticket"))); err != nil {
		s.refuse(w, r, http.StatusBadRequest, "%v", err)
		return nil, false
	}
	record, standing := s.records.find(t)
	switch standing {
	case absent:
		s.refuse(w, r, http.StatusNotFound, "the call has not come, and will not be run")
		return nil, false
	case beyond:
		s.refuse(w, r, http.StatusGone, "the call is not remembered any more")
		return nil, false
	}
	return record, true
}

// serveEnding says how a call ended, once it has.
func (s *Server) serveEnding(w http.ResponseWriter, r *http.Request) {
	record, ok := s.found(w, r)
	if !ok {
		return
	}
	select {
	case <-record.done:
		e, payload := s.records.answer(record)
		s.tell(w, e, payload)
	case <-r.Context().Done():
	}
}

// serveCancel ends a call, or says that its caller has gone. It does not wait.
func (s *Server) serveCancel(w http.ResponseWriter, r *http.Request) {
	record, ok := s.found(w, r)
	if !ok {
		return
	}
	if r.URL.Query().Get("caller") == "gone" {
		record.leave()
	} else {
		record.cancel()
	}
	s.reply(w, http.StatusOK, struct{}{})
}

var errBodyBroken = errors.New("the caller broke off the body")
