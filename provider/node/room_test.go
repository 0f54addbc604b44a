package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/spillway-dev/spillway/provider/idle"
	"github.com/spillway-dev/spillway/provider/usage"
)

func mustBe(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// roomOf has one real node of four cores, of which a pod asks for three.
func roomOf(t *testing.T, rule idle.Rule) (r *room, promised *Room) {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "https://127.0.0.1:1"}) // never asked
	mustBe(t, err)
	w, err := watch(client, "spillway-offline")
	mustBe(t, err)
	c := idle.Defaults()
	c.Rule, c.Forecast.Warm = rule, 0
	estimate, err := idle.New(c)
	mustBe(t, err)
	promised = &Room{}
	o := Options{Identity: Identity{Name: "spillway-offline"}, Eligible: labels.Everything(), Log: slog.New(slog.DiscardHandler)}
	r = newRoom(o, w, estimate, func(room Room) { *promised = room }, func(idle.Choice) {})
	four := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi")}
	r.setNode(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "real"}, Status: corev1.NodeStatus{
		Allocatable: four, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}},
	}})
	old := metav1.NewTime(time.Now().Add(-time.Hour))
	r.setPod(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "day", UID: "1", CreationTimestamp: old},
		Spec: corev1.PodSpec{NodeName: "real", Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("3"), corev1.ResourceMemory: resource.MustParse("1Gi"),
		}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	})
	return r, promised
}

// TestSamples: what online work uses counts where the rule says so, and only of nodes
// whose kubelets have said it lately.
func TestSamples(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name  string
		rule  idle.Rule
		taken time.Duration // before now; 0: never
		want  string        // cores that are promised
	}{
		{"requests", idle.RuleRequests, time.Second, "600m"},
		{"usage", idle.RuleUsage, time.Second, "3"},
		{"larger", idle.RuleLarger, time.Second, "600m"},
		{"a kubelet that was never heard", idle.RuleUsage, 0, "600m"},
		{"a kubelet that is silent", idle.RuleUsage, 10 * time.Minute, "600m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, promised := roomOf(t, test.rule)
			if test.taken > 0 {
				r.sample(usage.Online{Node: "real", At: now.Add(-test.taken), MilliCPU: 500, MiB: 512})
			}
			r.look()
			want := resource.MustParse(test.want)
			if got := promised.Allocatable.Cpu(); got.Cmp(want) > 0 || got.MilliValue() < want.MilliValue()-150 {
				t.Errorf("promises %s of cpu, want %s less a quantum", got, test.want)
			}
		})
	}
}

// TestStuck: pods that wait while no worker takes any are a fault, those that are taken
// are not.
func TestStuck(t *testing.T) {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: "https://127.0.0.1:1"}) // never asked
	mustBe(t, err)
	w, err := watch(client, "n")
	mustBe(t, err)
	c := newCourses(Options{Identity: Identity{Name: "n"}, Client: client}, w, newTracked(), nil)
	defer c.queue.ShutDown()
	c.queue.Add(virtual{uid: "1"})
	if err := c.healthy(silence); err != nil {
		t.Errorf("before any worker has begun: %v", err)
	}
	c.moved.Store(time.Now().UnixNano())
	if err := c.healthy(silence); err != nil {
		t.Errorf("while they are taken: %v", err)
	}
	c.moved.Store(time.Now().Add(-silence - time.Second).UnixNano())
	if err := c.healthy(silence); err == nil {
		t.Error("a queue that stands still is well")
	}
	if err := c.healthy(hungFor); err != nil {
		t.Errorf("it is given up at once: %v", err)
	}
}

// listed lists what there is before it watches.
type listed struct{ *cache.ListWatch }

func (listed) IsWatchListSemanticsUnSupported() bool { return true }

// TestToldOfAll: nobody is said to know the cluster before the room was told of its nodes.
func TestToldOfAll(t *testing.T) {
	r, w := worldOf(t)
	nodes := cache.NewSharedIndexInformer(listed{&cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			return &corev1.NodeList{Items: []corev1.Node{*nodeOfFour("one")}}, nil
		},
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (apiwatch.Interface, error) { return apiwatch.NewFake(), nil },
	}}, &corev1.Node{}, 0, nil)
	told, err := r.follow(nodes, w.cluster.Core().V1().Pods().Informer(), w.own.Core().V1().Pods().Informer())
	mustBe(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	defer func() { cancel(); <-done }()
	r.mu.Lock()
	go func() { nodes.RunWithContext(ctx); close(done) }()
	if !cache.WaitForCacheSync(ctx.Done(), nodes.HasSynced) || told[0]() {
		t.Error("the room is said to know what it was not told of")
	}
	r.mu.Unlock()
	if !cache.WaitForCacheSync(ctx.Done(), told[0]) || r.may(hostedOf("night")) != nil && !errors.Is(r.may(hostedOf("night")), errNoRoomNow) {
		t.Errorf("%v", r.may(hostedOf("night")))
	}
}
