package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// rawResult is one round of load on raw connections.
type rawResult struct{ requests, lost int }

// fireRaw runs a closed loop on connections of its own, as wrk does: the whole
// request is written at once and a connection is used until the peer ends it.
func fireRaw(ctx context.Context, workers int, length time.Duration, p peer, body []byte) (all rawResult) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	ends := time.Now().Add(length)
	for range workers {
		wg.Go(func() {
			r := rawLoop(ctx, ends, p, body)
			mu.Lock()
			defer mu.Unlock()
			all.requests += r.requests
			all.lost += r.lost
		})
	}
	wg.Wait()
	return all
}

func rawLoop(ctx context.Context, ends time.Time, p peer, body []byte) (r rawResult) {
	request := rawRequest(p, body)
	for time.Now().Before(ends) && ctx.Err() == nil {
		conn, err := net.Dial("tcp", request.host)
		if err != nil {
			r.lost++
			continue
		}
		br := bufio.NewReaderSize(conn, 32<<10)
		for time.Now().Before(ends) && ctx.Err() == nil {
			r.requests++
			if !request.answered(conn, br) {
				r.lost++
				break
			}
		}
		conn.Close()
	}
	return r
}

// raw is a request as it goes on the wire.
type raw struct {
	host string
	text []byte
}

func rawRequest(p peer, body []byte) raw {
	u, err := url.Parse(p.url)
	if err != nil { // made by this program
		panic(err)
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, len(body))
	if p.token != "" {
		head += "Authorization: Bearer " + p.token + "\r\n"
	}
	return raw{u.Host, append([]byte(head+"\r\n"), body...)}
}

// answered makes one exchange and reports whether the connection can be used again.
func (q raw) answered(conn net.Conn, br *bufio.Reader) bool {
	if _, err := conn.Write(q.text); err != nil {
		return false
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && !resp.Close
}
