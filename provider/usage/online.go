package usage

import (
	"context"
	"slices"
	"sync"
	"time"

	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// samplers is how many kubelets are asked at once for what their nodes use.
const samplers = 64

// Host is a real node.
type Host struct {
	Name    string
	Kubelet string          // HOST:PORT
	Guests  map[string]bool // NAMESPACE/NAME of pods whose use does not count
}

// Online is what everything on a node but guests uses, rounded up.
type Online struct {
	Node     string
	At       time.Time // when the kubelet measured it; never in the future
	MilliCPU int64
	MiB      int64
}

// Online asks the kubelets of hosts and tells each answer, from many goroutines at
// once, until all have answered or ctx ends. Those that did not answer the last time are
// asked last, so that they keep no other waiting.
func (u *Usage) Online(ctx context.Context, hosts []Host, tell func(Online)) {
	place := make(chan struct{}, samplers)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, h := range u.answering(hosts) {
		select {
		case <-ctx.Done():
			return
		case place <- struct{}{}:
		}
		wg.Go(func() {
			defer func() { <-place }()
			summary, err := u.one(ctx, h.Kubelet, cpuAndMemory)
			if ctx.Err() != nil && err != nil {
				return
			}
			u.heard(h, err)
			if o, ok := onlineOf(summary, h, u.Now()); ok {
				tell(o)
			}
		})
	}
}

// answering is hosts with those first that answered, or were never asked.
func (u *Usage) answering(hosts []Host) []Host {
	u.mu.Lock()
	defer u.mu.Unlock()
	var first, last []Host
	there := map[string]bool{}
	for _, h := range hosts {
		there[h.Name] = true
		if u.silent[h.Name] {
			last = append(last, h)
		} else {
			first = append(first, h)
		}
	}
	for name := range u.silent {
		if !there[name] {
			delete(u.silent, name)
		}
	}
	return slices.Concat(first, last)
}

// heard notes whether a kubelet has answered, and logs when that changes.
func (u *Usage) heard(h Host, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch was := u.silent[h.Name]; {
	case err != nil && !was:
		u.Log.Warn("what online work uses is not known, so what it asks for counts", "node", h.Name, "err", err)
		u.silent[h.Name] = true
	case err == nil && was:
		u.Log.Info("what online work uses is known again", "node", h.Name)
		delete(u.silent, h.Name)
	}
}

// onlineOf is what a node uses without its guests; false if its kubelet does not say.
func onlineOf(s *stats.Summary, h Host, now time.Time) (Online, bool) {
	if s == nil || s.Node.CPU == nil || s.Node.CPU.UsageNanoCores == nil || s.Node.Memory == nil || s.Node.Memory.WorkingSetBytes == nil {
		return Online{}, false
	}
	nano, bytes := *s.Node.CPU.UsageNanoCores, *s.Node.Memory.WorkingSetBytes
	for i := range s.Pods {
		p := &s.Pods[i]
		if !h.Guests[p.PodRef.Namespace+"/"+p.PodRef.Name] {
			continue
		}
		if p.CPU != nil {
			nano -= min(nano, orZero(p.CPU.UsageNanoCores))
		}
		if p.Memory != nil {
			bytes -= min(bytes, orZero(p.Memory.WorkingSetBytes))
		}
	}
	at := s.Node.CPU.Time.Time
	if at.IsZero() || at.After(now) {
		at = now
	}
	const milli, mebi = 1_000_000, 1 << 20
	return Online{Node: h.Name, At: at, MilliCPU: int64((nano + milli - 1) / milli), MiB: int64((bytes + mebi - 1) / mebi)}, true //nolint:gosec // of one machine
}
