package scf

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"
)

// body is an answer of some bytes. With the last but one it calls at.
type body struct {
	left int
	at   func()
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), max(b.left-1, 1))
	if b.left -= n; b.left == 1 {
		b.at()
	}
	return n, nil
}

// TestSlowAnswers has answers that stop before their end. They hold up others only
// where memory for those is short: huge ones, which no function gives, never others.
func TestSlowAnswers(t *testing.T) {
	b := newBounded(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var all sync.WaitGroup
	release := make(chan struct{})
	defer all.Wait()
	defer close(release)
	slow := func(size int) {
		stuck := make(chan struct{})
		all.Go(func() {
			if got, err := b.read(ctx, &body{size, func() { close(stuck); <-release }}); err != nil || len(got) != size {
				t.Errorf("%v: %d bytes of %d", err, len(got), size)
			}
		})
		select {
		case <-stuck:
		case <-ctx.Done():
			t.Fatal("a slow answer waits for others")
		}
	}
	const large, huge = 2 << 20, 9 << 20
	for range hugeAtOnce {
		slow(huge)
	}
	for range 4 {
		slow(large)
	}
	if got, err := b.read(ctx, &body{large, func() {}}); err != nil || len(got) != large {
		t.Errorf("%v: %d bytes of a large answer beside slow ones", err, len(got))
	}
	for range 10 {
		gaveUp, giveUp := context.WithCancel(ctx)
		if _, err := b.read(gaveUp, &body{hugeBody + 1, giveUp}); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: one more huge answer was held in memory", err)
		}
	}
}
