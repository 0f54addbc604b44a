package agent

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
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

// BenchmarkExchange is one request of a web function that is ready; cpu-µs/op is
// what this process spends on it.
func BenchmarkExchange(b *testing.B) {
	for _, instances := range []int{1, 16} {
		b.Run(strconv.Itoa(instances), func(b *testing.B) {
			all := make(chan *Instance, instances)
			for range instances {
				all <- start(b, webConfig(b))
			}
			b.SetParallelism((instances + 1) / 2)
			b.ReportAllocs()
			b.ResetTimer()
			before := ownCPU()
			life, end := context.WithCancel(context.Background()) // of a server: all calls have it
			defer end()
			b.RunParallel(func(pb *testing.PB) {
				x := postOf("/echo", `{"a":1}`)
				x.Deadline = time.Now().Add(time.Hour)
				caller, gone := context.WithCancel(context.Background())
				defer gone()
				x.Web.Caller = caller
				for pb.Next() {
					i := <-all
					if e := i.Exchange(life, x); e.Web == nil || e.Cause != 0 {
						b.Error(string(e.Payload))
					}
					all <- i
				}
			})
			b.ReportMetric(float64((ownCPU()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// BenchmarkExchangeAnew is BenchmarkExchange with a caller other than the one before, and
// so on a new connection each time, to a function that has a user of its own.
func BenchmarkExchangeAnew(b *testing.B) {
	i := start(b, webConfig(b))
	i.config.Credential = &syscall.Credential{Uid: uint32(os.Getuid())}
	x := [2]Exchange{calledBy("A", postOf("/echo", `{"a":1}`)), calledBy("B", postOf("/echo", `{"a":1}`))}
	b.ReportAllocs()
	b.ResetTimer()
	before := ownCPU()
	for n := range b.N {
		x[n%2].Deadline = time.Now().Add(time.Minute)
		if e := i.Exchange(context.Background(), x[n%2]); e.Web == nil || e.Cause != 0 {
			b.Fatal(string(e.Payload))
		}
	}
	b.ReportMetric(float64((ownCPU()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkBareExchange is the floor of BenchmarkExchange: the same bytes, written and
// read on a connection with nobody looking at them.
func BenchmarkBareExchange(b *testing.B) {
	i := start(b, webConfig(b))
	conn, err := net.Dial("tcp4", "127.0.0.1:"+strconv.Itoa(i.web.port))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	x := postOf("/echo", `{"a":1}`)
	request := append(appendHead(nil, x.Web, len(x.Body)), x.Body...)
	answer := make([]byte, 32<<10)
	b.ReportAllocs()
	b.ResetTimer()
	before := ownCPU()
	for range b.N {
		if _, err := conn.Write(request); err != nil {
			b.Fatal(err)
		}
		if _, err := conn.Read(answer); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((ownCPU()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
