package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/internal/freeport"
	"github.com/spillway-dev/spillway/internal/kubetest"
)

const system = "spillway-system"

// shared is one API server for all tests, which clean up behind them.
var shared struct {
	sync.Once
	env    *envtest.Environment
	config *rest.Config
	err    error
}

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	code := m.Run()
	if shared.env != nil {
		if err := shared.env.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	// A cache's reflector leaves this one when it stops while a change is on its way.
	if err := goleak.Find(goleak.IgnoreAnyFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// lab is a test's view of the API server, as an administrator.
type lab struct {
	testing.TB
	client.Client
	config *rest.Config // of the operator, which may do what manifests let it
}

func newLab(t *testing.T) *lab {
	t.Helper()
	assets := kubetest.Assets(t)
	shared.Do(func() {
		env := &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{"../../manifests/base/crds"}, ErrorIfCRDPathMissing: true,
			ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
		env.CRDInstallOptions.MaxTime = time.Minute
		if env.ControlPlane.GetAPIServer().CertDir, shared.err = os.MkdirTemp("", "spillway-operator-"); shared.err != nil {
			return
		}
		server := env.ControlPlane.GetAPIServer()
		server.SecureServing.Address, server.SecureServing.Port = "127.0.0.1", freeport.Of(t, 1)[0] // a test restarts it
		shared.config, shared.err = env.Start()
		shared.env = env
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(kube.AddToScheme(scheme), clientgoscheme.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(shared.config)
	config.QPS = -1
	c, err := client.New(config, client.Options{Scheme: scheme, FieldOwner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{TB: t, Client: c, config: rest.CopyConfig(config)}
	l.config.Impersonate.UserName = "system:serviceaccount:" + system + ":spillway-operator"
	l.namespaces(system)
	access, err := os.ReadFile("../../manifests/base/operator-access.yaml")
	l.must(err)
	l.apply(string(access))
	t.Cleanup(l.clean)
	return l
}

// clean removes all that tests make, as if there were no operator.
func (l *lab) clean() {
	ctx := context.Background()
	objects, err := cluster.List(ctx, l)
	l.must(err)
	for _, o := range objects {
		if len(o.GetFinalizers()) > 0 {
			l.must(client.IgnoreNotFound(l.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`)))))
		}
		l.must(client.IgnoreNotFound(l.Delete(ctx, o)))
	}
	for _, kind := range []client.Object{&corev1.ResourceQuota{}, &corev1.ConfigMap{}, &corev1.Pod{}, &eventsv1.Event{}} {
		var namespaces corev1.NamespaceList
		l.must(l.List(ctx, &namespaces))
		for _, ns := range namespaces.Items {
			if !strings.HasPrefix(ns.Name, "kube-") {
				l.must(l.DeleteAllOf(ctx, kind, client.InNamespace(ns.Name), client.GracePeriodSeconds(0)))
			}
		}
	}
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// apply applies objects as a person does.
func (l *lab) apply(texts ...string) {
	l.Helper()
	for _, text := range texts {
		for _, doc := range strings.Split(text, "\n---\n") {
			l.must(l.tryApply(doc))
		}
	}
}

func (l *lab) tryApply(doc string) error {
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
		return err
	}
	if o.GetAPIVersion() == "" {
		o.SetAPIVersion("spillway.dev/v1alpha1")
	}
	return l.Apply(l.Context(), client.ApplyConfigurationFromUnstructured(o), client.ForceOwnership)
}

func (l *lab) namespaces(names ...string) {
	l.Helper()
	for _, name := range names {
		l.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + "}")
	}
}

// get reads an object again.
func get[T client.Object](l *lab, o T) T {
	l.Helper()
	l.must(l.Get(l.Context(), client.ObjectKeyFromObject(o), o))
	return o
}

func function(namespace, name string) *kube.Function {
	return &kube.Function{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func quota(name string) *kube.Quota { return &kube.Quota{ObjectMeta: metav1.ObjectMeta{Name: name}} }

func resourceQuota(namespace string) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: QuotaName}}
}

// run has an operator work until the test ends, or what it returns is called. One that
// ends by itself is started anew, as a kubelet does.
func (l *lab) run(o Options) (stop func()) {
	l.Helper()
	o.Namespace = system
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			if err := Run(ctx, l.config, o); err != nil {
				l.Logf("operator: %v", err)
			}
		}
	}()
	stop = func() { cancel(); <-over }
	l.Cleanup(stop)
	return stop
}

// within waits until so returns nothing.
func (l *lab) within(so func() string) {
	l.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var last string
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); <-tick.C {
		if last = so(); last == "" {
			return
		}
	}
	l.Fatalf("it did not come to that: %s", last)
}

// condition waits until an object as it is written now has a condition with a reason,
// and returns its message.
func (l *lab) condition(o kube.Object, kind, reason string) string {
	l.Helper()
	var message string
	object, ok := o.(client.Object)
	if !ok {
		l.Fatalf("%T", o)
	}
	l.within(func() string {
		get(l, object)
		c := meta.FindStatusCondition(o.Observed().Conditions, kind)
		if c == nil {
			return fileOf(o) + " has no condition " + kind
		}
		if c.Reason != reason || c.ObservedGeneration != o.GetGeneration() {
			return fmt.Sprintf("%s: %s %s of generation %d (of %d): %s", fileOf(o), kind, c.Reason, c.ObservedGeneration, o.GetGeneration(), c.Message)
		}
		message = c.Message
		return ""
	})
	return message
}

func (l *lab) contains(text string, wants ...string) {
	l.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			l.Errorf("%q does not say %q", text, want)
		}
	}
}

// events are the notes about an object with a reason.
func (l *lab) eventsOf(name, reason string) []string {
	l.Helper()
	var list eventsv1.EventList
	l.must(l.List(l.Context(), &list))
	var notes []string
	for _, e := range list.Items {
		if e.Regarding.Name == name && e.Reason == reason {
			notes = append(notes, e.Note)
		}
	}
	return notes
}

// quiet reports that a further round writes nothing: it waits for two, which new objects
// cause, and compares versions between them.
func (l *lab) quiet(objects ...client.Object) {
	l.Helper()
	l.round()
	before := make([]string, len(objects))
	for i, o := range objects {
		before[i] = get(l, o).GetResourceVersion()
	}
	l.round()
	for i, o := range objects {
		if now := get(l, o).GetResourceVersion(); now != before[i] {
			l.Errorf("%T %s was written again", o, o.GetName())
		}
	}
}

// round waits until a round was made that began after now, and all that it does. The
// next object is judged after it.
func (l *lab) round() {
	l.Helper()
	for range 2 {
		probe := quota("probe-" + fmt.Sprint(time.Now().UnixNano()))
		l.apply("kind: Quota\nmetadata: {name: " + probe.Name + "}\nspec: {}")
		l.condition(probe, kube.Ready, ReasonValid)
		l.must(l.Delete(l.Context(), probe))
	}
}

func gone(l *lab, o client.Object) bool {
	err := l.Get(l.Context(), client.ObjectKeyFromObject(o), o)
	if err != nil && !apierrors.IsNotFound(err) {
		l.Fatal(err)
	}
	return err != nil
}
