package kube

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// load is what a fault must not touch: calls of instances that are there, fewer at once
// than there are places.
func (f *faults) load(t *testing.T, name string, fault func()) (all, bad []probed) {
	t.Helper()
	p := f.probe(f.n, name, "witness", 2, 20)
	f.until(waiting, "load", func() error {
		if p.count() < 20 {
			return fmt.Errorf("%d calls", p.count())
		}
		return nil
	})
	// What made way for the load has to be gone: its place is lost while nobody can be told.
	f.until(waiting, "what was to go is gone", f.settled)
	fault()
	f.until(waiting, "enough load to judge by", func() error {
		if p.count() < 100 {
			return fmt.Errorf("%d calls", p.count())
		}
		return nil
	})
	return p.end()
}

// burst asks for more places than there are instances, and for some that pods would have
// to be made for.
func (f *faults) burst(t *testing.T, name string, millis int) (all, bad []probed) {
	t.Helper()
	all = make([]probed, 10)
	var calls sync.WaitGroup
	for i := range all {
		calls.Go(func() { all[i] = f.callPatiently(fmt.Sprintf("%s-burst-%d", name, i), "witness", f.n, millis) })
	}
	calls.Wait()
	for _, a := range all {
		if !a.good() {
			bad = append(bad, a)
		}
	}
	return all, bad
}

// startsWithin is far less than an outage lasts.
const startsWithin = 8 * time.Second

// outage checks what the load and new starts felt of one.
func (f *faults) outage(t *testing.T, name string, fault func(during func())) {
	t.Helper()
	f.until(waiting, "pods wait", func() error { return f.answers("witness") })
	var all, bad []probed
	warm, failed := f.load(t, name, func() {
		fault(func() { all, bad = f.burst(t, name, 400) })
	})
	t.Logf("%d warm calls, %d failed, %v; new starts: %v", len(warm), len(failed), pools(warm), pools(all))
	if len(warm) < 100 || len(failed)*1000 > len(warm) {
		t.Errorf("of %d warm calls failed %d: %v", len(warm), len(failed), failed[:min(3, len(failed))])
	}
	if len(bad) > 0 || pools(all)["lambda"] == 0 {
		t.Errorf("new starts: %v, failed: %v", pools(all), bad)
	}
	for _, a := range all {
		if a.took > startsWithin {
			t.Errorf("%s waited %s", a.id, a.took)
		}
	}
	f.until(waiting, "pods are made again", func() error {
		waiting, err := f.client.CoreV1().Pods("spillway-pool").List(t.Context(), metav1.ListOptions{LabelSelector: "spillway.dev/size"})
		if err != nil || len(waiting.Items) < 2 {
			return fmt.Errorf("%d, %w", len(waiting.Items), err)
		}
		return f.answers("witness")
	})
	f.until(waiting, "what was to go is gone", f.settled)
}

// settled reports that the kubelet knows of all pods that are to go, which it may not for
// half a minute after the API server was away.
func (f *faults) settled() error {
	all, err := f.client.CoreV1().Pods("").List(f.t.Context(), metav1.ListOptions{LabelSelector: "spillway.dev/pool"})
	if err != nil {
		return err
	}
	for i := range all.Items {
		if o := &all.Items[i]; o.DeletionTimestamp != nil {
			return fmt.Errorf("%s is to go since %s", o.Name, o.DeletionTimestamp)
		}
	}
	return nil
}

// outageLasts is longer than any Lease, memory of an identity or watch without an answer.
const outageLasts = time.Minute

// apiServerGone: the server keeps its Lease, which it cannot renew.
func apiServerGone(t *testing.T, f *faults) {
	f.outage(t, "api", func(during func()) {
		must(t, f.Stop(t.Context(), "kube-apiserver"))
		back := time.After(outageLasts)
		time.Sleep(5 * time.Second)
		during()
		<-back
		must(t, f.Start(t.Context(), "kube-apiserver"))
		f.until(waiting, "the API server answers", f.apiAnswers)
		time.Sleep(3 * time.Second)
	})
}

func (f *faults) apiAnswers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := f.client.CoreV1().Nodes().Get(ctx, kubetest.Node, metav1.GetOptions{})
	return err
}

