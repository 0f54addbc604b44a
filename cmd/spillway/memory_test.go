package main

import "testing"

// TestServePercent: a small server collects seldom, and a large one before its garbage
// is as large as what it uses.
func TestServePercent(t *testing.T) {
	for _, test := range []struct {
		inUse uint64
		want  int
	}{{0, 300}, {8 << 20, 300}, {32 << 20, 200}, {64 << 20, 100}, {200 << 20, 50}, {4 << 30, 50}} {
		if got := servePercent(test.inUse); got != test.want {
			t.Errorf("%d bytes in use: %d, want %d", test.inUse, got, test.want)
		}
	}
}
