package remote

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// event sends an event and reads its answer on n.
func (a *attempt) event(ctx context.Context, n *conn) pools.Result {
	_ = n.SetDeadline(a.deadline.Add(a.c.graces.answer))
	stop := a.endWith(ctx, n, "")
	answer, err := a.post(n)
	stop()
	if err == nil && answer.status == http.StatusOK {
		if e, fault := parseEnding([]byte(answer.header.Get(endingHeader))); fault == nil {
			a.done(n, answer.last)
			if len(answer.body) == 0 && !e.Delivered {
				answer.body = nil
			}
			return a.result(&e, answer.body, nil)
		}
	}
	a.c.drop(n)
	return a.ask(ctx, nil)
}

// done gives back the connection of an attempt that has its answer.
func (a *attempt) done(n *conn, last bool) {
	if last {
		a.c.drop(n)
		return
	}
	a.c.keep(n)
}

func (a *attempt) post(n *conn) (*answer, error) {
	a.sent = time.Now()
	n.head = a.head(n.head[:0], "/v1/invoke", 0)
	n.head = append(n.head, "Content-Length: "...)
	n.head = append(strconv.AppendInt(n.head, int64(len(a.r.Payload)), 10), "\r\n\r\n"...)
	if err := n.writeAll(n.head, a.r.Payload); err != nil {
		return nil, err
	}
	return readAnswer(n.br)
}

// smallRequest is how much of a request is joined into one piece.
const smallRequest = 16 << 10

// writeAll writes head and body, as one record of TLS where that is short.
func (n *conn) writeAll(head, body []byte) error {
	if len(head)+len(body) <= smallRequest {
		n.head = append(head, body...)
		_, err := n.Write(n.head)
		return err
	}
	if _, err := n.Write(head); err != nil {
		return err
	}
	_, err := n.Write(body)
	return err
}
