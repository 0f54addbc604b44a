package kube_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/kube"
)

// flaky is a client whose requests may fail: before they are sent, or after they have
// been carried out.
type flaky struct {
	unsent, unanswered func(*http.Request) bool
	next               http.RoundTripper
}

var errCut = errors.New("the connection is cut")

// RoundTrip implements http.RoundTripper.
func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	if f.unsent != nil && f.unsent(r) {
		return nil, errCut
	}
	answer, err := f.next.RoundTrip(r)
	if err == nil && f.unanswered != nil && f.unanswered(r) {
		answer.Body.Close()
		return nil, errCut
	}
	return answer, err
}

func (b *bench) flaky(t *testing.T, f flaky) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", b.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Dial, config.QPS = b.Dial, -1
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { f.next = next; return &f })
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func of(method string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == method && strings.Contains(r.URL.Path, "/pods")
	}
}

// TestUnansweredCreate: a pod that was made although nobody was told is deleted.
func TestUnansweredCreate(t *testing.T) {
	b := onCluster(t)
	var cut atomic.Bool
	client := b.flaky(t, flaky{unanswered: func(r *http.Request) bool { return of(http.MethodPost)(r) && cut.CompareAndSwap(false, true) }})
	p := b.openAs(t, "unanswered", 0, func(c *kube.Config) { c.Client = client })
	f := b.image(t) // before, since no pod is made for two seconds only
	if _, err := p.StartInstance(t.Context(), 1, f); !errors.Is(err, pools.ErrNoRoom) || !errors.Is(err, errCut) {
		t.Fatalf("got %v", err)
	}
	if _, err := p.StartInstance(t.Context(), 2, f); !errors.Is(err, pools.ErrNoRoom) {
		t.Errorf("at once after that: %v", err)
	}
	made, err := b.client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelPool + "=unanswered"})
	if err != nil || len(made.Items) != 1 {
		t.Errorf("%d pods were made, %v", len(made.Items), err)
	}
	b.awaitPods(t, kube.LabelPool+"=unanswered", 0)
}

// TestStopWithoutAPI: an instance is not stopped before its pod is gone, although the API
// server does not hear of it at first.
func TestStopWithoutAPI(t *testing.T) {
	b := onCluster(t)
	var cut atomic.Int32
	client := b.flaky(t, flaky{unsent: func(r *http.Request) bool { return of(http.MethodDelete)(r) && cut.Add(1) <= 3 }})
	p := b.openAs(t, "stopped", 0, func(c *kube.Config) { c.Client = client })
	started(t, p, 1, b.function(t))
	began := time.Now()
	p.StopInstance(t.Context(), 1)
	if time.Since(began) > 20*time.Second {
		b.empty(t, kube.LabelPool+"=stopped") // it was given up, and the node goes on
	}
	left, err := b.client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelPool + "=stopped"})
	if err != nil || len(left.Items) > 0 || cut.Load() < 4 {
		t.Errorf("%d pods, %v, after %d requests", len(left.Items), err, cut.Load())
	}
}

// reach dials until an address is cut: what is open then is closed, and nobody gets there
// any more.
type reach struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex
	away string // the address without its port
	open []net.Conn
}

func (r *reach) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if host, _, _ := net.SplitHostPort(address); host == r.away {
		conn.Close()
		return nil, errCut
	}
	r.open = append(r.open, conn)
	return conn, nil
}

func (r *reach) cut(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = host
	for _, conn := range r.open {
		conn.Close()
	}
}

// TestOutlier: an instance whose agent cannot be reached is ended, and another serves.
func TestOutlier(t *testing.T) {
	b := onCluster(t)
	reach := &reach{dial: b.Dial}
	p := b.openAs(t, "outlier", 0, func(c *kube.Config) { c.Dial = reach.Dial })
	f := b.image(t)
	started(t, p, 1, f)
	invoke := func(id spillway.InstanceID) pools.Result {
		return p.Invoke(t.Context(), pools.Request{Invocation: "i", Attempt: 1, Function: f, Payload: []byte(`{}`), Deadline: time.Now().Add(time.Minute), Instance: id})
	}
	if r := invoke(1); r.Outcome.Class != spillway.Executed {
		t.Fatalf("%+v", r)
	}
	reach.cut(b.awaitPods(t, kube.LabelPool+"=outlier", 1)[0].Status.PodIP)
	r := invoke(1)
	for range 3 { // the first may have found its connection cut
		if r.Outcome.Class != spillway.NotExecuted || r.Outcome.Cause != spillway.CauseConnect || r.InstanceGone {
			break
		}
		r = invoke(1)
	}
	if r.Outcome.Class != spillway.NotExecuted || !r.InstanceGone {
		t.Fatalf("out of reach: %+v", r)
	}
	b.awaitPods(t, kube.LabelPool+"=outlier", 0)
	started(t, p, 2, f)
	if r := invoke(2); r.Outcome.Class != spillway.Executed {
		t.Errorf("its successor: %+v", r)
	}
}

