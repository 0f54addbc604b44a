package kube

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
)

// TestBackoff: a function that does not start is tried less and less often, by one start
// at a time, and everybody hears why.
func TestBackoff(t *testing.T) {
	p := &Pool{resting: map[revision]*resting{}}
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "bad"}, Revision: "v1", Image: "a"}
	now := time.Now()
	broken := fmt.Errorf("start: %w", &pools.StartError{Type: "Spillway.ImageError", Err: errors.New("nowhere")})
	refused := func(what string) {
		t.Helper()
		start, ok := errors.AsType[*pools.StartError](p.mayStart(f, now))
		if !ok || start.Type != "Spillway.ImageError" {
			t.Fatalf("%s: %v", what, start)
		}
	}
	allowed := func(what string) {
		t.Helper()
		if err := p.mayStart(f, now); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	allowed("at first")
	allowed("at first, too")
	p.tried(f, broken, now)
	p.tried(f, broken, now)
	refused("at once")
	if n := p.resting[revisionOf(f)].failed; n != 1 {
		t.Errorf("two that were begun together count as %d", n)
	}
	if why := p.FailedStarts()[f.FunctionKey]["v1"]; why != "Spillway.ImageError: nowhere" {
		t.Errorf("it is said that %q", why)
	}
	for pause := firstRest; pause < 10*longestRest; pause *= 2 {
		now = now.Add(min(pause, longestRest) - time.Millisecond)
		refused("before it is due")
		now = now.Add(2 * time.Millisecond)
		allowed("when it is due")
		refused("while one is tried")
		for _, silent := range []error{context.Canceled, fmt.Errorf("full: %w", pools.ErrNoRoom), fmt.Errorf("quota: %w", pools.ErrQuota), errors.New("?")} {
			p.tried(f, silent, now)
			allowed("after what says nothing of the function")
		}
		p.tried(f, broken, now)
	}
	other := *f
	other.Image = "b"
	if err := p.mayStart(&other, now); err != nil {
		t.Errorf("other code: %v", err)
	}
	p.tried(f, broken, now)
	now = now.Add(longestRest + time.Millisecond)
	allowed("later")
	p.tried(f, nil, now)
	allowed("after one that worked")
	allowed("after one that worked, too")
	if all := p.FailedStarts(); len(all) != 0 {
		t.Errorf("it is said of what works that %q", all)
	}
	p.tried(f, broken, now)
	if now = now.Add(4 * longestRest); len(p.resting) != 1 {
		t.Error("nothing is remembered")
	}
	if p.rested(now); len(p.resting) != 0 {
		t.Error("it is remembered for ever")
	}
}

// TestCapacityWithoutTheUndead: what should have ended takes of what the pool may have at
// most, and what an earlier run left does.
func TestCapacityWithoutTheUndead(t *testing.T) {
	p := &Pool{limit: of(4, 4000, 4000), pods: map[types.UID]*pod{}, claims: map[types.UID]claim{},
		nodes: map[string]node{"a": {of(100, 64000, 64000), true}}}
	if has := p.capacity(); has != of(4, 4000, 4000) {
		t.Fatalf("at first: %v", has)
	}
	p.claims["earlier"] = claim{"a", of(1, 100, 100), true}
	p.claims["another's"] = claim{"a", of(1, 100, 100), false}
	p.claims["ours"], p.pods["ours"] = claim{"a", of(1, 100, 100), false}, &pod{uid: "ours"}
	if has := p.capacity(); has != of(3, 3900, 3900) {
		t.Errorf("with one of an earlier run: %v", has)
	}
	p.undead(p.pods["ours"])
	if has := p.capacity(); has != of(2, 3800, 3800) {
		t.Errorf("with one that does not end: %v", has)
	}
	p.shutUntil = time.Now().Add(time.Hour)
	if has := p.capacity(); has != of(0, 0, 0) {
		t.Errorf("while no pod can be made: %v", has)
	}
}
