package node

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/spillway-dev/spillway/internal/kubetest/apiserver"
	"github.com/spillway-dev/spillway/provider/course"
)

// TestRemove: a guest that is told to go as it was seen stays if it has ended meanwhile,
// since it would be gone at once with how it ended; and it is the virtual node's too.
func TestRemove(t *testing.T) {
	c := coursesOf(holds{})
	defer c.queue.ShutDown()
	c.client = apiServer(t)
	ctx, pods := t.Context(), c.client.CoreV1().Pods("default")
	if _, err := c.client.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	n, err := c.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	known := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	if err := known.Add(n); err != nil {
		t.Fatal(err)
	}
	c.nodes = corelisters.NewNodeLister(known)

	g := guestOf("a", "1")
	g.Namespace, g.Spec = "default", corev1.PodSpec{NodeName: "real", RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "work:1"}}}
	c.hold(g)
	seen, err := pods.Create(ctx, g, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o := seen.OwnerReferences; len(o) != 1 || o[0].UID != n.UID {
		t.Errorf("it belongs to %+v", o)
	}
	ended := seen.DeepCopy()
	ended.Status.Phase = corev1.PodSucceeded
	if ended, err = pods.UpdateStatus(ctx, ended, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.remove(ctx, course.Deletion{Guest: seen, AsSeen: true}); err != nil {
		t.Fatal(err)
	}
	if now, err := pods.Get(ctx, g.Name, metav1.GetOptions{}); err != nil || now.DeletionTimestamp != nil {
		t.Fatalf("what has ended was removed as it was before: %v", err)
	}
	if err := c.remove(ctx, course.Deletion{Guest: ended, AsSeen: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Get(ctx, g.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what has ended is not removed as it is: %v", err)
	}
}

// TestOldFacts: what is concluded from a pod as it was before is not said of it.
func TestOldFacts(t *testing.T) {
	events := record.NewFakeRecorder(10)
	c := coursesOf(holds{})
	defer c.queue.ShutDown()
	c.client, c.recorder, c.tracked = apiServer(t), events, newTracked()
	ctx, pods := t.Context(), c.client.CoreV1().Pods("default")
	if _, err := c.client.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	old, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "night"}, Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: "main", Image: "work:1"}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v, say := virtual{nameOf(old), old.UID}, []course.Event{{Reason: "Said", Text: "so"}}
	step := course.Step{Status: &corev1.PodStatus{Phase: corev1.PodPending, Reason: "Waiting"}, Events: say}
	if _, err := c.do(ctx, v, course.Facts{Pod: old}, step, time.Now()); err != nil || len(events.Events) != 1 {
		t.Fatalf("%v, %d events", err, len(events.Events))
	}
	step.Status.Reason = "Failed"
	if _, err := c.do(ctx, v, course.Facts{Pod: old}, step, time.Now()); !apierrors.IsConflict(err) || len(events.Events) != 1 {
		t.Errorf("%v, %d events by facts that are old", err, len(events.Events))
	}
}

func apiServer(t *testing.T) kubernetes.Interface {
	t.Helper()
	return kubernetes.NewForConfigOrDie(apiserver.Start(t))
}
