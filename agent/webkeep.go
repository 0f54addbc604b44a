package agent

import (
	"net/http"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/pools"
)

// A connection is kept if nothing of an exchange can still come up on it: the whole
// request was sent, the answer ended where its head says beyond doubt, nothing came
// after it, and nobody said that it would be closed. What comes while it rests ends it
// (webConn.fresh).
//
// Whether the function has read the body cannot be known: one that answers without
// doing so, and does not close, takes the rest for the next request. Therefore a
// connection that carried a body is only used again for the caller who sent it, and
// not after an error, where bodies are most often left.

// callerOf is who asks, as the function is told; empty if nobody says.
func callerOf(w *pools.Web) string {
	if names := w.Header["X-Spillway-Caller"]; len(names) > 0 {
		return names[0]
	}
	return ""
}

// unnamed is what callers without credentials are called: they are not one caller.
const unnamed = "anonymous"

// servable reports that a request of w's caller may follow what the connection carried.
func (c *webConn) servable(w *pools.Web) bool {
	return !c.carried || c.carrier != "" && c.carrier != unnamed && c.carrier == callerOf(w)
}

// tookBody notes that x's body was carried, and reports whether the connection can
// rest after an answer with this status.
func (c *webConn) tookBody(x *Exchange, status int) bool {
	if x.Web.Body == nil && len(x.Body) == 0 {
		return true
	}
	c.carried, c.carrier = true, callerOf(x.Web)
	onePiece := x.Web.Body == nil && len(x.Body) < smallRequest // arrived with its head
	return status < http.StatusBadRequest && (onePiece || c.delivered())
}

// delivered reports that the function's side has acknowledged all that was written. An
// answer acknowledges what had come before it.
func (c *webConn) delivered() bool {
	left, err := 0, error(nil)
	if failed := c.raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); failed != nil {
		return false
	}
	return err == nil && left == 0
}

// endsClearly reports that the answer to a request by method has its end on the
// connection where its head says. A body that the head announces and that must not
// come may come all the same.
func endsClearly(resp *http.Response, method string) bool {
	chunked := len(resp.TransferEncoding) > 0
	length := resp.Header["Content-Length"]
	switch {
	case resp.Close, !resp.ProtoAtLeast(1, 1), method == http.MethodConnect:
		return false
	case method == http.MethodHead:
		return len(length) == 1 && length[0] == "0"
	case resp.StatusCode == http.StatusNoContent, resp.StatusCode == http.StatusNotModified:
		return !chunked && (len(length) == 0 || length[0] == "0")
	}
	return chunked || resp.ContentLength >= 0 // else it ends with the connection
}
