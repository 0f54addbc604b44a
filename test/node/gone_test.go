package node

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ghost makes a node that nobody runs: what happens to its pods, the test says. It stays
// ready until vanish deletes it.
func (w *world) ghost() (vanish func()) {
	w.t.Helper()
	nodes := w.client.CoreV1().Nodes()
	_, err := nodes.Create(w.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "ghost"}}, metav1.CreateOptions{})
	must(w.t, err)
	w.until("the ghost is ready", func() error { // the controller-manager writes it too
		n, err := nodes.Get(w.t.Context(), "ghost", metav1.GetOptions{})
		if err != nil {
			return err
		}
		n.Status.Allocatable = corev1.ResourceList{
			corev1.ResourceCPU: quantity("16"), corev1.ResourceMemory: quantity("32Gi"), corev1.ResourcePods: quantity("110"), corev1.ResourceEphemeralStorage: quantity("100Gi"),
		}
		n.Status.Capacity = n.Status.Allocatable
		now := metav1.Now()
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Test", LastHeartbeatTime: now, LastTransitionTime: now}}
		_, err = nodes.UpdateStatus(w.t.Context(), n, metav1.UpdateOptions{})
		return err
	})
	ended, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); w.beats("ghost", ended) }()
	stop := sync.OnceFunc(func() { close(ended); <-done })
	w.t.Cleanup(stop)
	return func() {
		w.t.Helper()
		stop()
		must(w.t, nodes.Delete(w.t.Context(), "ghost", metav1.DeleteOptions{}))
	}
}

// beats has the cluster hear of a node until ended.
func (w *world) beats(node string, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(5 * time.Second):
		}
		now := metav1.Now().UTC().Format(time.RFC3339)
		beat := fmt.Appendf(nil, `{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":%q}]}}`, now)
		// One that is missed is made good by the next.
		_, _ = w.client.CoreV1().Nodes().Patch(w.t.Context(), node, types.StrategicMergePatchType, beat, metav1.PatchOptions{}, "status")
	}
}

// haunt says of a guest on the ghost what a kubelet would.
func (w *world) haunt(v *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) {
	w.t.Helper()
	w.until("a guest is on the ghost", func() error {
		for _, g := range w.guests(v) {
			if g.Spec.NodeName != "ghost" || g.DeletionTimestamp != nil {
				continue
			}
			g.Status.Phase = phase
			g.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", Image: work, State: state, ContainerID: "test://1", Ready: phase == corev1.PodRunning}}
			_, err := w.client.CoreV1().Pods(g.Namespace).UpdateStatus(w.t.Context(), &g, metav1.UpdateOptions{})
			return err
		}
		return errorf("there is none: %s", w.podOf("haunted").Status.Message)
	})
}

// nodesGo: a node's object is deleted with a guest on it, and meanwhile another node's
// kubelet does not answer.
func nodesGo(t *testing.T, w *world, _ *trail) {
	vanish := w.ghost()
	w.create(sized("haunted", 9000, "print=done"))
	v := w.podOf("haunted")
	started := metav1.Now()
	w.haunt(v, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}})
	l := w.latch()
	w.create(job("patient", l.hold, "print=done"))
	patient, _ := w.running("patient")

	must(t, w.Stop(t.Context(), "kubelet"))
	l.open() // its end nobody hears of
	vanish()
	w.says(v, "NodeGone")
	w.says(patient, "NodeNotReady")
	if p := w.podOf("patient"); p.Status.Phase != corev1.PodRunning {
		t.Errorf("on a node that does not answer it is %s: %s", p.Status.Phase, p.Status.Message)
	}
	must(t, w.Cluster.Start(t.Context(), "kubelet"))
	w.unharmed(patient, "patient")
	w.until("the pod of the lost guest looks for another place", func() error {
		if p := w.podOf("haunted"); p.Status.Phase != corev1.PodPending {
			return errorf("%s: %s", p.Status.Phase, p.Status.Message)
		}
		return nil
	})
	vanish = w.ghost()
	now := metav1.Now()
	w.haunt(v, corev1.PodSucceeded, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}})
	w.unharmed(v, "haunted")
	vanish()
}

// takeover says how long it takes until the node is there: for the first time, and
// after its process was killed.
func takeover(t *testing.T, w *world, _ *trail) {
	w.stop()
	must(t, w.client.CoreV1().Nodes().Delete(t.Context(), name, metav1.DeleteOptions{}))
	at := time.Now()
	w.serve()
	t.Logf("start until the node is ready: %s", time.Since(at).Round(time.Millisecond))

	l := w.latch()
	w.create(job("held", l.hold, "print=done"))
	v, _ := w.running("held")
	at = time.Now()
	w.kill()
	before := w.holder()
	w.begin()
	w.until("another process has started", w.alive)
	slow := time.Since(at)
	w.until("another process is the node", func() error {
		if now := w.holder(); now == before || now == "" {
			return errorf("%s is", now)
		}
		return nil
	})
	took := time.Since(at)
	l.open()
	w.unharmed(v, "held")
	n, err := w.client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	for _, c := range n.Status.Conditions {
		// A machine that is too busy to start a process leaves too little of the cluster's patience, 50 s.
		if c.Type == corev1.NodeReady && slow < 15*time.Second && (c.Status != corev1.ConditionTrue || c.LastTransitionTime.After(at)) {
			t.Errorf("the cluster took the node for lost: %+v", c)
		}
	}
	if took-slow > 40*time.Second { // a Lease's 15 s and 2 s, and what a busy machine adds
		t.Errorf("%s after it had started, another process is the node", took-slow)
	}
	t.Logf("killed until another process has started: %s; is the node: %s", slow.Round(time.Millisecond), took.Round(time.Millisecond))
}

// alive says that the node's process answers, whether it has the Lease or not.
func (w *world) alive() error {
	client := http.Client{Timeout: 5 * time.Second, Transport: insecure(w.Dial)}
	defer client.CloseIdleConnections()
	answer, err := client.Get("http://" + health + "/healthz")
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// holder is who holds the node's Lease.
func (w *world) holder() string {
	w.t.Helper()
	lease, err := w.client.CoordinationV1().Leases("spillway-system").Get(w.t.Context(), name, metav1.GetOptions{})
	must(w.t, err)
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}
