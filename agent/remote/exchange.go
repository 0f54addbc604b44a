package remote

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// callerGone is what a DELETE says of a call whose caller has gone: a function that
// serves several at once may end the request itself.
const callerGone = "?caller=gone"

// exchange sends an HTTP request and passes its answer on as it comes.
func (a *attempt) exchange(ctx context.Context, n *conn) pools.Result {
	web := a.r.Web
	_ = n.SetDeadline(a.deadline.Add(a.c.graces.answer))
	stop := a.endWith(ctx, n, "")
	stopCaller := a.endWith(web.Caller, nil, callerGone)
	gone, forsake := context.WithCancel(context.Background())
	defer forsake()
	stopUnseen := a.endWith(gone, nil, callerGone)
	x := &exchange{attempt: a, conn: n, forsake: forsake}
	last, err := x.run()
	x.upload.finish()
	stopUnseen()
	stopCaller()
	stop()
	if err == nil {
		// A function may have left a body unread that streams.
		a.done(n, last || x.upload != nil)
		return a.result(&x.ending, x.payload, x.web())
	}
	a.c.drop(n)
	x.answer.Trailer = nil
	return a.ask(ctx, x.begun())
}

// exchange is a web attempt on its connection.
type exchange struct {
	*attempt
	conn   *conn
	upload *upload // nil unless the request's body streams

	head    bool // of the answer has come
	answer  pools.WebAnswer
	unseen  bool   // the caller takes no more
	forsake func() // tells the agent so
	ending  ending
	payload []byte
}

// web is the answer, if there is one to report.
func (x *exchange) web() *pools.WebAnswer {
	if !x.head || !x.ending.Delivered {
		return nil
	}
	return &x.answer
}

// begun is the answer as far as the caller has it.
func (x *exchange) begun() *pools.WebAnswer {
	if !x.answer.Streamed {
		return nil
	}
	return &x.answer
}

func (x *exchange) run() (last bool, err error) {
	x.sent = time.Now()
	if err := x.send(); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(x.conn.br, nil)
	if err != nil {
		return false, err
	}
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %d", response.StatusCode)
	}
	for {
		ended, err := x.frame(response.Body)
		if err != nil {
			return false, noEOF(err)
		}
		if !ended {
			continue
		}
		if n, err := io.Copy(io.Discard, io.LimitReader(response.Body, 1)); n > 0 || err != nil {
			return false, errFrames
		}
		return response.Close, nil
	}
}

// send writes the request, and begins to send its body if that streams.
func (x *exchange) send() error {
	web := x.r.Web
	h := webHead{method: web.Method, target: web.Target, host: web.Host, header: web.Header,
		streams: web.Body != nil, expect: web.Expect, length: web.Length}
	if !h.streams {
		h.length = int64(len(x.r.Payload))
	}
	frames := appendFrame(nil, frameHead, h.append(nil))
	head := x.attempt.head(x.conn.head[:0], "/v1/web", len(web.Room))
	if h.streams {
		head = append(head, "Transfer-Encoding: chunked\r\n\r\n"...)
		x.upload = &upload{conn: x.conn, web: web, done: make(chan struct{})}
		return x.upload.begin(head, frames)
	}
	if len(x.r.Payload) > 0 {
		frames = binary.BigEndian.AppendUint32(append(frames, frameData), uint32(len(x.r.Payload)))
	}
	head = append(head, "Content-Length: "...)
	head = append(strconv.AppendInt(head, int64(len(frames)+len(x.r.Payload)), 10), "\r\n\r\n"...)
	return x.conn.writeAll(append(head, frames...), x.r.Payload)
}

// frame takes the next frame of the answer; ended reports that it was the last.
func (x *exchange) frame(body io.Reader) (ended bool, err error) {
	kind, size, err := readFrameHead(body)
	if err != nil {
		return false, err
	}
	if kind == frameData {
		return false, x.data(body, size)
	}
	b, err := readBytes(body, size)
	if err != nil {
		return false, err
	}
	switch kind {
	case frameInform:
		h, err := parseAnswerHead(b)
		if err == nil && !x.unseen {
			x.r.Web.Stream.Inform(h.status, h.header)
		}
		return false, err
	case frameProceed:
		x.upload.proceed()
		return false, nil
	case frameHead:
		return false, x.begin(b)
	case frameEnding:
		return true, x.end(b)
	}
	return false, fmt.Errorf("%w: kind %q", errFrames, kind)
}

func (x *exchange) begin(b []byte) error {
	h, err := parseAnswerHead(b)
	if err != nil {
		return err
	}
	if x.head {
		return fmt.Errorf("%w: two heads", errFrames)
	}
	x.head = true
	x.answer = pools.WebAnswer{Status: h.status, Header: h.header, Streamed: !h.whole}
	if x.answer.Header == nil {
		x.answer.Header = http.Header{}
	}
	if !h.whole {
		x.r.Web.Stream.Begin(h.status, x.answer.Header, x.deadline)
	}
	return nil
}

func (x *exchange) data(body io.Reader, size int) error {
	switch {
	case !x.head:
		return fmt.Errorf("%w: data before a head", errFrames)
	case x.answer.Streamed:
		return x.pass(body, size)
	case size > len(x.r.Web.Room) || x.answer.Body != nil:
		return fmt.Errorf("%w: %d bytes are too many for a whole answer", errFrames, size)
	}
	x.answer.Body = x.r.Web.Room[:size]
	_, err := io.ReadFull(body, x.answer.Body)
	return noEOF(err)
}

// pass gives the caller size bytes, or nothing more after it has gone: then the agent is
// told, and says how that ended.
func (x *exchange) pass(body io.Reader, size int) error {
	b := pieces.Get().(*[maxData]byte)
	defer pieces.Put(b)
	for {
		part := b[:min(size, len(b))]
		if _, err := io.ReadFull(body, part); err != nil {
			return noEOF(err)
		}
		if !x.unseen {
			if _, err := x.r.Web.Stream.Write(part); err != nil {
				x.unseen = true
				x.forsake()
			}
		}
		if size -= len(part); size == 0 {
			return nil
		}
	}
}

func (x *exchange) end(b []byte) error {
	e, err := parseWebEnding(b)
	if err != nil {
		return err
	}
	if x.ending, err = parseEnding(e.ending); err != nil {
		return err
	}
	x.answer.Trailer = e.trailer
	if x.head && !x.answer.Streamed && x.answer.Body == nil {
		x.answer.Body = x.r.Web.Room[:0]
	}
	if len(e.payload) > 0 {
		x.payload = bytes.Clone(e.payload)
	}
	return nil
}
