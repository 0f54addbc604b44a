package remote

import (
	"context"
	"errors"
	"net"
	"testing"
)

// TestCloseEndsDials: who waits for a connection when the client is closed waits no more.
func TestCloseEndsDials(t *testing.T) {
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	config, err := ca.Client()
	if err != nil {
		t.Fatal(err)
	}
	dialing := make(chan struct{})
	c := DialWith(func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		return nil, ctx.Err()
	}, "192.0.2.1:1", config)
	go func() { <-dialing; c.Close() }()
	if _, err := c.Health(context.Background()); !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
}
