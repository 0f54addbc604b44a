package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
)

// now lets lazy say what it was to say later.
var now = make(chan struct{})

// lazy answers with what the query says and leaves the body unread: it takes what
// comes next for another request, as servers do that count on the body being read.
// What it says "later" waits for a request for /now, on another connection.
// What the query says "then" is written when something of that has come; told to
// "hold", it reads nothing at all.
func lazy(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	say := r.URL.Query()
	io.WriteString(conn, say.Get("say"))
	if later := say.Get("later"); later != "" {
		<-now
		io.WriteString(conn, later)
	}
	if say.Has("hold") {
		select {}
	}
	if then := say.Get("then"); then != "" {
		if _, err := rw.Reader.Peek(1); err == nil {
			io.WriteString(conn, then)
		}
	}
	serveRest(conn, rw.Reader)
}

// serveRest answers with the line of each request that it believes to see.
func serveRest(conn io.Writer, in *bufio.Reader) {
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		text := "took " + r.Method + " " + r.RequestURI
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
}
