// Package freeport has TCP ports for programs of tests that cannot take port 0, or that
// leave theirs and want it again.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Of returns n different ports of 127.0.0.1 that nobody listens on. They are not of
// those that the kernel gives to whoever asks for any, so that it takes none of them
// before it is listened on.
func Of(t testing.TB, n int) (ports []string) {
	t.Helper()
	for range 1000 {
		if len(ports) == n {
			return ports
		}
		port := strconv.Itoa(20000 + rand.IntN(10000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close() // not before all are found
		ports = append(ports, port)
	}
	t.Fatalf("%d free ports, want %d", len(ports), n)
	return nil
}
