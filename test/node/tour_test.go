package node

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/simulator/cloud"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const (
	example = "../../examples/offline"
	account = kubetest.NodeAddress + ":9001" // what examples/offline names
)

// newTour is a cluster with the images of 'make cluster-images'.
func newTour(t *testing.T) *world {
	t.Helper()
	w := &world{Cluster: kubetest.Up(t), t: t, dir: t.TempDir()}
	config, err := clientcmd.BuildConfigFromFlags("", w.Kubeconfig)
	must(t, err)
	config.Dial, config.QPS = w.Dial, -1
	w.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	must(t, testbed.Build(w.dir, map[string]string{
		"spillway": "cmd/spillway", "spillway-agent": "cmd/spillway-agent", "spillway-node": "cmd/spillway-node",
		"report/bootstrap": "examples/functions/report", "crunch/bootstrap": "examples/functions/crunch",
	}))
	for name, program := range map[string]string{
		"spillway": "spillway", "spillway-agent": "spillway-agent", "spillway-node": "spillway-node",
		"spillway-report": "report/bootstrap", "spillway-crunch": "crunch/bootstrap",
	} {
		_, err := w.Image(t.Context(), "localhost/"+name+":dev", filepath.Join(w.dir, program))
		must(t, err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, what := range [][]string{{"get", "pods,events", "-A", "-o", "wide"}, {"describe", "node", name}, {"-n", "spillway-system", "logs", "deployment/spillway-node"}, {"-n", "spillway-system", "logs", "spillway-0"}} {
				out, err := w.Kubectl(context.WithoutCancel(t.Context()), what...)
				t.Logf("kubectl %s: %v\n%s", strings.Join(what, " "), err, out)
			}
		}
	})
	return w
}

// TestTour is what the README has of Jobs on idle capacity, with the files of
// examples/offline: a Job of a team that opted in runs there, makes way for an online
// service, and is finished in a cloud. Everything of Spillway runs in pods, with the
// rights that the manifests give.
func TestTour(t *testing.T) {
	w := newTour(t)
	w.kubectl("apply", "--server-side", "-k", example+"/install")
	w.kubectl("wait", "--for=condition=Established", "--timeout=2m", "-f", "../../manifests/base/crds")
	w.kubectl("apply", "--server-side", "-f", "../../examples/cluster/shop.yaml", "-f", "../../examples/cluster/platform.yaml", "-f", example)
	bill := w.standIn()
	w.kubectl("-n", "spillway-system", "rollout", "status", "statefulset/spillway", "--timeout=5m")
	w.kubectl("-n", "spillway-system", "rollout", "status", "deployment/spillway-node", "--timeout=5m")
	w.kubectl("wait", "--for=create", "node/spillway-offline", "--timeout=5m")
	w.kubectl("-n", "night", "wait", "--for=condition=Served", "function/crunch", "--timeout=5m")
	w.offers(700)
	w.until("the webhook answers", w.placed)

	t.Run("opting in", func(t *testing.T) { w.optsIn() })
	v, g := w.starts()
	w.kubectl("-n", "shop", "scale", "deployment/checkout", "--replicas=100")
	w.until("the guest makes way", func() error {
		now, err := w.client.CoreV1().Pods("night").Get(t.Context(), g.Name, metav1.GetOptions{})
		if err == nil && now.UID == g.UID && now.DeletionTimestamp == nil && now.Status.Phase == corev1.PodRunning {
			return errorf("guest %s is %s on %s", now.Name, now.Status.Phase, now.Spec.NodeName)
		}
		return nil
	})
	// Another comes when nothing is idle.
	w.asks("night-2", func() { w.kubectl("-n", "night", "create", "job", "--from=cronjob/crunch", "night-2") })
	inCloud := func(job string) error {
		p := w.podOf(job)
		if all := p.Status.ContainerStatuses; len(all) == 1 && strings.HasPrefix(all[0].ContainerID, "lambda://") {
			return nil
		}
		return errorf("%s: %s", p.Status.Phase, p.Status.Message)
	}
	w.until("the pod waits, or is in the cloud already", func() error {
		err := inCloud("night-1")
		if err != nil && strings.Contains(err.Error(), "goes to the cloud") {
			return nil
		}
		return err
	})
	w.until("the pod is in the cloud", func() error { return inCloud("night-1") })
	how, j := w.ended("night-1")
	if how != "Complete" || j.Status.Failed != 0 || w.podOf("night-1").UID != v.UID {
		t.Errorf("the Job: %s, %+v", how, j.Status)
	}
	w.says(v, "looks for another place")
	w.until("the other is in the cloud, too", func() error { return inCloud("night-2") })
	if how, j := w.ended("night-2"); how != "Complete" || j.Status.Failed != 0 {
		t.Errorf("the other Job: %s, %+v", how, j.Status)
	}
	w.until("both places are on the bill", func() error {
		out, err := w.Kubectl(t.Context(), "-n", "spillway-system", "exec", "spillway-0", "--", "/spillway", "report", "--by", "pool")
		if err == nil && (!strings.Contains(out, "lambda") || !strings.Contains(out, "offline")) {
			err = errorf("%s", out)
		}
		return err
	})
	if out := w.kubectl("-n", "spillway-system", "exec", "spillway-0", "--", "/spillway", "explain", string(v.UID)); !strings.Contains(out, "offline") {
		t.Errorf("explain: %s", out)
	}
	if ran := bill().Executions; ran != 2 {
		t.Errorf("the cloud ran %d", ran)
	}
}

