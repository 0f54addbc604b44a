package kube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/internal/kubetest"
)

const crds = "../../../manifests/base/crds"

// TestOnServer is all that needs an API server, which takes seconds to start.
func TestOnServer(t *testing.T) {
	c, kubectl := server(t)
	for name, test := range map[string]func(*testing.T, client.Client){
		"examples": examplesAreAppliedAndReadBack, "malformed": malformedObjects, "quantities": quantitiesOnServer,
		"unreadable": unreadableQuantities, "status": status, "patience": patience,
	} {
		t.Run(name, func(t *testing.T) { test(t, c) })
	}
	t.Run("columns", func(t *testing.T) { columns(t, c, kubectl) })
}

// patience: a wait is compared with the deadline that the class has by default.
func patience(t *testing.T, c client.Client) {
	for spec, taken := range map[string]bool{
		`"maxWait": "30m"`:                                        false,
		`"maxWait": "30m", "class": "online"`:                     false,
		`"maxWait": "30m", "class": "offline"`:                    true,
		`"maxWait": "30m", "class": "offline", "deadline": "20m"`: false,
		`"maxWait": "12s", "burstPolicy": "idle"`:                 true,
	} {
		o := documents(t, []byte(`{"apiVersion": "spillway.dev/v1alpha1", "kind": "Function", "metadata": {"name": "patient", "namespace": "default"}, "spec": {`+spec+`, "revisions": [{"name": "v1", "package": {"digest": "sha256:`+aDigest+`"}}]}}`))[0]
		err := apply(t.Context(), c, o, client.DryRunAll)
		if taken && err != nil || !taken && (err == nil || !strings.Contains(err.Error(), "spec.maxWait: ") || !strings.Contains(err.Error(), "longer than the deadline")) {
			t.Errorf("%s: %v", spec, err)
		}
	}
}

