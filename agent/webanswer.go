package agent

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

var (
	errCallerGone   = errors.New("the caller has gone")
	errUpgraded     = errors.New("the function switched protocols, which nobody asked for")
	errNoStatus     = errors.New("the function's answer has no status that HTTP knows")
	errManyInterims = errors.New("the function sends interim answers without end")
)

// maxInterims bounds the 1xx answers before an answer.
const maxInterims = 64

// requests are what an answer is read for: only the method counts.
var requests = map[string]*http.Request{}

func init() {
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions} {
		requests[m] = &http.Request{Method: m}
	}
}

func requestOf(method string) *http.Request {
	if r := requests[method]; r != nil {
		return r
	}
	return &http.Request{Method: method}
}

// reception is the answer of one exchange on its way.
type reception struct {
	conn   *webConn
	web    *pools.Web
	upload *upload // nil if the whole request was sent before
	until  time.Time
	answer pools.WebAnswer
	keep   bool // the connection can be used again
	shared bool // a caller who goes leaves the answer to end unseen
	unseen bool
}

// receive reads the answer. What fits Web.Room and is at hand stays there, the
// rest goes to Web.Stream.
func (r *reception) receive() (err error) {
	resp, err := r.head()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = r.conn.Close() // or closing the body would read all that is left of it
		}
		_ = resp.Body.Close()
	}()
	r.conn.headRoom = -1
	r.answer.Status, r.answer.Header = resp.StatusCode, resp.Header
	clearEnd := endsClearly(resp, r.web.Method)
	if resp.StatusCode == http.StatusNoContent {
		delete(resp.Header, "Content-Length") // it has no body, whatever the function says
	}
	if chunked := len(resp.TransferEncoding) > 0; chunked {
		r.announce(resp)
	}
	whole, err := r.gather(resp)
	if err == nil && !whole {
		err = r.stream(resp)
	}
	if err != nil {
		return err
	}
	if trailer := trailing(resp.Trailer); len(trailer) > 0 {
		r.answer.Trailer = trailer
	}
	r.keep = clearEnd && !r.unseen && r.conn.br.Buffered() == 0
	r.conn.rest(resp.Header["Keep-Alive"])
	return nil
}

// announce gives back the Trailer field that http.ReadResponse takes out.
func (r *reception) announce(resp *http.Response) {
	for name := range trailing(resp.Trailer) {
		r.answer.Header["Trailer"] = append(r.answer.Header["Trailer"], name)
	}
	slices.Sort(r.answer.Header["Trailer"])
}

// head reads until the final answer begins and passes interim ones on.
func (r *reception) head() (*http.Response, error) {
	for range maxInterims {
		resp, err := http.ReadResponse(r.conn.br, requestOf(r.web.Method))
		switch {
		case err != nil:
			return nil, err
		case resp.StatusCode < 100 || resp.StatusCode > 999:
			return nil, errNoStatus
		case resp.StatusCode >= 200:
			return resp, nil
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, errUpgraded
		case resp.StatusCode == http.StatusContinue:
			if r.upload != nil {
				r.upload.proceed()
			}
		default:
			r.web.Stream.Inform(resp.StatusCode, resp.Header)
		}
	}
	return nil, errManyInterims
}

// gather reads the body into Room while that needs no waiting for the function
// once something of the answer could leave. It reports whether that was all.
func (r *reception) gather(resp *http.Response) (bool, error) {
	room := r.web.Room
	if resp.ContentLength >= 0 || r.web.Method == http.MethodHead {
		if resp.Body == http.NoBody || r.web.Method == http.MethodHead {
			return true, nil
		}
		if resp.ContentLength > int64(len(room)) {
			return false, nil
		}
		n, err := io.ReadFull(resp.Body, room[:resp.ContentLength])
		r.answer.Body = room[:n]
		return true, err
	}
	const lastChunk = len("0\r\n\r\n")
	for n := 0; ; {
		r.answer.Body = room[:n]
		if n == len(room) || r.conn.br.Buffered() < lastChunk {
			return false, nil
		}
		k, err := resp.Body.Read(room[n:])
		n += k
		if err != nil {
			r.answer.Body = room[:n]
			return err == io.EOF, notEOF(err)
		}
	}
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// stream passes on what was gathered and then the rest, as it comes.
func (r *reception) stream(resp *http.Response) error {
	gathered := r.answer.Body
	r.answer.Body, r.answer.Streamed = nil, true
	r.web.Stream.Begin(r.answer.Status, r.answer.Header, r.until)
	pass := func(p []byte) error {
		if r.unseen {
			return nil
		}
		if _, err := r.web.Stream.Write(p); err != nil {
			if r.unseen = r.shared; !r.unseen {
				return errCallerGone
			}
			r.conn.halfClose()
		}
		return nil
	}
	if err := pass(gathered); err != nil {
		return err
	}
	buffer := webBuffers.Get().(*[webBuffer]byte)
	defer webBuffers.Put(buffer)
	for {
		n, err := resp.Body.Read(buffer[:])
		if n > 0 {
			if err := pass(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return notEOF(err)
		}
	}
}

// faultText says what was wrong with an answer without telling what was in it.
func faultText(err error, begun bool) string {
	switch {
	case errors.Is(err, errHeadTooLarge):
		return fmt.Sprintf("the head of its answer has more than %d bytes", maxAnswerHead)
	case errors.Is(err, errUpgraded), errors.Is(err, errManyInterims), errors.Is(err, errNoStatus):
		return err.Error()
	case begun:
		return "it broke off its answer"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection without an answer"
	}
	return "its answer is not HTTP, or it cut the connection"
}
