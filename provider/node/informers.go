package node

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/spillway-dev/spillway/provider/guest"
)

// byVirtual indexes guests by their virtual pod, see ofVirtual: who may make pods in
// another namespace has none to do with it.
const byVirtual = "virtual"

func ofVirtual(namespace, uid string) string { return namespace + "/" + uid }

// watched is what a node knows of the cluster: every node, of every pod what it holds,
// of its own pods and their guests everything. Nothing else is watched, no Secrets.
type watched struct {
	cluster informers.SharedInformerFactory // nodes, and all pods, trimmed
	own     informers.SharedInformerFactory // pods that are bound to the virtual node
	never   informers.SharedInformerFactory // what virtual-kubelet wants named and we do not use; never started
}

func watch(client kubernetes.Interface, node string) (*watched, error) {
	w := &watched{
		cluster: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim(node))),
		own: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(unmanaged), informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
		})),
		never: informers.NewSharedInformerFactory(client, 0),
	}
	w.cluster.Core().V1().Nodes().Informer()
	w.own.Core().V1().Pods().Informer()
	err := w.cluster.Core().V1().Pods().Informer().AddIndexers(cache.Indexers{byVirtual: func(o any) ([]string, error) {
		p := o.(*corev1.Pod)
		if p.Labels[guest.LabelNode] != node || p.Labels[guest.LabelOf] == "" {
			return nil, nil
		}
		return []string{ofVirtual(p.Namespace, p.Labels[guest.LabelOf])}, nil
	}})
	return w, err
}

// unmanaged forgets who wrote which field of a pod: that is half of it.
func unmanaged(o any) (any, error) {
	if p, ok := o.(*corev1.Pod); ok {
		p.ManagedFields = nil
	}
	return o, nil
}

// trim leaves of pods of others what says how much they hold.
func trim(node string) cache.TransformFunc {
	return func(o any) (any, error) {
		p, ok := o.(*corev1.Pod)
		if !ok {
			return o, nil
		}
		p.ManagedFields = nil
		if p.Spec.NodeName == node || p.Labels[guest.LabelNode] == node {
			return p, nil
		}
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion,
				Labels: p.Labels, OwnerReferences: ofGuest(p), CreationTimestamp: p.CreationTimestamp, DeletionTimestamp: p.DeletionTimestamp,
			},
			Spec: corev1.PodSpec{
				NodeName: p.Spec.NodeName, PriorityClassName: p.Spec.PriorityClassName, Overhead: p.Spec.Overhead, Resources: p.Spec.Resources,
				Containers: held(p.Spec.Containers), InitContainers: held(p.Spec.InitContainers),
			},
			Status: corev1.PodStatus{Phase: p.Status.Phase, Conditions: p.Status.Conditions},
		}, nil
	}
}

// ofGuest is whose guest p is.
func ofGuest(p *corev1.Pod) []metav1.OwnerReference {
	if p.Labels[guest.LabelOf] == "" {
		return nil
	}
	return p.OwnerReferences
}

func held(containers []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, len(containers))
	for i := range containers {
		out[i] = corev1.Container{Name: containers[i].Name, Resources: containers[i].Resources, RestartPolicy: containers[i].RestartPolicy}
	}
	return out
}

// start reads nodes and pods, and follows them until ctx ends.
func (w *watched) start(ctx context.Context) {
	w.cluster.Start(ctx.Done())
	w.own.Start(ctx.Done())
}

func (w *watched) synced() []cache.InformerSynced {
	core := w.cluster.Core().V1()
	return []cache.InformerSynced{core.Nodes().Informer().HasSynced, core.Pods().Informer().HasSynced, w.own.Core().V1().Pods().Informer().HasSynced}
}

// shutdown waits for what start began; its ctx must have ended.
func (w *watched) shutdown() {
	w.cluster.Shutdown()
	w.own.Shutdown()
}
