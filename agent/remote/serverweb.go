package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent"
	"github.com/spillway-dev/spillway/pools"
)

func (s *Server) serveWeb(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	to := http.NewResponseController(w)
	_ = to.EnableFullDuplex()
	head, err := parseCall(r.Header)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, "%s", bounded(err.Error()))
		return
	}
	request, payload, err := readWebRequest(r.Body)
	if err != nil {
		s.refuse(w, r, http.StatusBadRequest, "%s", bounded(err.Error()))
		return
	}
	out := &outgoing{s: s, w: w, to: to}
	if !s.specIsWeb() {
		out.end(refused(spillway.CauseRejected, "only web functions take HTTP requests"), agent.Ending{})
		return
	}
	c, e := s.admit(head, began)
	if c == nil {
		out.end(e, agent.Ending{})
		return
	}
	_ = to.SetReadDeadline(c.deadline.Add(s.patience))
	room := pieces.Get().(*[maxData]byte)
	defer pieces.Put(room)
	web := &pools.Web{
		Method: request.method, Target: request.target, Host: request.host, Header: request.header,
		Caller: c.caller, Room: room[:min(len(room), head.Room)], Stream: out,
	}
	in := &incoming{}
	if request.streams {
		in = &incoming{frames: r.Body, to: to, expects: request.expect, out: out}
		web.Body, web.Length, web.Expect, web.Trailer = in, request.length, request.expect, in.trailers
	}
	defer context.AfterFunc(r.Context(), func() {
		// The end of reading is not that of the connection, and a caller who reads nothing
		// until the deadline has not gone.
		if !in.unwanted.Load() && time.Now().Before(c.deadline) {
			c.leave()
		}
	})()
	ended := c.instance.Exchange(c.ctx, agent.Exchange{ID: head.Invocation, Web: web, Body: payload, Deadline: c.deadline})
	e = endingOf(ended, began)
	s.endCall(c, e, ended.Payload)
	out.end(e, ended)
}

// readWebRequest reads a request's head, and its body unless that streams.
func readWebRequest(body io.Reader) (webHead, []byte, error) {
	kind, size, err := readFrameHead(body)
	if err == nil && kind != frameHead {
		err = errFrames
	}
	if err != nil {
		return webHead{}, nil, noEOF(err)
	}
	text, err := readBytes(body, size)
	if err != nil {
		return webHead{}, nil, err
	}
	h, err := parseWebHead(text)
	if err != nil || h.streams {
		return h, nil, err
	}
	var payload []byte
	if h.length > 0 {
		kind, size, err := readFrameHead(body)
		if err != nil || kind != frameData || int64(size) != h.length {
			return h, nil, errFrames
		}
		if payload, err = readBytes(body, size); err != nil {
			return h, nil, err
		}
	}
	return h, payload, over(body)
}

// over reads the end of a body, after which it is seen when its sender goes away.
func over(body io.Reader) error {
	var one [1]byte
	if n, err := body.Read(one[:]); n > 0 || !errors.Is(err, io.EOF) {
		return errFrames
	}
	return nil
}

// incoming is the body of a request as it comes.
type incoming struct {
	frames  io.Reader
	to      *http.ResponseController
	expects bool // and has not asked for it yet
	out     *outgoing
	left    int // of the frame that is being read
	err     error
	trailer http.Header
	// unwanted is set when the rest of the body is not waited for.
	unwanted atomic.Bool
}

// Read implements io.Reader.
func (b *incoming) Read(p []byte) (int, error) {
	if b.expects {
		b.expects = false
		if err := b.out.proceed(); err != nil {
			b.err = err
		}
	}
	for b.left == 0 && b.err == nil {
		b.err = b.next()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.frames.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err != nil && (b.left > 0 || !errors.Is(err, io.EOF)) {
		b.err = noEOF(err)
	}
	return n, nil
}

// next reads the head of a frame; io.EOF is the body's end.
func (b *incoming) next() error {
	kind, size, err := readFrameHead(b.frames)
	if err != nil {
		return noEOF(err)
	}
	switch kind {
	case frameData:
		b.left = size
		return nil
	case frameEnd:
		text, err := readBytes(b.frames, size)
		if err != nil {
			return err
		}
		f := fields{b: text}
		b.trailer = f.header()
		if err := errors.Join(f.end(), over(b.frames)); err != nil {
			return err
		}
		return io.EOF
	}
	return errBodyBroken
}

func (b *incoming) trailers() http.Header { return b.trailer }

// Close makes a Read that waits return.
func (b *incoming) Close() error {
	b.unwanted.Store(true)
	return b.to.SetReadDeadline(time.Unix(1, 0))
}

// outgoing is an answer on its way to the caller.
type outgoing struct {
	s  *Server
	w  http.ResponseWriter
	to *http.ResponseController

	mu      sync.Mutex // the function's wish for a body comes from another goroutine
	pending []byte     // the head of the answer, before its first byte
	begun   bool       // something has left
	failed  error
}

// write sends frames at once.
func (o *outgoing) write(frames []byte) error {
	if o.failed == nil {
		o.begun = true
		_, err := o.w.Write(frames)
		o.failed = errors.Join(err, o.to.Flush())
	}
	return o.failed
}

func (o *outgoing) proceed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.s.hurry(o.w)
	return o.write(appendFrame(nil, frameProceed))
}

// Inform implements pools.Stream.
func (o *outgoing) Inform(status int, header http.Header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := answerHead{status: status, header: header}
	o.s.hurry(o.w)
	_ = o.write(appendFrame(nil, frameInform, h.append(nil))) // the next write fails, too
}

// Begin implements pools.Stream.
func (o *outgoing) Begin(status int, header http.Header, until time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := answerHead{status: status, header: header}
	o.pending = appendFrame(nil, frameHead, h.append(nil))
	_ = o.to.SetWriteDeadline(until)
}

// Write implements pools.Stream.
func (o *outgoing) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames := o.pending
	o.pending = nil
	for part := p; ; frames = nil {
		n := min(len(part), maxData)
		if err := o.write(appendFrame(frames, frameData, part[:n])); err != nil {
			return 0, err
		}
		if part = part[n:]; len(part) == 0 {
			return len(p), nil
		}
	}
}

// end sends the answer, if it has not left already, and how it ended. Nothing follows.
func (o *outgoing) end(e ending, ended agent.Ending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.s.hurry(o.w)
	last := webEnding{ending: asciiJSON(e), payload: ended.Payload}
	frames := o.pending
	if web := ended.Web; web != nil {
		last.trailer = web.Trailer
		if !web.Streamed {
			h := answerHead{status: web.Status, whole: true, header: web.Header}
			frames = appendFrame(frames, frameHead, h.append(nil))
			if len(web.Body) > 0 {
				frames = appendFrame(frames, frameData, web.Body)
			}
		}
	}
	frames = appendFrame(frames, frameEnding, last.append(nil))
	if !o.begun {
		o.w.Header()["Content-Length"] = []string{strconv.Itoa(len(frames))}
	}
	o.w.Header()["Content-Type"] = nil
	o.w.Header()["Date"] = nil
	_, _ = o.w.Write(frames)
}