func etcdRestarts(t *testing.T, f *faults) {
	f.outage(t, "etcd", func(during func()) {
		must(t, f.Stop(t.Context(), "etcd"))
		time.Sleep(2 * time.Second)
		during()
		must(t, f.Start(t.Context(), "etcd"))
		f.until(waiting, "the API server answers", f.apiAnswers)
		time.Sleep(3 * time.Second)
	})
}

// nodeNotReady: the kubelet has ended. What runs runs on; nothing new is put there.
func nodeNotReady(t *testing.T, f *faults) {
	ready := func(want corev1.ConditionStatus) func() error {
		return func() error {
			n, err := f.client.CoreV1().Nodes().Get(t.Context(), kubetest.Node, metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, c := range n.Status.Conditions {
				if c.Type == corev1.NodeReady && c.Status == want {
					return nil
				}
			}
			return fmt.Errorf("ready is not %s", want)
		}
	}
	f.outage(t, "node", func(during func()) {
		_, done := f.inFlight(t, "on-the-node", "witness", 15_000)
		must(t, f.Stop(t.Context(), "kubelet"))
		f.until(waiting, "the node is not ready", ready(corev1.ConditionUnknown))
		if a := <-done; !a.good() || f.n.look(a.id).began != 1 {
			t.Errorf("in flight: %v", a)
		}
		time.Sleep(time.Second)
		during()
		must(t, f.Start(t.Context(), "kubelet"))
		f.until(waiting, "the node is ready", ready(corev1.ConditionTrue))
	})
}

// rollout: one server ends and the next begins, under load. Nobody notices, but for
// connections that are refused for a moment.
func rollout(t *testing.T, f *faults) {
	f.next(t, "rollout", func() { f.stop(); f.serve() })
}

// upgrade: another build takes over what the first left, and the first what that left.
func upgrade(t *testing.T, f *faults) {
	first, other := f.spillway, filepath.Join(f.dir, "other", "spillway")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags=-s -w", "-o", other, "../../cmd/spillway")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as the first, but for what is linked
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("build another: %v\n%s", err, out)
	}
	defer func() { f.spillway = first }()
	for i, name := range []string{"upgrade", "downgrade"} {
		f.next(t, name, func() { f.stop(); f.spillway = []string{other, first}[i]; f.serve() })
	}
}

// serverKilled: what was in flight is lost with the server; all else is as in a rollout.
func serverKilled(t *testing.T, f *faults) {
	f.next(t, "killed-server", func() {
		f.kill()
		f.serve()
	})
}

// next replaces the server under load and holds it to the places that there are.
func (f *faults) next(t *testing.T, name string, replace func()) {
	f.until(waiting, "what was to go is gone", f.settled)
	f.until(waiting, "it answers", func() error { return f.answers("witness") })
	const workers = 8
	killed := name == "killed-server"
	f.n.mu.Lock()
	f.n.most, f.n.mostIn, f.n.inPods = 0, 0, 0
	f.n.mu.Unlock()
	p := f.probe(f.n, name, "witness", workers, 100)
	some := func(n int) {
		now := p.count()
		f.until(waiting, "load", func() error {
			if p.count() < now+n {
				return fmt.Errorf("%d calls", p.count())
			}
			return nil
		})
	}
	some(100)
	replace()
	some(200)
	all, bad := p.end()
	f.n.mu.Lock()
	most, mostIn := f.n.most, f.n.mostIn
	f.n.mu.Unlock()
	longest := time.Duration(0)
	for _, a := range all {
		longest = max(longest, a.refused)
	}
	t.Logf("%d calls, %d failed, %v, refused for %s at most, %d on-prem and %d in the cloud at once", len(all), len(bad), pools(all), longest, most, mostIn)
	cut := 0 // neither answered nor refused
	for _, a := range bad {
		if a.err != nil {
			cut++
		}
	}
	if !killed && len(bad) > 0 || cut != len(bad) || cut > 2*workers {
		t.Errorf("%d of %d failed: %v", len(bad), len(all), bad[:min(4, len(bad))])
	}
	if most > places || mostIn > 20 {
		t.Errorf("%d ran on-prem at once, allowed: %d; in the cloud %d, allowed: 20", most, places, mostIn)
	}
}
