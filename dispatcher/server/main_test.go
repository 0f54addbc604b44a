package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/dispatcher/internal/testplatform"
	"github.com/spillway-dev/spillway/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// permitAll is a policy that permits everything.
type permitAll struct{ p *spillway.Platform }

func (p permitAll) Evaluate(context.Context, spillway.Instant, policy.Input) *policy.Verdict {
	return testplatform.PermitAll(p.p)
}

// bookOnly is a ledger in memory that can be told to fail.
type bookOnly struct {
	mu        sync.Mutex
	begun     []billing.Entry
	intents   []billing.Entry
	lines     []billing.Entry
	explained map[string][]byte
	full      bool // no room for another call
	noIntent  bool
	refused   int // lines that are not taken
}

// refuse has the next n lines fail.
func (b *bookOnly) refuse(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refused = n
}

var errFull = errors.New("no space left")

func (b *bookOnly) Reserve() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.full {
		return errFull
	}
	return nil
}

func (b *bookOnly) Release() {}

func (b *bookOnly) Begin(e *billing.Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begun = append(b.begun, *e)
	return nil
}

func (b *bookOnly) Intent(_ context.Context, e *billing.Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.noIntent {
		return errFull
	}
	b.intents = append(b.intents, *e)
	return nil
}

func (b *bookOnly) Post(e *billing.Entry) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refused > 0 {
		b.refused--
		return errFull
	}
	b.lines = append(b.lines, *e)
	return nil
}

func (b *bookOnly) Explain(id string, _ time.Time, text []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.explained == nil {
		b.explained = map[string][]byte{}
	}
	b.explained[id] = text
}

func (b *bookOnly) Decision(_ context.Context, id string) (json.RawMessage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.explained[id], nil
}

func (b *bookOnly) Health() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.noIntent {
		return errFull
	}
	return nil
}

func (b *bookOnly) set(full, noIntent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.full, b.noIntent = full, noIntent
}

func (b *bookOnly) kinds() map[billing.Kind]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := map[billing.Kind]int{}
	for _, e := range b.lines {
		n[e.Kind]++
	}
	return n
}
