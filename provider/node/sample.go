package node

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/provider/guest"
	"github.com/spillway-dev/spillway/provider/idle"
	"github.com/spillway-dev/spillway/provider/usage"
)

// Kubelets say what real nodes use.
type Kubelets interface {
	// Online tells, from many goroutines, what is used on hosts by others than guests.
	Online(ctx context.Context, hosts []usage.Host, tell func(usage.Online))
}

// Measure has k be asked for what online work uses, where the rule needs to know. It
// must be called before Run.
func (n *Node) Measure(k Kubelets) { n.kubelets = k }

// sampleEvery is how often kubelets are asked. Without an answer for Forecast.Fresh a
// node counts by requests.
const sampleEvery = 15 * time.Second

// sample feeds the estimator until ctx ends, if it wants samples.
func (n *Node) sample(ctx context.Context) error {
	if n.Idle.Rule == idle.RuleRequests || n.kubelets == nil {
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		round, cancel := context.WithTimeout(ctx, sampleEvery)
		n.kubelets.Online(round, n.realNodes(), n.room.sample)
		<-round.Done() // whether all have answered or not
		cancel()
	}
	return nil
}

// realNodes are those that may take guests or have some.
func (n *Node) realNodes() []usage.Host {
	core := n.watched.cluster.Core().V1()
	nodes, err := core.Nodes().Lister().List(labels.Everything())
	if err != nil {
		return nil
	}
	guests := n.guestsByNode()
	var out []usage.Host
	for _, real := range nodes {
		if !n.room.mayHost(real) && len(guests[real.Name]) == 0 {
			continue
		}
		if kubelet := n.kubelet(real.Name); kubelet != "" && real.Labels["type"] != "virtual-kubelet" {
			out = append(out, usage.Host{Name: real.Name, Kubelet: kubelet, Guests: guests[real.Name]})
		}
	}
	return out
}

// guestsByNode names guests, and instances of functions of class offline.
func (n *Node) guestsByNode() map[string]map[string]bool {
	pods, err := n.watched.cluster.Core().V1().Pods().Lister().List(labels.Everything())
	if err != nil {
		return nil
	}
	out := map[string]map[string]bool{}
	for _, p := range pods {
		if p.Spec.NodeName == "" || guest.Terminal(p) || !n.givesWay(p) {
			continue
		}
		if out[p.Spec.NodeName] == nil {
			out[p.Spec.NodeName] = map[string]bool{}
		}
		out[p.Spec.NodeName][p.Namespace+"/"+p.Name] = true
	}
	return out
}

func (n *Node) givesWay(p *corev1.Pod) bool {
	role := n.room.role(p)
	return role == idle.Guest || role == idle.Instance
}

// sample takes what a node uses.
func (r *room) sample(o usage.Online) {
	r.mu.Lock()
	r.estimate.Sample(o.Node, idle.Usage{At: spillway.InstantOf(o.At), MilliCPU: o.MilliCPU, MiB: o.MiB})
	r.mu.Unlock()
	r.touch()
}