// TestDeletedPods: whoever deletes a pod ends its instance, one that runs nothing at once.
func TestDeletedPods(t *testing.T) {
	b := onCluster(t)
	p := b.openAs(t, "deleted", 0)
	started(t, p, 1, b.image(t))
	pod := b.awaitPods(t, kube.LabelPool+"=deleted", 1)[0]
	if err := b.client.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case id := <-p.Exits():
		if id != 1 {
			t.Errorf("instance %d", id)
		}
	case <-time.After(waiting):
		t.Fatal("its end is not told")
	}
	if r := p.Invoke(t.Context(), pools.Request{Invocation: "i", Attempt: 1, Function: b.image(t), Deadline: time.Now().Add(time.Minute), Instance: 1}); r.Outcome.Class != spillway.NotExecuted {
		t.Errorf("after it: %+v", r)
	}
	b.awaitPods(t, kube.LabelPool+"=deleted", 0)
}

// TestNodeThatIsOut: pods that wait on a node that may run nothing new are not used, and
// go; the others come when it is back.
func TestNodeThatIsOut(t *testing.T) {
	b := onCluster(t)
	p := b.openAs(t, "out", 1)
	before := b.awaitPods(t, kube.LabelPool+"=out", 1)[0]
	cordon := func(on bool) {
		t.Helper()
		patch := []byte(`{"spec":{"unschedulable":true}}`)
		if !on {
			patch = []byte(`{"spec":{"unschedulable":null}}`)
		}
		if _, err := b.client.CoreV1().Nodes().Patch(context.Background(), before.Spec.NodeName, "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	cordon(true)
	b.awaitPods(t, kube.LabelPool+"=out", 0)
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	if _, err := p.StartInstance(ctx, 1, b.function(t)); !errors.Is(err, pools.ErrNoRoom) {
		t.Errorf("on a node that is out: %v", err)
	}
	cordon(false)
	if after := b.awaitPods(t, kube.LabelPool+"=out", 1)[0]; after.Name == before.Name || after.Status.Phase != corev1.PodRunning {
		t.Errorf("%s waits", after.Name)
	}
}

// TestNextRunSweeps: what a run left that was killed is gone after the next has opened.
func TestNextRunSweeps(t *testing.T) {
	b := onCluster(t)
	left, err := b.client.CoreV1().Pods("spillway-pool").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "left-", Labels: map[string]string{kube.LabelPool: "swept", kube.LabelOwner: "killed"}},
		Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			TerminationGracePeriodSeconds: new(int64(0)),
			Containers:                    []corev1.Container{{Name: "c", Image: b.agent, SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b.openAs(t, "swept", 0)
	b.awaitPods(t, kube.LabelOwner+"=killed", 0)
	if _, err := b.client.CoreV1().Pods("spillway-pool").Get(t.Context(), left.Name, metav1.GetOptions{}); err == nil {
		t.Error("it is still there")
	}
}

// empty waits until no pod matches a selector, as after Close on a busy machine.
func (b *bench) empty(t testing.TB, selector string) {
	t.Helper()
	for deadline := time.Now().Add(waiting); ; time.Sleep(50 * time.Millisecond) {
		left, err := b.client.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{LabelSelector: selector})
		if err == nil && len(left.Items) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d pods left, %v", len(left.Items), err)
			return
		}
	}
}

// TestStrangerCannotInvoke: an agent answers its own dispatcher only.
func TestStrangerCannotInvoke(t *testing.T) {
	b := onCluster(t)
	p := b.open(t, 1)
	started(t, p, 1, b.function(t))
	pods := b.awaitPods(t, kube.LabelPool+"=onprem,"+kube.LabelSize+"=0", 2) // and the next that waits
	stranger, err := remote.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	config, err := stranger.Client()
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods {
		c := remote.DialWith(b.Dial, net.JoinHostPort(pods[i].Status.PodIP, "8791"), config)
		if _, err := c.Health(t.Context()); err == nil {
			t.Errorf("pod %s answers a stranger", pods[i].Name)
		}
		c.Close()
	}
}

// TestNeverRuns: a pod that a node has taken and cannot run says nothing against its
// function, and its instance has no place.
func TestNeverRuns(t *testing.T) {
	b := onCluster(t)
	if err := b.Apply(t.Context(), `{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: nowhere}, handler: nowhere}`); err != nil {
		t.Fatal(err)
	}
	p := b.openAs(t, "never", 0, func(c *kube.Config) { c.Pool.Kubernetes.RuntimeClassName = "nowhere" })
	err := b.inVain(t, p)
	var blamed *pools.StartError
	if !errors.Is(err, pools.ErrNoRoom) || errors.As(err, &blamed) || !strings.Contains(err.Error(), "does not run") {
		t.Errorf("got %v", err)
	}
	select {
	case id := <-p.Placed():
		t.Errorf("instance %d has a place", id)
	default:
	}
}

// inVain is how a start ends that is given up after a node has taken its pod.
func (b *bench) inVain(t *testing.T, p *kube.Pool) (err error) {
	t.Helper()
	f := b.image(t)
	for limit := time.Now().Add(waiting); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		_, err = p.StartInstance(ctx, 1, f)
		cancel()
		if !slow(err) || time.Now().After(limit) {
			return err
		}
	}
}

