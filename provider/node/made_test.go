package node

import (
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/kubetest/apiserver"
	"github.com/spillway-dev/spillway/provider/guest"
)

// answered calls then when the API server has answered, before who asked hears of it.
type answered struct {
	http.RoundTripper
	then func()
}

func (a answered) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := a.RoundTripper.RoundTrip(r)
	a.then()
	return answer, err
}

// makesGuests is a world with a real node, an API server that makes guests, and the
// virtual pod of those that madeOf returns. The test is the informer of guests.
func makesGuests(t *testing.T, config *rest.Config) *courses {
	t.Helper()
	r, w := worldOf(t, "one")
	c := coursesOf(holds{})
	t.Cleanup(c.queue.ShutDown)
	c.room, c.client, c.guests = r, kubernetes.NewForConfigOrDie(config), w.cluster.Core().V1().Pods().Informer().GetIndexer()
	c.nodes = corelisters.NewNodeLister(cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}))
	r.reclaim = c.reclaim
	mustBe(t, w.own.Core().V1().Pods().Informer().GetIndexer().Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night", Namespace: "default", UID: "1"}}))
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: guest.PriorityClass}, Value: -1000}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := c.client.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	kubetest.Class(t, c.client, class)
	return c
}

func madeOf(name string) *corev1.Pod {
	g := hostedOf("night")
	g.Name, g.Namespace, g.OwnerReferences[0].APIVersion = name, "default", "v1"
	g.Spec.Containers[0].Image = "work:1"
	return g
}

// TestMade: a guest that was made holds its room until the informer tells of it, which may
// be late: it is told to go then. Or early: one that has gone before the API server's
// answer was heard holds nothing.
func TestMade(t *testing.T) {
	config := apiserver.Start(t)
	late := makesGuests(t, config)
	v := virtual{nameOf(madeOf("late")), "1"}
	mustBe(t, late.create(t.Context(), v, madeOf("late")))
	if err := late.room.may(madeOf("other")); err == nil {
		t.Error("there is room beside a guest that was made and is not seen yet")
	}
	shop := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "day", UID: "2", CreationTimestamp: metav1.NewTime(time.Now().Add(-time.Hour))}, Spec: asking("3")}
	shop.Spec.NodeName = "one"
	late.room.setPod(shop)
	late.room.look()
	made, err := late.client.CoreV1().Pods("default").Get(t.Context(), "late", metav1.GetOptions{})
	mustBe(t, err)
	mustBe(t, late.guests.Add(made))
	late.room.setPod(made)
	late.room.look()
	if late.known["1"] == nil || late.known["1"].reclaim == nil {
		t.Error("a guest whose room online work took before it was seen is never told to go")
	}

	early := makesGuests(t, config)
	seen := rest.CopyConfig(config)
	seen.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return answered{next, func() {
			gone, err := late.client.CoreV1().Pods("default").Get(t.Context(), "early", metav1.GetOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			early.room.setPod(gone)
			early.room.removePod(gone)
		}}
	})
	early.client = kubernetes.NewForConfigOrDie(seen)
	mustBe(t, early.create(t.Context(), v, madeOf("early")))
	early.room.look()
	if left := early.room.last.Guests.MilliCPU; left != 0 || len(early.room.guests) != 0 || len(early.room.keeps) != 0 {
		t.Errorf("a guest that is gone holds %dm", left)
	}
}
