package agent

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkWarm is one call of a function that is ready.
func BenchmarkWarm(b *testing.B) {
	i := start(b, configOf(b, "echo"))
	payload := []byte(`{"a":1}`)
	b.ReportAllocs()
	for b.Loop() {
		e := i.Invoke(context.Background(), Event{ID: "id", Payload: payload, Deadline: time.Now().Add(time.Minute)})
		if e.FunctionError != "" || !e.Delivered {
			b.Fatal(string(e.Payload))
		}
	}
}

// BenchmarkCold is fork to first answer, and the reaping.
func BenchmarkCold(b *testing.B) {
	c := configOf(b, "echo")
	for b.Loop() {
		i := start(b, c)
		if e := i.Invoke(context.Background(), event("id", `1`)); e.FunctionError != "" {
			b.Fatal(string(e.Payload))
		}
		i.Stop()
	}
}

// bareAPI is the least that an aws-lambda-go binary needs: what the agent is measured against.
type bareAPI struct{ events, answers chan []byte }

func (a bareAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		select {
		case event := <-a.events:
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "id")
			w.Header().Set("Lambda-Runtime-Deadline-Ms", "4000000000000")
			w.Write(event)
		case <-r.Context().Done():
		}
		return
	}
	answer, _ := io.ReadAll(r.Body)
	w.WriteHeader(http.StatusAccepted)
	a.answers <- answer
}

func bare(b *testing.B) (bareAPI, func()) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	api := bareAPI{make(chan []byte), make(chan []byte)}
	server := &http.Server{Handler: api}
	go server.Serve(listener)
	function := exec.Command(filepath.Join(binaries, "echo"))
	function.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + listener.Addr().String()}
	function.Stderr = os.Stderr
	if err := function.Start(); err != nil {
		b.Fatal(err)
	}
	return api, func() {
		function.Process.Kill()
		function.Wait()
		server.Close()
	}
}

// BenchmarkBareWarm is the floor of BenchmarkWarm.
func BenchmarkBareWarm(b *testing.B) {
	api, stop := bare(b)
	defer stop()
	b.ReportAllocs()
	for b.Loop() {
		api.events <- []byte(`{"a":1}`)
		<-api.answers
	}
}

// BenchmarkBareCold is the floor of BenchmarkCold.
func BenchmarkBareCold(b *testing.B) {
	for b.Loop() {
		api, stop := bare(b)
		api.events <- []byte(`1`)
		<-api.answers
		stop()
	}
}