// TestPlaced: an instance has its place when its container runs.
func TestPlaced(t *testing.T) {
	b := onCluster(t)
	p := b.openAs(t, "placed", 1)
	b.awaitPods(t, kube.LabelPool+"=placed", 1)
	for id, f := range []*spillway.Function{b.function(t), b.image(t)} {
		started(t, p, spillway.InstanceID(id), f)
		select {
		case got := <-p.Placed():
			if got != spillway.InstanceID(id) {
				t.Errorf("instance %d, want %d", got, id)
			}
		case <-time.After(waiting):
			t.Fatalf("the place of instance %d is not told", id)
		}
	}
}

// TestEndsBeforeItAnswers: an agent is not waited for whose container has ended.
func TestEndsBeforeItAnswers(t *testing.T) {
	b := onCluster(t)
	p := b.openAs(t, "ends", 0, func(c *kube.Config) {
		c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			pods, err := b.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: kube.LabelPool + "=ends"})
			if err != nil {
				return nil, err
			}
			for _, o := range pods.Items {
				if _, err := b.client.CoreV1().Pods(o.Namespace).Patch(ctx, o.Name, "application/merge-patch+json", []byte(`{"spec":{"activeDeadlineSeconds":1}}`), metav1.PatchOptions{}); err != nil {
					return nil, err
				}
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	_, err := begun(ctx, p, 1, b.image(t))
	var ended *pools.StartError
	if !errors.As(err, &ended) || ended.Type != "Runtime.ExitError" || !strings.Contains(err.Error(), "has ended") || ctx.Err() != nil {
		t.Errorf("got %v", err)
	}
}

// TestRenew: a pool follows its object: its capacity, and that it is gone and back.
func TestRenew(t *testing.T) {
	b := onCluster(t)
	object := spillway.Pool{Capacity: spillway.Resources{Slots: 3, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}}
	p := b.openAs(t, "renewed", 1, func(c *kube.Config) { c.Pool.Capacity = object.Capacity })
	b.awaitPods(t, kube.LabelPool+"=renewed", 1)
	_, found := p.Capacity()
	until := func(what string, slots int64) {
		t.Helper()
		for timeout := time.After(waiting); ; {
			select {
			case now := <-found:
				if now.Slots == slots {
					return
				}
			case <-timeout:
				t.Fatal(what)
			}
		}
	}
	until("its capacity does not hold", 3)
	object.Capacity.Slots = 5
	p.Renew(&object)
	until("more capacity does not hold", 5)
	object.Retired = true
	p.Renew(&object)
	until("gone, it has room", 0)
	b.awaitPods(t, kube.LabelPool+"=renewed", 0)
	object.Retired = false
	p.Renew(&object)
	b.awaitPods(t, kube.LabelPool+"=renewed", 1)
	until("back, it has none", 5)
}
