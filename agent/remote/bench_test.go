package remote_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/process"
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
	remote := newStarter(b)
	body := strings.Repeat("b", 1<<10)
	for _, pool := range []struct {
		name string
		pools.Starter
	}{{"process", local}, {"remote", remote}} {
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
