package kubetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Dial connects out of the test's process to an address inside the cluster: of the
// API server, the node or a pod. It fits rest.Config.Dial and http.Transport.DialContext.
// Names are not resolved.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial into the cluster, which has no names: %w", err)
	}
	return within(c, func() (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) })
}

// Listen listens in the test's process on an address inside the cluster; pods reach
// it at NodeAddress.
func (c *Cluster) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("listen in the cluster, which has no names: %w", err)
	}
	return within(c, func() (net.Listener, error) { return new(net.ListenConfig).Listen(ctx, network, address) })
}

// within makes a socket in the cluster's network, to which it belongs from then on.
// The calling thread goes there and back.
func within[T any](c *Cluster, make func() (T, error)) (T, error) {
	var none T
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.pid))
	if err != nil {
		return none, fmt.Errorf("network of the cluster: %w", err)
	}
	defer there.Close()
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return none, err
	}
	defer here.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return none, fmt.Errorf("enter the network of the cluster: %w", err)
	}
	socket, err := make()
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread stays locked, and ends with its goroutine.
		return none, errors.Join(err, fmt.Errorf("leave the network of the cluster: %w", back))
	}
	runtime.UnlockOSThread()
	return socket, err
}
