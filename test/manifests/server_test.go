package manifests

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	_ "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1" // its kinds are generated from it
)

const (
	generator  = "controller-gen" // of CRDs, from Go types; a tool of go.mod
	monitoring = "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
)

// server is an API server with all that prod has, and a client that may do everything.
type server struct {
	client.Client
	config   *rest.Config
	env      *envtest.Environment
	programs string
	warnings *warnings
}

// warnings are what the API server said besides its answers.
type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

// taken are the warnings since the last time.
func (w *warnings) taken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.said
	w.said = nil
	return said
}

// runWithin bounds a program; the longest is a build of Kubernetes.
const runWithin = 40 * time.Minute

// run returns what a program prints.
func run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), runWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, io.MultiWriter(&said, os.Stderr)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	return strings.TrimSpace(out.String())
}

// start brings an API server up. It is built first if this machine has none.
func start(t *testing.T) *server {
	t.Helper()
	if flag.Lookup("test.short").Value.String() == "true" {
		t.Skip("needs Kubernetes, which -short leaves out")
	}
	log.SetLogger(logr.Discard())
	s := &server{programs: run(t, "../cluster", "go", "run", ".", "assets"), warnings: &warnings{}}
	s.env = &envtest.Environment{BinaryAssetsDirectory: s.programs, ControlPlaneStartTimeout: waiting, ControlPlaneStopTimeout: waiting}
	s.env.ControlPlane.GetAPIServer().Configure().Disable("disable-admission-plugins") // service accounts as in a cluster
	config, err := s.env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.env.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.config = rest.CopyConfig(config)
	s.config.QPS, s.config.WarningHandler = -1, s.warnings
	s.Client = clientOf(t, s.config)
	return s
}

func clientOf(t testing.TB, config *rest.Config) client.Client {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// as is a client that is somebody else.
func (s *server) as(t testing.TB, who subject) client.Client {
	t.Helper()
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: who.name, Groups: who.groups}
	return clientOf(t, config)
}

func (s *server) apply(ctx context.Context, o object, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner("test"), client.ForceOwnership)
	return s.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o.DeepCopy()), options...)
}

// prepare applies what others need to be there before: kinds and namespaces.
func (s *server) prepare(t *testing.T, all []object) {
	t.Helper()
	for _, o := range all {
		if k := o.GetKind(); k == "CustomResourceDefinition" || k == "Namespace" {
			if err := s.apply(t.Context(), o); err != nil {
				t.Errorf("%s: %v", named(o), err)
			}
		}
	}
	s.served(t, all)
}

// served waits until the kinds are.
func (s *server) served(t *testing.T, all []object) {
	t.Helper()
	for _, o := range all {
		if o.GetKind() != "CustomResourceDefinition" {
			continue
		}
		eventually(t, named(o)+" is established", func() bool {
			now := o.DeepCopy()
			if err := s.Get(t.Context(), client.ObjectKeyFromObject(o), now); err != nil {
				return false
			}
			conditions, _ := at(t, now, "status", "conditions").([]any)
			for _, c := range conditions {
				if c := c.(map[string]any); c["type"] == "Established" && c["status"] == "True" {
					return s.lists(t, o)
				}
			}
			return false
		})
	}
}

// lists reports that the API server knows every version of an established kind, which it
// does a moment later.
func (s *server) lists(t *testing.T, crd object) bool {
	t.Helper()
	versions, _ := at(t, crd, "spec", "versions").([]any)
	for _, v := range versions {
		kind, _ := at(t, crd, "spec", "names", "kind").(string)
		group, _ := at(t, crd, "spec", "group").(string)
		all := &unstructured.UnstructuredList{}
		all.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: v.(map[string]any)["name"].(string), Kind: kind + "List"})
		if err := s.List(t.Context(), all); err != nil {
			return false
		}
	}
	return true
}

