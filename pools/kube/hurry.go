package kube

import "time"

const (
	// holdOrders is how long the pod that takes the place of another waits at most for
	// that one to have started its function: kubelet and the containers' runtime want the
	// processors that a call waits for.
	holdOrders = 250 * time.Millisecond
	// firstAnswer is what the first call of a function that has started is left.
	firstAnswer = 20 * time.Millisecond
)

// hurry is the starts in pods that waited. It is pure.
type hurry struct {
	starts int
	since  time.Time // one of them has been under way, or its first call
	until  time.Time // once there are none
}

func (h *hurry) begin(now time.Time) {
	if h.left(now) == 0 && h.starts == 0 {
		h.since = now
	}
	h.starts++
}

func (h *hurry) end(now time.Time) {
	h.starts--
	h.until = now.Add(firstAnswer)
}

// left is how much longer no pod is made that is to wait. Starts without a pause hold
// nothing up for longer than one does.
func (h *hurry) left(now time.Time) time.Duration {
	until := h.since.Add(holdOrders)
	if h.starts == 0 && h.until.Before(until) {
		until = h.until
	}
	return max(0, until.Sub(now))
}
