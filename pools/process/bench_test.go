package process

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/spillway-dev/spillway"
)

// BenchmarkCall is a warm call through the pool.
func BenchmarkCall(b *testing.B) {
	p := open(b, Config{})
	f := functionOf(b, probePackage)
	id := startOn(b, p, f)
	b.ReportAllocs()
	for b.Loop() {
		if r := call(p, f, id, `{}`); r.Outcome.FunctionError != "" || r.Outcome.Class != spillway.Executed {
			b.Fatal(string(r.Payload))
		}
	}
}

// BenchmarkStart is n starts at once, and the reaping of them.
func BenchmarkStart(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("atOnce=%d", n), func(b *testing.B) {
			p := open(b, Config{})
			f := functionOf(b, probePackage)
			for b.Loop() {
				var all sync.WaitGroup
				for range n {
					all.Go(func() { p.StopInstance(context.Background(), startOn(b, p, f)) })
				}
				all.Wait()
			}
		})
	}
}