// columns shows what people see of each kind.
func columns(t *testing.T, c client.Client, kubectl func(args ...string) string) {
	for _, o := range []string{
		`{"apiVersion": "spillway.dev/v1alpha1", "kind": "Function", "metadata": {"name": "seen", "namespace": "default"}, "spec": {"burst": "allow", "revisions": [{"name": "v1", "package": {"digest": "sha256:` + aDigest + `"}}, {"name": "v2", "package": {"digest": "sha256:` + aDigest + `"}}], "traffic": [{"revision": "v2", "weight": 100}]}}`,
		`{"apiVersion": "spillway.dev/v1alpha1", "kind": "Pool", "metadata": {"name": "seen"}, "spec": {"kind": "process", "region": "here"}}`,
		`{"apiVersion": "spillway.dev/v1alpha1", "kind": "Quota", "metadata": {"name": "seen"}, "spec": {"department": "retail", "nominal": {"onPrem": {"slots": 4}}}}`,
		`{"apiVersion": "spillway.dev/v1alpha1", "kind": "BurstPolicy", "metadata": {"name": "seen"}, "spec": {"mode": "Hybrid", "order": ["a", "b"], "killSwitch": true}}`,
	} {
		for _, o := range documents(t, []byte(o)) {
			if err := apply(t.Context(), c, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	for kind, want := range map[string]string{
		"fn":     "NAME READY SERVED TRAFFIC BURST BURSTABLE AGE seen allow",
		"pools":  "NAME KIND REGION READY SLOTS IN USE AGE seen process here",
		"quotas": "NAME PARENT DEPARTMENT READY ON-PREM IN USE BORROWED CLOUD CLOUD IN USE AGE seen retail 4",
		"bp":     "NAME MODE ORDER KILL SWITCH SHADOW READY AGE seen Hybrid [\"a\",\"b\"] true",
	} {
		if got := strings.Join(strings.Fields(kubectl("get", kind, "seen")), " "); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
	}
	if all := kubectl("get", "spillway", "-o", "name"); strings.Count(all, "/seen") != 4 {
		t.Errorf("the category has %s", all)
	}
}

// server starts an API server that has our objects, and refuses fields that it does not
// know.
func server(t *testing.T) (c client.Client, kubectl func(args ...string) string) {
	t.Helper()
	log.SetLogger(logr.Discard())
	env := &envtest.Environment{BinaryAssetsDirectory: kubetest.Assets(t), CRDDirectoryPaths: []string{crds}, ErrorIfCRDPathMissing: true,
		ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	env.CRDInstallOptions.MaxTime = time.Minute
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(kube.AddToScheme(scheme), clientgoscheme.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c, err = client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	user, err := env.AddUser(envtest.User{Name: "ann", Groups: []string{"system:masters"}}, config)
	if err != nil {
		t.Fatal(err)
	}
	tool, err := user.Kubectl()
	if err != nil {
		t.Fatal(err)
	}
	kubectl = func(args ...string) string {
		t.Helper()
		stdout, stderr, err := tool.Run(args...)
		said, _ := io.ReadAll(stderr)
		text, _ := io.ReadAll(stdout)
		if err != nil {
			t.Fatalf("kubectl %q: %v %s", args, err, said)
		}
		return string(text)
	}
	return client.WithFieldValidation(client.WithFieldOwner(c, "test"), metav1.FieldValidationStrict), kubectl
}

func apply(ctx context.Context, c client.Client, o *unstructured.Unstructured, options ...client.ApplyOption) error {
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), append(options, client.ForceOwnership)...)
}

func namespace(t *testing.T, c client.Client, name string) {
	t.Helper()
	err := c.Create(t.Context(), &core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// documents are the objects of a file, of all kinds that a cluster has.
func documents(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &o.Object); err != nil {
			t.Fatal(err)
		}
		if o.GetKind() != "Server" && len(o.Object) > 0 {
			all = append(all, o)
		}
	}
	return all
}

// inCluster makes a revision of a file one of a cluster: its package was uploaded.
func inCluster(o *unstructured.Unstructured) {
	revisions, _, _ := unstructured.NestedSlice(o.Object, "spec", "revisions")
	for _, r := range revisions {
		r, _ := r.(map[string]any)
		if p, ok := r["package"].(map[string]any); ok && p["path"] != nil {
			delete(p, "path")
			if p["digest"] == nil {
				p["digest"] = "sha256:" + strings.Repeat("ab", 32)
			}
		}
	}
	if revisions != nil {
		_ = unstructured.SetNestedSlice(o.Object, revisions, "spec", "revisions")
	}
	for _, cloud := range []string{"lambda", "scf"} {
		if file, ok, _ := unstructured.NestedString(o.Object, "spec", cloud, "credentials", "file"); ok {
			_ = unstructured.SetNestedField(o.Object, filepath.Join("/etc/spillway/secrets", file), "spec", cloud, "credentials", "file")
		}
	}
}

// examplesAreAppliedAndReadBack applies the example platform and reads it as it was
// written: as the server keeps it, and as values.
func examplesAreAppliedAndReadBack(t *testing.T, c client.Client) {
	files, err := filepath.Glob("../../../examples/platform/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range documents(t, text) {
			inCluster(o)
			if ns := o.GetNamespace(); ns != "" {
				namespace(t, c, ns)
			}
			if err := apply(t.Context(), c, o.DeepCopy()); err != nil {
				t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
				continue
			}
			readBack(t, c, o)
			seen++
		}
	}
	if seen < 9 {
		t.Errorf("%d objects", seen)
	}
}

func readBack(t *testing.T, c client.Client, o *unstructured.Unstructured) {
	t.Helper()
	got := &unstructured.Unstructured{}
	got.SetGroupVersionKind(o.GroupVersionKind())
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), got); err != nil {
		t.Fatal(err)
	}
	if want := o.Object["spec"]; jsonOf(got.Object["spec"]) != jsonOf(want) {
		t.Errorf("%s %s is kept as\n%s, want\n%s", o.GetKind(), o.GetName(), jsonOf(got.Object["spec"]), jsonOf(want))
	}
	typed, err := c.Scheme().New(o.GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), typed.(client.Object)); err != nil {
		t.Fatal(err)
	}
	again, err := c.Scheme().New(o.GroupVersionKind())
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(jsonOf(typed)), again); err != nil || !reflect.DeepEqual(typed, again) {
		t.Errorf("%s %s: %v; read and written it is another: %s", o.GetKind(), o.GetName(), err, jsonOf(typed))
	}
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(text)
}

func kindOf(t *testing.T, kind string) config.Object {
	t.Helper()
	switch kind {
	case "Function":
		return &kube.Function{}
	case "Pool":
		return &kube.Pool{}
	case "Quota":
		return &kube.Quota{}
	case "BurstPolicy":
		return &kube.BurstPolicy{}
	case "PriceBook":
		return &kube.PriceBook{}
	}
	t.Fatalf("no kind %s", kind)
	return nil
}
