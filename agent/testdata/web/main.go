// Web is a web function that shows what it sees and misbehaves when told to.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	switch os.Getenv("PROBE_INIT") {
	case "exit":
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	case "burn":
		burn()
		return
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	for path, h := range map[string]http.HandlerFunc{
		"/echo": echo, "/sees": sees, "/stream": stream, "/duplex": duplex, "/trailers": trailers, "/big": big,
		"/hints": hints, "/status": status, "/early": early, "/hang": hang, "/exit": exit, "/half": half,
		"/raw": raw, "/lazy": lazy, "/close": closing, "/env": env, "/now": func(http.ResponseWriter, *http.Request) { now <- struct{}{} }, "/child": child, "/partly": partly,
		"/unlisten": func(w http.ResponseWriter, _ *http.Request) {
			_ = listener.Close()
			w.WriteHeader(http.StatusNoContent)
		},
	} {
		mux.HandleFunc(path, h)
	}
	server := &http.Server{Handler: mux}
	if text := os.Getenv("PROBE_IDLE"); text != "" {
		server.IdleTimeout, _ = time.ParseDuration(text)
	}
	if most, err := strconv.Atoi(os.Getenv("PROBE_CONNS")); err == nil {
		listener = fewConns(server, listener, most)
	}
	err = server.Serve(listener)
	if errors.Is(err, net.ErrClosed) {
		select {} // told to listen no more
	}
	panic(err)
}

// child has a process of its own do the work.
func child(w http.ResponseWriter, _ *http.Request) {
	command := exec.Command("/proc/self/exe")
	command.Env = []string{"PROBE_INIT=burn"}
	if err := command.Run(); err != nil {
		panic(err)
	}
	w.WriteHeader(http.StatusNoContent)
}

// burn uses 300 ms of a processor.
func burn() {
	var used syscall.Rusage
	for used.Utime.Nano()+used.Stime.Nano() < int64(300*time.Millisecond) {
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	}
}

// fewConns leaves connections unaccepted while most of them are open, as servers do
// that have a thread for each.
func fewConns(server *http.Server, l net.Listener, most int) net.Listener {
	threads := make(chan struct{}, most)
	server.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			<-threads
		}
	}
	return &threaded{l, threads}
}

type threaded struct {
	net.Listener
	threads chan struct{}
}

func (t *threaded) Accept() (net.Conn, error) {
	t.threads <- struct{}{}
	return t.Listener.Accept()
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/x-echo")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// sees answers what came, one field a line, and the length of the body last.
func sees(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	lines := []string{r.Method + " " + r.RequestURI, "Host: " + r.Host}
	for name, values := range r.Header {
		lines = append(lines, name+": "+strings.Join(values, "|"))
	}
	for name, values := range r.Trailer {
		lines = append(lines, "trailer "+name+": "+strings.Join(values, "|"))
	}
	slices.Sort(lines[2:])
	fmt.Fprintf(w, "%s\nbody %d via %s\n", strings.Join(lines, "\n"), n, r.RemoteAddr)
}

// stream sends its head and then nothing.
func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

// duplex answers each piece of the body before it reads the next.
func duplex(w http.ResponseWriter, r *http.Request) {
	http.NewResponseController(w).EnableFullDuplex()
	w.(http.Flusher).Flush()
	buffer := make([]byte, 1024)
	for {
		n, err := r.Body.Read(buffer)
		w.Write([]byte(strings.ToUpper(string(buffer[:n]))))
		w.(http.Flusher).Flush()
		if err != nil {
			return
		}
	}
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	fmt.Fprint(w, "body")
	if r.URL.Query().Has("flush") {
		w.(http.Flusher).Flush()
	}
	w.Header().Set("X-Sum", "4")
}

func big(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	if r.URL.Query().Has("length") {
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	io.Copy(w, io.LimitReader(zeroes{}, int64(n)))
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

func hints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</a.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	fmt.Fprint(w, "done")
}

func status(w http.ResponseWriter, r *http.Request) {
	code, _ := strconv.Atoi(r.URL.Query().Get("code"))
	w.Header().Set("X-Code", strconv.Itoa(code))
	w.WriteHeader(code)
}

// early answers without reading the body.
func early(w http.ResponseWriter, _ *http.Request) {
	http.NewResponseController(w).EnableFullDuplex()
	w.WriteHeader(http.StatusRequestEntityTooLarge)
	fmt.Fprint(w, "no, thanks")
}

// partly answers how much of the body came, whole or not.
func partly(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, n)
}

func hang(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) }

func exit(http.ResponseWriter, *http.Request) { os.Exit(3) }

// half begins an answer and dies.
func half(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, "half")
	w.(http.Flusher).Flush()
	time.Sleep(20 * time.Millisecond)
	os.Exit(3)
}

// raw answers the query as it is, whatever that means, and closes.
func raw(w http.ResponseWriter, r *http.Request) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	io.WriteString(conn, r.URL.Query().Get("say"))
	_ = conn.(*net.TCPConn).CloseWrite()
}

func closing(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }

func env(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, strings.Join(os.Environ(), "\n")) }
