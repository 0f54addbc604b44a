package pools

import (
	"context"
	"io"
	"net/http"
	"time"
)

// Web is an HTTP request to a web function (spillway.ContractHTTP), and where its
// answer goes. One exchange is one attempt: Request.Payload is its body unless Body
// is set.
type Web struct {
	Method string
	Target string // path and query as the caller wrote them, from the function's own /
	Host   string
	// Header is what the function sees, not modified. The pool adds the framing and
	// leaves out what would contradict it.
	Header http.Header

	// Body is a request body that is passed on as it arrives; nil: it is
	// Request.Payload. Close makes a Read that waits return.
	Body    io.ReadCloser
	Length  int64              // of Body in bytes, -1 if not known
	Trailer func() http.Header // of Body, called after its end; may be nil
	// Expect says that the caller sends Body only when it is told to continue.
	Expect bool

	// Caller ends when whoever asked has gone: the attempt is abandoned then, as when
	// the context of Invoke ends.
	Caller context.Context

	// Room holds an answer that is complete before anything of it had to leave: it is
	// then Result.Web. Any other answer goes to Stream as it comes.
	Room   []byte
	Stream Stream
}

// Stream takes an answer while its attempt runs. Its methods are called one at a
// time, and not after Invoke has returned.
type Stream interface {
	// Inform passes on an interim answer (102 to 199).
	Inform(status int, header http.Header)
	// Begin gives the head of the answer, which leaves with the first Write. Writing
	// must not block beyond until.
	Begin(status int, header http.Header, until time.Time)
	// Write sends a part of the body, which may be empty, at once. An error means that
	// the caller has gone.
	Write(p []byte) (int, error)
}

// WebAnswer is the answer of a web function, as the function sent it.
type WebAnswer struct {
	Status   int
	Header   http.Header
	Body     []byte      // in Web.Room; empty if Streamed
	Trailer  http.Header // nil if none
	Streamed bool        // it went to Web.Stream; what is left is Trailer
}