// waiting bounds what API server and programs have to do, on a machine that is busy.
const waiting = 3 * time.Minute

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	for !is() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", waiting, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// admin is the kubeconfig file of somebody who may do everything.
func (s *server) admin(t *testing.T) string {
	t.Helper()
	user, err := s.env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// prometheus are the kinds of the Prometheus operator.
func prometheus(t *testing.T) []object {
	t.Helper()
	dir := t.TempDir()
	run(t, ".", "go", "tool", generator, "crd", "paths="+monitoring, "output:crd:dir="+dir)
	var all []object
	for _, kind := range []string{"servicemonitors", "prometheusrules"} {
		text, err := os.ReadFile(filepath.Join(dir, "monitoring.coreos.com_"+kind+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		crd := parse(t, text)
		crd[0].SetAnnotations(map[string]string{"api-approved.kubernetes.io": "https://github.com/prometheus-operator/prometheus-operator"})
		all = append(all, crd...)
	}
	return all
}

// TestServer brings one API server up for all that needs it.
func TestServer(t *testing.T) {
	s := start(t)
	s.prepare(t, prometheus(t))
	tenant, err := os.ReadFile(root + "/examples/tenant.yaml")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := os.ReadFile(root + "/examples/overlay/pool.yaml")
	if err != nil {
		t.Fatal(err)
	}
	variants := map[string][]object{
		"base":    kustomized(t, "base"),
		"dev":     kustomized(t, "overlays/dev"),
		"prod":    kustomized(t, "overlays/prod"),
		"chart":   helmed(t, nil),
		"example": sorted(parse(t, tenant)),
		"pool":    parse(t, pool),
	}
	s.prepare(t, variants["base"]) // kinds that the others name
	for name, all := range variants {
		t.Run(name, func(t *testing.T) { s.takes(t, all) })
	}
	for _, what := range [][]string{{"-k", root + "/overlays/prod"}, {"-f", root + "/examples/tenant.yaml"}} {
		said := run(t, ".", append([]string{filepath.Join(s.programs, "kubectl"), "--kubeconfig=" + s.admin(t), "apply", "--server-side", "--force-conflicts"}, what...)...)
		if applied := strings.Count(said, "serverside-applied"); applied < 5 || strings.Contains(said, "Warning") {
			t.Errorf("kubectl says:\n%s", said)
		}
	}
	t.Run("restricted", s.restricted)
	t.Run("accounts", s.accounts)
	t.Run("people", s.people)
	t.Run("pods", s.podsOfSpillway)
	t.Run("guests", s.guests)
	t.Run("programs", func(t *testing.T) { s.asStarted(t, variants["prod"]) })
}

// takes applies every object as a dry run. The API server has nothing to say.
func (s *server) takes(t *testing.T, all []object) {
	s.warnings.taken()
	s.prepare(t, all)
	for _, o := range all {
		if err := s.apply(t.Context(), o, client.DryRunAll); err != nil {
			t.Errorf("%s: %v", named(o), err)
		}
		for _, warning := range s.warnings.taken() {
			t.Errorf("%s: warning: %s", named(o), warning)
		}
		if err := s.enforced(t.Context(), o); err != nil {
			t.Errorf("a pod of %s: %v", named(o), err)
		}
	}
}

// enforced tries the pods of a workload, since Pod Security only warns of the workload
// itself.
func (s *server) enforced(ctx context.Context, o object) error {
	template, ok, err := nested(o, "spec", "template")
	if !ok || err != nil {
		return err
	}
	var p corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(template, &p); err != nil {
		return err
	}
	p.Namespace, p.Name, p.Spec.ServiceAccountName = o.GetNamespace(), "try", "default"
	for i := range p.Spec.Containers {
		for _, m := range p.Spec.Containers[i].VolumeMounts {
			if m.Name == "data" && len(p.Spec.Volumes) < 2 { // of a claim
				p.Spec.Volumes = append(p.Spec.Volumes, emptyDir(m.Name))
			}
		}
	}
	if err := s.account(ctx, o.GetNamespace()); err != nil {
		return err
	}
	return s.Create(ctx, &p, client.DryRunAll)
}

// account makes the default one, as a cluster's controllers do.
func (s *server) account(ctx context.Context, namespace string) error {
	return client.IgnoreAlreadyExists(s.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}}))
}

func nested(o object, fields ...string) (map[string]any, bool, error) {
	v := o.Object
	for _, f := range fields {
		next, ok := v[f].(map[string]any)
		if !ok {
			return nil, false, nil
		}
		v = next
	}
	return v, true, nil
}

func emptyDir(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

// restricted sees that the namespaces would have refused what is not.
func (s *server) restricted(t *testing.T) {
	for _, namespace := range []string{"spillway-system", "spillway-pool", "shop"} {
		if err := s.account(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		p := instance(namespace, "root")
		p.Spec.SecurityContext = nil
		if err := s.Create(t.Context(), p, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "violates PodSecurity") {
			t.Errorf("a pod of root in %s: %v", namespace, err)
		}
	}
}
