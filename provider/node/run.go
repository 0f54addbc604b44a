package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	vklog "github.com/virtual-kubelet/virtual-kubelet/log"
	vkslog "github.com/virtual-kubelet/virtual-kubelet/log/slog"
	vknode "github.com/virtual-kubelet/virtual-kubelet/node"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/spillway-dev/spillway/provider/idle"
)

// Options are what a virtual node runs with.
type Options struct {
	Identity
	Client   kubernetes.Interface
	Gate     Gate            // the dispatcher
	Meter    Meter           // the dispatcher too
	Eligible labels.Selector // of the real nodes whose idle capacity it is
	Idle     idle.Config
	// Terms, which may be nil, is told what the node's capacity is made of.
	Terms   func(idle.Report)
	Workers int // pods that are looked at at once
	Log     *slog.Logger
}

// Node is a virtual node. Its pods and their guests are known once Sync returns.
type Node struct {
	Options
	watched  *watched
	life     *lifecycle
	courses  *courses
	room     *room
	presence *presence
	strays   *strays
	events   record.EventBroadcaster
	recorder record.EventRecorder
	kubelets Kubelets
}

// New makes a node that does nothing yet.
func New(o Options) (*Node, error) {
	estimate, err := idle.New(o.Idle)
	if err != nil {
		return nil, err
	}
	w, err := watch(o.Client, o.Name)
	if err != nil {
		return nil, err
	}
	n := &Node{Options: o, watched: w, events: record.NewBroadcaster()}
	n.recorder = n.events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "spillway-node"})
	n.life = &lifecycle{tracked: newTracked()}
	n.courses = newCourses(o, w, n.life.tracked, n.recorder)
	n.life.look = n.courses.look
	n.presence = newPresence(o)
	n.presence.healthy = n.Healthy
	n.room = newRoom(o, w, estimate, n.presence.promise, n.courses.reclaim)
	n.courses.room = n.room
	n.strays = newStrays(o, w)
	return n, nil
}

// Run is the node until ctx ends or it fails; guests go on without it. First what the
// cluster knows is read, so that nothing is told before everything is known.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(vklog.WithLogger(ctx, vkslog.FromSlog(n.Log)))
	defer cancel()
	n.events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: n.Client.CoreV1().Events("")})
	defer n.events.Shutdown()
	if err := n.sync(ctx); err != nil {
		return err
	}
	defer n.watched.shutdown()
	pods, nodes, err := n.controllers(ctx)
	if err != nil {
		return err
	}
	return together(ctx, cancel,
		func(ctx context.Context) error { return pods.Run(ctx, n.Workers) },
		func(ctx context.Context) error { return after(ctx, pods.Ready(), nodes.Run) },
		func(ctx context.Context) error { return n.courses.run(ctx, n.Workers) },
		func(ctx context.Context) error { return after(ctx, nodes.Ready(), n.room.run) },
		func(ctx context.Context) error { return after(ctx, nodes.Ready(), n.presence.run) },
		n.room.tell,
		n.strays.run,
		n.room.instances.run,
		n.sample,
	)
}

func (n *Node) sync(ctx context.Context) error {
	core := n.watched.cluster.Core().V1()
	told, err := n.room.follow(core.Nodes().Informer(), core.Pods().Informer(), n.watched.own.Core().V1().Pods().Informer())
	if err != nil {
		return err
	}
	if err := n.courses.follow(core.Pods().Informer(), n.watched.own.Core().V1().Pods().Informer()); err != nil {
		return err
	}
	if err := n.hosts(core.Nodes().Informer()); err != nil {
		return err
	}
	n.watched.start(ctx)
	within, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if !cache.WaitForCacheSync(within.Done(), append(n.watched.synced(), told...)...) {
		return errors.New("the cluster's nodes and pods could not be read within a minute: is the API server reachable, and may this account list and watch nodes and pods?")
	}
	return n.courses.resume(ctx)
}

func (n *Node) controllers(ctx context.Context) (*vknode.PodController, *vknode.NodeController, error) {
	core := n.watched.never.Core().V1()
	pods, err := vknode.NewPodController(vknode.PodControllerConfig{
		PodClient: n.Client.CoreV1(), EventRecorder: n.recorder, Provider: n.life,
		PodInformer:    n.watched.own.Core().V1().Pods(),
		SecretInformer: core.Secrets(), ConfigMapInformer: core.ConfigMaps(), ServiceInformer: core.Services(),
		SkipDownwardAPIResolution:         true, // guests' kubelets resolve it
		SyncPodsFromKubernetesRateLimiter: pace(), DeletePodsFromKubernetesRateLimiter: pace(), SyncPodStatusFromProviderRateLimiter: pace(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("make the pod controller: %w", err)
	}
	before, err := n.presence.earlier(ctx)
	if err != nil {
		return nil, nil, err
	}
	nodes, err := vknode.NewNodeController(n.presence, n.presence.now(n.room.first(before)), n.Client.CoreV1().Nodes(),
		vknode.WithNodeEnableLeaseV1(n.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease), vknode.DefaultLeaseDuration),
		vknode.WithNodeStatusUpdateErrorHandler(n.presence.remade))
	if err != nil {
		return nil, nil, fmt.Errorf("make the node controller: %w", err)
	}
	return pods, nodes, nil
}

// pace holds back what has failed. That of the pod controller itself lets no more than ten
// pods a second begin or end.
func pace() workqueue.TypedRateLimiter[any] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[any](5*time.Millisecond, 30*time.Second)
}

// together runs all until the first ends, ends the others and returns the first error
// that is not ctx's.
func together(ctx context.Context, cancel context.CancelFunc, all ...func(context.Context) error) error {
	ended := make(chan error, len(all))
	for _, one := range all {
		go func() { ended <- one(ctx) }()
	}
	var first error
	for range all {
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) && first == nil {
			first = err
		}
		cancel()
	}
	return first
}

func after(ctx context.Context, ready <-chan struct{}, then func(context.Context) error) error {
	select {
	case <-ctx.Done():
		return nil
	case <-ready:
		return then(ctx)
	}
}
