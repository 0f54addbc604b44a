package remote_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
)

// TestWarm: on connections that are open a function starts, is watched and called
// without another one.
func TestWarm(t *testing.T) {
	ca, config := authority(t)
	p, err := launch(ca, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	var dialled atomic.Int64
	c := remote.DialWith(func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}, p.addr, config)
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 3 {
		if err := c.Warm(ctx, 2); err != nil || dialled.Load() != 2 {
			t.Fatalf("%d connections, %v", dialled.Load(), err)
		}
	}
	archive, packed := packedOf(t, agentProbe)
	f := functionOf(t, agentProbe)
	f.Package.Digest = digestOf(archive)
	if err := c.SendPacked(ctx, f.Package.Digest, digestOf(packed), bytes.NewReader(packed), int64(len(packed))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(ctx, remote.SpecOf(f)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait(ctx) }()
	if r := c.Invoke(ctx, request(f, `{}`)); r.Outcome.Class != spillway.Executed {
		t.Errorf("%+v", r.Outcome)
	}
	if dialled.Load() != 2 {
		t.Errorf("%d connections", dialled.Load())
	}
	p.kill()
	if err := <-ended; err == nil {
		t.Error("the end of an agent is that of its function")
	}
	if err := c.Warm(ctx, 2); err == nil {
		t.Error("an agent that is gone is warm")
	}
}
