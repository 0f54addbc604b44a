package offline_test

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/kubetest/apiserver"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/kube"
	"github.com/spillway-dev/spillway/pools/offline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestTakenWhileItStarts: an instance whose pod is taken away while its function starts
// has found no room, and nothing is held against the function; one that ends by itself
// has failed.
func TestTakenWhileItStarts(t *testing.T) {
	client := apiServer(t)
	for name, c := range map[string]struct {
		command []string
		then    func(*node)
		room    bool // it is that which is missing
	}{
		"deleted":                           {[]string{"sleep", "1000"}, func(n *node) { n.starts(); n.deletes(); n.ends(); n.fails() }, true},
		"its agent ends before it is known": {[]string{"sleep", "1000"}, func(n *node) { n.starts(); n.ends(); n.deletes(); n.fails() }, true},
		"preempted": {[]string{"sleep", "1000"}, func(n *node) {
			n.starts()
			n.says(func(s *corev1.PodStatus) {
				s.Phase, s.Conditions = corev1.PodFailed, []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
			})
			n.ends()
		}, true},
		"evicted for its own limit": {[]string{"sleep", "1000"}, func(n *node) {
			n.starts()
			n.says(func(s *corev1.PodStatus) {
				s.Phase, s.Reason, s.Message = corev1.PodFailed, "Evicted", "its disk is full"
			})
			n.ends()
		}, false},
		"ends by itself": {[]string{"false"}, func(*node) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, client, c.command)
			failed := make(chan error, 1)
			go func() {
				_, err := n.pool.StartInstance(t.Context(), 1, n.function)
				failed <- err
			}()
			n.runs()
			c.then(n)
			err := <-failed
			if err == nil || errors.Is(err, pools.ErrNoRoom) != c.room {
				t.Errorf("%v", err)
			}
			if said := n.pool.FailedStarts()[n.function.FunctionKey]["v1"]; (said == "") != c.room {
				t.Errorf("it is said to fail for %q", said)
			}
		})
	}
}

// node plays the kubelet of the one pod that a pool makes; its agent is a real one.
type node struct {
	t        *testing.T
	client   kubernetes.Interface
	pool     *offline.Pool
	function *spillway.Function
	agent    *remote.Client // of the test's own
	stop     context.CancelFunc
	ended    chan struct{}
	pod      string
}

func newNode(t *testing.T, client kubernetes.Interface, command []string) *node {
	t.Helper()
	size := spillway.Resources{Slots: 1, MilliCPU: 50, MiB: 64}
	n := &node{t: t, client: client, ended: make(chan struct{}), function: &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: "default", Name: "night"}, Revision: "v1",
		Image: "localhost/night", Handler: command[0], Concurrency: 1, Resources: size, Instance: size, Timeout: time.Minute,
	}}
	ca := must[*remote.CA](t)(remote.NewCA())
	server := must[*remote.Server](t)(remote.NewServer(remote.ServerConfig{Authority: ca.Certificate(), Dir: t.TempDir(), WorkDir: t.TempDir(), Command: command, Environ: os.Environ()}))
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() {
		defer close(n.ended)
		if err := server.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(n.ends)
	config, err := ca.Client()
	if err != nil {
		t.Fatal(err)
	}
	n.agent = remote.Dial(l.Addr().String(), config)
	t.Cleanup(n.agent.Close)
	n.pool = must[*offline.Pool](t)(offline.Open(t.Context(), kube.Config{
		Client: client, CA: ca, Owner: "run",
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, l.Addr().String())
		},
		Pool: &spillway.Pool{Name: "idle", Kind: spillway.PoolOffline, InitTimeout: 5 * time.Minute,
			Kubernetes: spillway.KubernetesPods{RuntimeImage: "localhost/agent", Namespace: "default"}},
	}))
	t.Cleanup(func() {
		n.gone()
		if err := n.pool.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// until asks again and again.
func (n *node) until(is func() bool) {
	n.t.Helper()
	for end := time.After(2 * time.Minute); !is(); {
		select {
		case <-end:
			n.t.Fatal("it does not come to that")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// runs takes the pod and says that its container runs.
func (n *node) runs() {
	n.t.Helper()
	pods := n.client.CoreV1().Pods("default")
	n.until(func() bool {
		all := must[*corev1.PodList](n.t)(pods.List(n.t.Context(), metav1.ListOptions{}))
		if len(all.Items) == 1 {
			n.pod = all.Items[0].Name
		}
		return n.pod != ""
	})
	if err := pods.Bind(n.t.Context(), &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: n.pod}, Target: corev1.ObjectReference{Kind: "Node", Name: "real"}}, metav1.CreateOptions{}); err != nil {
		n.t.Fatal(err)
	}
	n.says(func(s *corev1.PodStatus) {
		s.Phase, s.PodIP, s.PodIPs, s.StartTime = corev1.PodRunning, "10.0.0.1", []corev1.PodIP{{IP: "10.0.0.1"}}, new(metav1.Now())
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "function", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	})
}

// fails says that the container has ended.
func (n *node) fails() {
	n.t.Helper()
	n.says(func(s *corev1.PodStatus) {
		s.Phase = corev1.PodFailed
		s.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 143, Reason: "Error"}}
	})
}

func (n *node) says(change func(*corev1.PodStatus)) {
	n.t.Helper()
	pods := n.client.CoreV1().Pods("default")
	n.until(func() bool { // the pool may write to it at the same time
		o := must[*corev1.Pod](n.t)(pods.Get(n.t.Context(), n.pod, metav1.GetOptions{}))
		change(&o.Status)
		_, err := pods.UpdateStatus(n.t.Context(), o, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) {
			n.t.Fatal(err)
		}
		return err == nil
	})
}

// starts waits until the agent starts the function.
func (n *node) starts() {
	n.t.Helper()
	n.until(func() bool {
		h, err := n.agent.Health(n.t.Context())
		return err == nil && h.State == remote.StateStarting
	})
}

// deletes has the pod deleted, with its grace.
func (n *node) deletes() {
	n.t.Helper()
	if err := n.client.CoreV1().Pods("default").Delete(n.t.Context(), n.pod, metav1.DeleteOptions{}); err != nil {
		n.t.Fatal(err)
	}
}

// ends tells the agent so, as SIGTERM does, and waits until it has.
func (n *node) ends() {
	n.stop()
	<-n.ended
}

// gone deletes the pod as a kubelet does that has ended it.
func (n *node) gone() {
	err := n.client.CoreV1().Pods("default").DeleteCollection(context.Background(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{})
	if err != nil {
		n.t.Error(err)
	}
}

func apiServer(t *testing.T) kubernetes.Interface {
	t.Helper()
	config := apiserver.Start(t)
	config.QPS = -1
	client := kubernetes.NewForConfigOrDie(config)
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Class(t, client, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: kube.IdlePriority}, Value: -1000, PreemptionPolicy: new(corev1.PreemptNever)})
	return client
}
