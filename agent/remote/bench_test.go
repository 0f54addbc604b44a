package remote_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/process"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

// cpuUsed is the CPU time of this process.
func cpuUsed() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkCall is a warm call of the same function: through the process pool, and
// through an agent in another process over TLS on loopback.
func BenchmarkCall(b *testing.B) {
	event, web := functionOf(b, agentProbe), webFunction(b)
	local, err := process.Open(process.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = local.Close(context.Background()) })
	agents := newStarter(b)
	body := strings.Repeat("b", 1<<10)
	for _, pool := range []struct {
		name string
		pools.Starter
	}{{"process", local}, {"remote", agents}} {
		for _, c := range []struct {
			name     string
			function *spillway.Function
			request  func() pools.Request
		}{
			{"event", event, func() pools.Request { return request(event, `{}`) }},
			{"web", web, func() pools.Request { return post(web, "/echo", body) }},
		} {
			b.Run(c.name+"/"+pool.name, func(b *testing.B) {
				id := spillway.InstanceID(len(pool.name)*10 + len(c.name))
				if _, err := pool.StartInstance(context.Background(), id, c.function); err != nil {
					b.Fatal(err)
				}
				defer pool.StopInstance(context.Background(), id)
				b.ReportAllocs()
				before := cpuUsed()
				for b.Loop() {
					r := c.request()
					r.Instance = id
					if got := pool.Invoke(context.Background(), r); got.Outcome.Class != spillway.Executed || got.Outcome.FunctionError != "" {
						b.Fatalf("%+v %s", got.Outcome, got.Payload)
					}
				}
				// With the process pool that is all but the function, else all but the pod.
				b.ReportMetric(float64((cpuUsed()-before).Nanoseconds())/float64(b.N), "dispatcher-cpu-ns/op")
			})
		}
	}
}

// BenchmarkPackage sends an agent in another process the package of a Go function, as the
// zip file that developers upload and as it is packed, over connections that are open.
func BenchmarkPackage(b *testing.B) {
	archive := deflated(b, agentProbe)
	var packed bytes.Buffer
	if err := unpack.Pack(&packed, bytes.NewReader(archive), int64(len(archive))); err != nil {
		b.Fatal(err)
	}
	digest, sum := digestOf(archive), digestOf(packed.Bytes())
	for _, form := range []struct {
		name string
		size int
		send func(context.Context, *remote.Client) error
	}{
		{"zip", len(archive), func(ctx context.Context, c *remote.Client) error {
			return c.Send(ctx, digest, bytes.NewReader(archive))
		}},
		{"packed", packed.Len(), func(ctx context.Context, c *remote.Client) error {
			return c.SendPacked(ctx, digest, sum, bytes.NewReader(packed.Bytes()), int64(packed.Len()))
		}},
	} {
		b.Run(form.name, func(b *testing.B) {
			b.SetBytes(int64(form.size))
			var here, there time.Duration
			for range b.N {
				b.StopTimer()
				p, c := launched(b)
				if err := c.Warm(b.Context(), 1); err != nil {
					b.Fatal(err)
				}
				before, agentBefore := cpuUsed(), cpuOf(b, p)
				b.StartTimer()
				if err := form.send(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				here, there = here+cpuUsed()-before, there+cpuOf(b, p)-agentBefore
				c.Close()
				p.kill()
				b.StartTimer()
			}
			b.ReportMetric(float64(here.Microseconds())/float64(b.N)/1e3, "dispatcher-cpu-ms/op")
			b.ReportMetric(float64(there.Microseconds())/float64(b.N)/1e3, "agent-cpu-ms/op")
		})
	}
}

// cpuOf is the CPU time that a pod's agent has used, by its threads' schedulers.
func cpuOf(b *testing.B, p *pod) (sum time.Duration) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.command.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		var ran int64
		if _, err := fmt.Sscan(string(text), &ran); err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(ran)
	}
	return sum
}

// deflated is the zip file of the program in a directory.
func deflated(b *testing.B, dir string) []byte {
	program, err := os.ReadFile(filepath.Join(dir, "bootstrap"))
	if err != nil {
		b.Fatal(err)
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	head := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	head.SetMode(0o755)
	file, err := w.CreateHeader(head)
	if err == nil {
		_, err = file.Write(program)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
