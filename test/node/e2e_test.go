package node

import (
	"io"
	"net"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/virtual-kubelet/virtual-kubelet/test/e2e"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	suiteNamespace = "suite"
	idles          = "localhost/spillway/idles:test" // an image that needs no arguments
)

// suite is virtual-kubelet's own suite of tests, all of it. Its pods name images that
// nobody has, which a policy of the cluster replaces; it asks for measurements of a pod
// that is named as the node is, which passes connections on to it.
func suite(t *testing.T, w *world) {
	_, err := w.Image(t.Context(), idles, filepath.Join(w.dir, "work"), "sleep=10m")
	must(t, err)
	must(t, w.Apply(t.Context(), `
{apiVersion: v1, kind: Namespace, metadata: {name: suite, labels: {spillway.dev/offline: enabled}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: images-of-the-suite}
spec:
  reinvocationPolicy: Never
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: suite}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  matchConditions: [{name: unknown, expression: "!object.spec.containers.all(c, c.image.startsWith('localhost/'))"}]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration:
      expression: >-
        Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{
        name: c.name, image: "localhost/spillway/idles:test", imagePullPolicy: "IfNotPresent"})}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: images-of-the-suite}
spec: {policyName: images-of-the-suite}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: measurements-for-the-suite}
rules: [{apiGroups: [""], resources: [nodes/stats, nodes/metrics], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: measurements-for-the-suite}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: measurements-for-the-suite}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:anonymous"}]
`))
	pods := w.client.CoreV1().Pods(suiteNamespace)
	w.until("images of the suite are replaced", func() error {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "foo"}}}}
		p, err := pods.Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		return same(p.Spec.Containers[0].Image, idles)
	})
	_, err = pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(1)),
		Containers:                    []corev1.Container{{Name: "main", Image: work, Args: []string{"forward=10250," + api}}},
	}}, metav1.CreateOptions{})
	must(t, err)
	w.until("measurements are to be had", func() error {
		_, err := w.client.CoreV1().RESTClient().Get().AbsPath("/api/v1/namespaces/suite/pods/https:" + name + ":10250/proxy/stats/summary").DoRaw(t.Context())
		return err
	})
	e2e.NewEndToEndTestSuite(e2e.EndToEndTestSuiteConfig{
		Kubeconfig: outside(t, w), Namespace: suiteNamespace, NodeName: name, WatchTimeout: waiting,
	}).Run(t)
}

// outside is a kubeconfig by which this process reaches the API server at an address of
// its own, for clients that are not to be told how to dial.
func outside(t *testing.T, w *world) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(w.Kubeconfig)
	must(t, err)
	for _, c := range config.Clusters {
		server, err := url.Parse(c.Server)
		must(t, err)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go passOn(t, l, w, server.Host)
		c.Server, c.TLSServerName = "https://"+l.Addr().String(), server.Hostname()
	}
	file := filepath.Join(w.dir, "outside.kubeconfig")
	must(t, clientcmd.WriteToFile(*config, file))
	return file
}

func passOn(t *testing.T, l net.Listener, w *world, address string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := w.Dial(t.Context(), "tcp", address)
			if err != nil {
				return
			}
			defer out.Close()
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			_, _ = io.Copy(in, out)
		}()
	}
}