// optsIn: Jobs that name no node and tolerate nothing go to idle capacity by the label
// of their namespace, and by nothing else.
func (w *world) optsIn() {
	w.t.Helper()
	w.kubectl("create", "namespace", "day")
	brief := func(namespace string) {
		must(w.t, w.Apply(w.t.Context(), `
apiVersion: batch/v1
kind: Job
metadata: {name: brief, namespace: `+namespace+`}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: main
          image: localhost/spillway-crunch:dev
          args: [-for, 1s]
          resources: {requests: {cpu: 50m, memory: 16Mi}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`))
	}
	w.asks("brief", func() { brief("night") })
	brief("day")
	for _, namespace := range []string{"night", "day"} {
		w.kubectl("-n", namespace, "wait", "--for=condition=Complete", "job/brief", "--timeout=5m")
	}
	for namespace, node := range map[string]string{"night": name, "day": kubetest.Node} {
		if on := w.kubectl("-n", namespace, "get", "pods", "-l", "job-name=brief", "-o", "jsonpath={.items[*].spec.nodeName}"); on != node {
			w.t.Errorf("the Job of namespace %s ran on %q, want %q", namespace, on, node)
		}
	}
	if ran := w.kubectl("-n", "day", "get", "pods", "-l", "job-name=brief", "-o", "jsonpath={.items[*].spec.nodeSelector} {.items[*].metadata.annotations}"); strings.Contains(ran, "spillway.dev/offline") {
		w.t.Errorf("the pod of a namespace that did not opt in: %s", ran)
	}
}

// placed makes a pod of the team for trial. Who makes one is never kept waiting by a
// webhook that does not answer, so its pod may go elsewhere.
func (w *world) placed() error {
	made, err := w.client.CoreV1().Pods("night").Create(w.t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "trial", Labels: map[string]string{"spillway.dev/offline": "true"}},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{Name: "main", Image: "localhost/spillway-crunch:dev", SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
		},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil && made.Spec.NodeSelector["spillway.dev/offline"] != "true" {
		err = errorf("a pod of the team would go to %v", made.Spec.NodeSelector)
	}
	return err
}

// asks makes a Job of the team until its pod asks for idle capacity: a webhook that a busy
// machine keeps from answering leaves the pod as it is.
func (w *world) asks(job string, create func()) {
	w.t.Helper()
	w.until("the pod of Job "+job+" asks for idle capacity", func() error {
		create()
		p := w.podOf(job)
		if p.Spec.NodeSelector["spillway.dev/offline"] == "true" {
			return nil
		}
		w.kubectl("-n", "night", "delete", "job", job, "--cascade=foreground", "--timeout=5m")
		return errorf("it would go to %v", p.Spec.NodeSelector)
	})
}

// starts has the CronJob's Job run on idle capacity.
func (w *world) starts() (v, g *corev1.Pod) {
	w.t.Helper()
	w.asks("night-1", func() { w.kubectl("-n", "night", "create", "job", "--from=cronjob/crunch", "night-1") })
	v, g = w.running("night-1")
	if v.Spec.NodeName != name || g.Spec.NodeName != kubetest.Node {
		w.t.Fatalf("the pod is on %s, its guest on %s", v.Spec.NodeName, g.Spec.NodeName)
	}
	return v, g
}

// standIn is the cloud of examples/offline; bill asks it what it is owed.
func (w *world) standIn() (bill func() cloud.Bill) {
	w.t.Helper()
	file := filepath.Join(w.dir, "cloud.yaml")
	must(w.t, copyChanged(file, example+"/cloud/cloud.yaml", "../../../bin/functions/crunch", filepath.Join(w.dir, "crunch")))
	cmd := w.Command(context.Background(), filepath.Join(w.dir, "spillway"), "cloud", "--config", file, "--listen", account)
	said := new(textsink.Sink)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(w.t, cmd.Start())
	w.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait() // how it ends is not what is tested
		if w.t.Failed() {
			w.t.Logf("the cloud said:\n%s", said)
		}
	})
	ask := func() (b cloud.Bill, err error) {
		client := http.Client{Timeout: time.Minute, Transport: insecure(w.Dial)}
		defer client.CloseIdleConnections()
		answer, err := client.Get("http://127.0.0.1:9002/bill")
		if err != nil {
			return b, err
		}
		defer answer.Body.Close()
		return b, json.NewDecoder(answer.Body).Decode(&b)
	}
	w.until("the cloud is there", func() error { _, err := ask(); return err })
	return func() cloud.Bill {
		b, err := ask()
		must(w.t, err)
		return b
	}
}

// copyChanged copies a text file in which one path is another.
func copyChanged(to, from, path, other string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if !strings.Contains(string(text), path) {
		return errorf("%s does not name %s", from, path)
	}
	return os.WriteFile(to, []byte(strings.ReplaceAll(string(text), path, other)), 0o600)
}
