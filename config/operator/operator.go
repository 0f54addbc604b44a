// Package operator writes down what became of the objects of a cluster, and puts their
// limits where others keep to them.
//
//	objects ─► loader ─► platform, faults ─┬─► conditions, revisions, traffic, events
//	                                       └─► a ResourceQuota for each namespace of the quota tree
//	clouds ──► clouddrift ─────────────────┼─► Drifted
//	clouds ◄── reserved concurrency ◄──────┘
//
// Beside that it approves the serving certificates of virtual nodes.
//
// One round looks at everything: what is written is judged by the loader that the
// dispatcher has, what is there is compared with what should be there, and only what
// differs is written. So a round that is repeated, or made by another operator, changes
// nothing, and one that was missed is made up for by the next.
//
// Calls need no operator: while it is gone, objects hold without being judged.
package operator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

// FieldManager is whose fields the operator's are, and LeaseName the Lease in the
// system's namespace that one operator holds.
const (
	FieldManager = "spillway-operator"
	LeaseName    = "spillway-operator"
)

// Options say how to run. Zero durations have the defaults that are named.
type Options struct {
	Namespace string // the system's own: its Lease and its policies are there
	Health    string // address of /healthz and /readyz; empty: none
	Metrics   string // address of /metrics; empty: none
	// Policy returns the faults of the Rego in dir; p is nil when objects have faults.
	// Nil: policies are not looked at.
	Policy func(dir string, p *spillway.Platform) []config.Fault
	// Clouds asks clouds how they have functions and accounts, again every CloudsEvery
	// (10 minutes). Nil: they are not asked.
	Clouds      func(ctx context.Context, l *config.Loaded) []clouddrift.Finding
	CloudsEvery time.Duration
	// Reserver connects to the cloud of a pool, to reserve concurrency where burst
	// policies ask for it; what it returns besides ends it. Nil: nothing is reserved.
	Reserver func(ctx context.Context, pool *spillway.Pool) (Reserver, func(), error)
	// Drain is how long after its timeout the pods of a function that is deleted may go
	// on (30 s), and Cleanup how long after that it waits for them to be gone (60 s).
	Drain, Cleanup time.Duration
	Log            *slog.Logger // nil: nothing is logged

	lease time.Duration    // how long it holds without being renewed; 15 s
	now   func() time.Time // time.Now
}

// Run operates the cluster until ctx ends, or until another operator has the Lease
// that this one had, which is an error: start anew then.
func Run(ctx context.Context, c *rest.Config, o Options) error {
	o.fill()
	m, err := newManager(c, o)
	if err != nil {
		return fmt.Errorf("start the operator: %w", err)
	}
	r := &rounds{client: m.GetClient(), live: m.GetAPIReader(), events: m.GetEventRecorder(FieldManager), o: o, now: o.now,
		heard: make(chan event.GenericEvent, 1), loadedOnce: make(chan struct{}), replanned: make(chan struct{}, 1)}
	certificates := &approver{client: m.GetClient(), live: m.GetAPIReader(), namespace: o.Namespace, now: o.now}
	if err := errors.Join(r.watch(m), certificates.watch(m), m.Add(manager.RunnableFunc(r.askClouds)), m.Add(manager.RunnableFunc(r.reserve))); err != nil {
		return fmt.Errorf("start the operator: %w", err)
	}
	if err := m.Start(ctx); err != nil {
		return fmt.Errorf("operate the cluster: %w", err)
	}
	return nil
}

func (o *Options) fill() {
	setDefault(&o.CloudsEvery, 10*time.Minute)
	setDefault(&o.Drain, 30*time.Second)
	setDefault(&o.Cleanup, time.Minute)
	setDefault(&o.lease, 15*time.Second)
	if o.now == nil {
		o.now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}

func newManager(c *rest.Config, o Options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(kube.AddToScheme(scheme), corev1.AddToScheme(scheme), certificatesv1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c = rest.CopyConfig(c)
	c.QPS = -1 // how many are under way is bounded, and the server has its own fairness
	renew, retry := o.lease*2/3, o.lease/8
	m, err := manager.New(c, manager.Options{
		Scheme: scheme, Logger: logr.FromSlogHandler(o.Log.Handler()),
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: map[client.Object]cache.ByObject{
			&corev1.ConfigMap{}:                         {Namespaces: map[string]cache.Config{o.Namespace: {LabelSelector: labels.SelectorFromSet(labels.Set{cluster.PolicyLabel: "true"})}}},
			&corev1.ResourceQuota{}:                     {Label: labels.SelectorFromSet(ours())},
			&certificatesv1.CertificateSigningRequest{}: {Field: fields.OneTermEqualSelector("spec.signerName", certificatesv1.KubeletServingSignerName)},
		}},
		Client:         client.Options{FieldOwner: FieldManager, Cache: &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}},
		LeaderElection: true, LeaderElectionID: LeaseName, LeaderElectionNamespace: o.Namespace, LeaderElectionReleaseOnCancel: true,
		LeaseDuration: &o.lease, RenewDeadline: &renew, RetryPeriod: &retry,
		HealthProbeBindAddress: o.Health, Metrics: metricsserver.Options{BindAddress: orOff(o.Metrics)},
	})
	if err != nil {
		return nil, err
	}
	return m, errors.Join(m.AddHealthzCheck("ping", healthz.Ping), m.AddReadyzCheck("ping", healthz.Ping))
}

func orOff(address string) string {
	if address == "" {
		return "0"
	}
	return address
}

// namespaceKind is what is followed of namespaces: their metadata.
func namespaceKind() *metav1.PartialObjectMetadata {
	o := &metav1.PartialObjectMetadata{}
	o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return o
}

// watch makes changes of anything that matters one request for a round.
func (r *rounds) watch(m manager.Manager) error {
	c, err := controller.New(FieldManager, m, controller.Options{Reconciler: r, MaxConcurrentReconciles: 1,
		ReconciliationTimeout: roundWithin, SkipNameValidation: new(true)})
	if err != nil {
		return err
	}
	kinds := []client.Object{&kube.Function{}, &kube.Pool{}, &kube.Quota{}, &kube.BurstPolicy{}, &kube.PriceBook{},
		&corev1.ConfigMap{}, &corev1.ResourceQuota{}, namespaceKind()}
	for _, kind := range kinds {
		if err := c.Watch(source.Kind(m.GetCache(), kind, soon(), changed())); err != nil {
			return err
		}
	}
	return c.Watch(source.Channel(r.heard, soon()))
}
