// Web is a web function: a plain HTTP server that listens where PORT says.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway/examples/functions/internal/executionlog"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", hello)
	mux.HandleFunc("GET /count", count)
	mux.HandleFunc("POST /echo", echo)
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func hello(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "hello %s, this is %s%s\n", r.Header.Get("X-Spillway-Caller"), r.Header.Get("X-Forwarded-Prefix"), r.URL.Path)
}

// count sends server-sent events, ?n= of them, ten a second.
func count(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 1 {
		http.Error(w, "n must be a positive number", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for i := range n {
		_, _ = fmt.Fprintf(w, "data: %d\n\n", i+1)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}

// echo answers the body while it arrives.
func echo(w http.ResponseWriter, r *http.Request) {
	out, end, err := recorded(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer end()
	w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
	if r.ContentLength >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	_ = http.NewResponseController(w).EnableFullDuplex()
	_, _ = io.Copy(out, r.Body) // fails only when the caller has gone
}

// recorded is w that records the execution, if EXECUTION_LOG names a file.
func recorded(w io.Writer, r *http.Request) (out io.Writer, end func(), err error) {
	if os.Getenv("EXECUTION_LOG") == "" {
		return w, func() {}, nil
	}
	end, err = executionlog.BeginRequest(r.Header.Get("X-Request-Id"))
	return &untilLast{w, r.ContentLength, end}, end, err
}

// untilLast calls last before the write that completes an answer of left bytes:
// whoever reads the answer may count the execution as over then.
type untilLast struct {
	io.Writer
	left int64
	last func()
}

func (u *untilLast) Write(p []byte) (int, error) {
	if u.left -= int64(len(p)); u.left == 0 {
		u.last()
	}
	return u.Writer.Write(p)
}
