package kube

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

// TestHurry: a pod that is to wait is not made while one that waited starts a function,
// and starts without a pause hold it up once.
func TestHurry(t *testing.T) {
	var h hurry
	begun := time.Unix(1000, 0)
	for _, step := range []struct {
		at   time.Duration
		do   func(time.Time)
		left time.Duration // afterwards
	}{
		{0, nil, 0},
		{0, h.begin, holdOrders},
		{100 * time.Millisecond, nil, holdOrders - 100*time.Millisecond},
		{100 * time.Millisecond, h.end, firstAnswer},
		{100*time.Millisecond + firstAnswer, nil, 0},
		{time.Second, h.begin, holdOrders},
		{time.Second + holdOrders - 1, h.begin, 1},
		{time.Second + holdOrders, h.end, 0},
		{time.Second + holdOrders, h.begin, 0},
		{2 * time.Second, h.end, 0},
		{2*time.Second + 1, h.begin, 0},
		{3 * time.Second, h.end, 0},
		{3*time.Second + 1, h.end, 0},
		{3*time.Second + firstAnswer + 1, h.begin, holdOrders},
		{3*time.Second + firstAnswer + 10, h.end, firstAnswer},
		{3*time.Second + firstAnswer + 11, h.begin, holdOrders - 10}, // of the first
	} {
		now := begun.Add(step.at)
		if step.do != nil {
			step.do(now)
		}
		if got := h.left(now); got != step.left {
			t.Errorf("at %s: %s left, want %s", step.at, got, step.left)
		}
	}
}

func TestOrdersWaitForStarts(t *testing.T) {
	now := time.Unix(1000, 0)
	p := &Pool{coming: []int{0}, roomless: make([]time.Time, 1), spec: specOf{pods: spillway.KubernetesPods{Sizes: []spillway.PodSize{{Ready: 2}}}}}
	p.hurry.begin(now)
	if got := p.orders(now.Add(holdOrders - 1)); len(got) > 0 {
		t.Errorf("ordered %v while a function starts", got)
	}
	if got := p.orders(now.Add(holdOrders)); len(got) != 2 {
		t.Errorf("ordered %v after that", got)
	}
}

// TestCooling: connections to pods that wait are used now and then.
func TestCooling(t *testing.T) {
	now := time.Unix(1000, 0)
	w := &pod{warmed: now}
	p := &Pool{ready: []*pod{w}}
	for _, step := range []struct {
		after time.Duration
		n     int
	}{{0, 0}, {warmEvery, 0}, {warmEvery + 1, 1}, {warmEvery + 2, 0}, {2*warmEvery + 2, 1}} {
		if got := p.cooling(now.Add(step.after)); len(got) != step.n {
			t.Errorf("after %s: %d", step.after, len(got))
		}
	}
}
