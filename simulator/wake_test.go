package simulator_test

import (
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
)

// TestWindowOpens has a call wait for a place that is free in four minutes, and a burst
// window that opens in two: it goes to the cloud then.
func TestWindowOpens(t *testing.T) {
	w := newWorld(t, 1, "a")
	p, minute := w.config.Platform, start.Time().Hour()*60+start.Time().Minute()
	for i := range p.BurstPolicies {
		p.BurstPolicies[i].Windows = []spillway.BurstWindow{{Days: [7]bool{true, true, true, true, true, true, true},
			From: minute + 2, To: minute + 60, Location: time.UTC}}
	}
	f := p.Functions[0]
	f.MaxWait, f.Deadline, f.Timeout, f.Bindings[cloud].Timeout = 5*time.Minute, 10*time.Minute, 5*time.Minute, 5*time.Minute
	r := w.run(call(0, 4*time.Minute), call(10*time.Second, time.Second))
	if by := r.Functions[0].ByPool; by[cloud].Executed != 1 || by[onprem].Executed != 1 {
		t.Errorf("%d calls in the cloud, %d on-prem", by[cloud].Executed, by[onprem].Executed)
	}
}
