package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/internal/kubetest"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	// A cache's reflector leaves this one when it stops while a change is on its way.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"))
}

func server(t *testing.T) (*rest.Config, client.Client) {
	t.Helper()
	env := &envtest.Environment{BinaryAssetsDirectory: kubetest.Assets(t), CRDDirectoryPaths: []string{"../../manifests/base/crds"}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	env.CRDInstallOptions.MaxTime = time.Minute
	c, err := env.Start()
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	must(t, err)
	scheme := runtime.NewScheme()
	must(t, errors.Join(kube.AddToScheme(scheme), corev1.AddToScheme(scheme)))
	admin, err := client.New(c, client.Options{Scheme: scheme})
	must(t, err)
	return c, admin
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func function(name string) *kube.Function {
	return &kube.Function{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Finalizers: []string{"example.com/held"}},
		Spec: v1alpha1.FunctionSpec{Revisions: []v1alpha1.Revision{{Name: "v1", Package: v1alpha1.Package{Digest: "sha256:" + strings.Repeat("a", 64)}}}}}
}

func TestSource(t *testing.T) {
	c, admin := server(t)
	pay := function("pay")
	must(t, admin.Create(t.Context(), pay))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := Open(ctx, c, "default")
	must(t, err)
	if got := names(t, s); !slices.Equal(got, []string{"default/pay"}) {
		t.Fatalf("objects %v", got)
	}
	select {
	case <-s.Changes():
		t.Error("what was there from the start is a change")
	default:
	}

	// A status is no change of what is written: the next change is of cart.
	pay.Status.ObservedGeneration = pay.Generation
	must(t, admin.Status().Update(t.Context(), pay))
	must(t, admin.Create(t.Context(), function("cart")))
	until(t, s, func() bool { return slices.Equal(names(t, s), []string{"default/cart", "default/pay"}) })

	must(t, admin.Delete(t.Context(), pay)) // its finalizer keeps it
	until(t, s, func() bool { return slices.Equal(names(t, s), []string{"default/cart"}) })

	policy := func(name, key string, labels map[string]string) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: labels}, Data: map[string]string{key: "package a", "notes.txt": "-"}}
	}
	ours := map[string]string{PolicyLabel: "true"}
	for _, m := range []*corev1.ConfigMap{policy("rules", "a.rego", ours), policy("others", "b.rego", nil), policy("more", "a.rego", ours)} {
		must(t, admin.Create(t.Context(), m))
	}
	until(t, s, func() bool {
		files, err := s.Policies(t.Context())
		must(t, err)
		return slices.Equal(slices.Sorted(maps.Keys(files)), []string{"more_a.rego", "rules_a.rego"})
	})
	pay.Finalizers = nil
	must(t, admin.Patch(t.Context(), pay, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
}

func names(t *testing.T, s *Source) []string {
	t.Helper()
	objects, err := s.Objects(t.Context())
	must(t, err)
	var all []string
	for _, o := range objects {
		f, ok := o.Written().(*v1alpha1.Function)
		if !ok {
			t.Fatalf("%T", o.Written())
		}
		all = append(all, f.Metadata.Namespace+"/"+f.Metadata.Name)
	}
	return all
}

// until looks after each change.
func until(t *testing.T, s *Source, so func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for !so() {
		select {
		case <-s.Changes():
		case <-late:
			t.Fatal("no change brought that")
		}
	}
}

// TestWritten says which changes are a person's.
func TestWritten(t *testing.T) {
	a := function("pay")
	a.Generation, a.ResourceVersion = 1, "1"
	b := a.DeepCopy()
	b.ResourceVersion, b.Status.ObservedGeneration = "2", 1
	if written(a) != written(b) {
		t.Error("a status is a change")
	}
	b.Generation = 2
	if written(a) == written(b) {
		t.Error("a spec is no change")
	}
	b.Generation, b.UID = 1, "another"
	if written(a) == written(b) {
		t.Error("a function that was made anew is no change")
	}
}

// TestKept has the code of a revision changed.
func TestKept(t *testing.T) {
	f := function("pay")
	f.Status.Revisions = []kube.RevisionStatus{{Name: "v1", Code: "sha256:" + strings.Repeat("b", 64)}, {Name: "v0", Code: "old"}}
	var l config.Cluster
	_, faults, err := l.Load("", []config.Object{f}, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), config.Checks{WithoutCode: true})
	if err != nil || len(faults) != 1 || faults[0].Field != "spec.revisions[0]" || !strings.Contains(faults[0].String(), "revisions do not change") {
		t.Errorf("%v, %v", faults, err)
	}
	f.Status.Revisions[0].Code = f.Spec.Revisions[0].Package.Digest
	if _, faults, err = l.Load("", []config.Object{f}, time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), config.Checks{WithoutCode: true}); err != nil || len(faults) > 0 {
		t.Errorf("%v, %v", faults, err)
	}
}
