// Package node runs the real virtual node on a real cluster: its scheduler binds pods to
// it, its controller-manager counts its Jobs, its kubelet runs the guests.
package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const (
	name    = "spillway-offline"
	api     = kubetest.NodeAddress + ":10260"
	health  = kubetest.NodeAddress + ":10261"
	work    = "localhost/spillway/work:test"
	waiting = 5 * time.Minute
)

// world is a cluster with a virtual node.
type world struct {
	*kubetest.Cluster
	t       *testing.T
	client  kubernetes.Interface
	dir     string
	gate    *openGate
	program string
	flags   []string
	env     []string // of the dispatcher, beside its own
	tool    string   // kubectl

	node    *exec.Cmd
	stopped chan error
	output  *textsink.Sink
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Cluster: kubetest.Up(t), t: t, dir: t.TempDir()}
	config, err := clientcmd.BuildConfigFromFlags("", w.Kubeconfig)
	must(t, err)
	config.Dial, config.QPS = w.Dial, -1
	w.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	must(t, testbed.Build(w.dir, map[string]string{"spillway-node": "cmd/spillway-node", "work": "test/node/work"}))
	w.program = filepath.Join(w.dir, "spillway-node")
	_, err = w.Image(t.Context(), work, filepath.Join(w.dir, "work"))
	must(t, err)
	must(t, w.Apply(t.Context(), `
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: spillway-guest}, value: -1000, preemptionPolicy: Never}
---
{apiVersion: v1, kind: Namespace, metadata: {name: spillway-system}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: night, labels: {spillway.dev/offline: enabled}}}
`))
	w.gate = newGate(t, w.Cluster)
	w.flags = []string{"--grow-after=500ms", "--notice=500ms"}
	t.Cleanup(func() {
		if w.node != nil {
			w.kill()
		}
		if t.Failed() && w.output != nil {
			t.Logf("the node said:\n%s", w.output)
		}
	})
	return w
}

// serve starts the node and waits until the cluster has it ready.
func (w *world) serve() {
	w.t.Helper()
	w.begin()
	w.until("the node is ready", func() error {
		n, err := w.client.CoreV1().Nodes().Get(w.t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue && !n.Status.Allocatable.Cpu().IsZero() {
				return nil
			}
		}
		return errors.New("not ready")
	})
}

// begin starts the node's process.
func (w *world) begin() {
	w.t.Helper()
	args := append([]string{"--kubeconfig", w.Kubeconfig, "--namespace", "spillway-system", "--dispatcher", w.gate.address, "--address", kubetest.NodeAddress,
		"--listen", api, "--health", health, "--cert-dir", filepath.Join(w.dir, "certs"), "--kubelet-insecure-tls"}, w.flags...)
	cmd := w.Command(context.Background(), w.program, args...)
	w.output = new(textsink.Sink)
	cmd.Stdout, cmd.Stderr = w.output, w.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(w.t, cmd.Start())
	w.node, w.stopped = cmd, make(chan error, 1)
	go func(stopped chan error) { stopped <- cmd.Wait() }(w.stopped)
}

// kill ends the node as a power cut does.
func (w *world) kill() {
	w.t.Helper()
	must(w.t, syscall.Kill(-w.node.Process.Pid, syscall.SIGKILL))
	<-w.stopped
	w.node = nil
}

// stop ends it as a rollout does.
func (w *world) stop() {
	w.t.Helper()
	must(w.t, syscall.Kill(-w.node.Process.Pid, syscall.SIGTERM))
	select {
	case err := <-w.stopped:
		w.node = nil
		if err != nil {
			w.t.Fatalf("the node ended with %v\n%s", err, w.output)
		}
	case <-time.After(waiting):
		w.t.Fatalf("the node does not end\n%s", w.output)
	}
}

// approve lets the node have its serving certificate, once it asks.
func (w *world) approve() {
	w.t.Helper()
	csrs := w.client.CertificatesV1().CertificateSigningRequests()
	w.until("a serving certificate is asked for", func() error {
		all, err := csrs.List(w.t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range all.Items {
			c := &all.Items[i]
			if c.Spec.SignerName != certificatesv1.KubeletServingSignerName || len(c.Status.Conditions) > 0 {
				continue
			}
			c.Status.Conditions = append(c.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "Test"})
			_, err := csrs.UpdateApproval(w.t.Context(), c.Name, c, metav1.UpdateOptions{})
			return err
		}
		return errors.New("nobody asks")
	})
	w.until("it is served with", func() error {
		client := http.Client{Timeout: 5 * time.Second, Transport: insecure(w.Dial)}
		defer client.CloseIdleConnections()
		answer, err := client.Get("https://" + api + "/healthz")
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusUnauthorized && answer.StatusCode != http.StatusForbidden { // it may be system:anonymous
			return fmt.Errorf("a stranger is answered %s", answer.Status)
		}
		return nil
	})
}

// until tries again and again, and fails the test when it has not worked in time.
func (w *world) until(what string, try func() error) {
	w.t.Helper()
	w.within(waiting, what, try)
}

func (w *world) within(limit time.Duration, what string, try func() error) {
	w.t.Helper()
	deadline := time.After(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case err := <-w.stopped:
			w.t.Fatalf("the node has ended: %v\n%s", err, w.output)
		case <-deadline:
			w.t.Fatalf("not within %s: %s: %v", limit, what, err)
		}
	}
}

func (w *world) kubectl(args ...string) string {
	w.t.Helper()
	out, err := w.Kubectl(w.t.Context(), args...)
	must(w.t, err)
	return out
}

// opted is the placement that a pod on idle capacity has.
func opted(p *corev1.PodSpec) {
	p.NodeSelector = map[string]string{"spillway.dev/offline": "true"}
	p.Tolerations = []corev1.Toleration{{Key: "spillway.dev/offline", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}
}

// container does the work that its arguments say.
func container(args ...string) corev1.Container {
	return corev1.Container{Name: "main", Image: work, Args: args, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: quantity("50m"), corev1.ResourceMemory: quantity("16Mi")}}}
}

// job is a Job of one pod, which is never tried again.
func job(name string, args ...string) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "night"}}
	j.Spec.BackoffLimit = new(int32(0))
	j.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{container(args...)}, TerminationGracePeriodSeconds: new(int64(3))}
	opted(&j.Spec.Template.Spec)
	return j
}

func (w *world) create(j *batchv1.Job) {
	w.t.Helper()
	_, err := w.client.BatchV1().Jobs(j.Namespace).Create(w.t.Context(), j, metav1.CreateOptions{})
	must(w.t, err)
}

// ended waits for the end of a Job, and returns the type of the condition it ended by.
func (w *world) ended(name string) (how string, j *batchv1.Job) {
	w.t.Helper()
	w.until("Job "+name+" ends", func() error {
		var err error
		if j, err = w.client.BatchV1().Jobs("night").Get(w.t.Context(), name, metav1.GetOptions{}); err != nil {
			return err
		}
		for _, c := range j.Status.Conditions {
			if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
				how = string(c.Type)
				return nil
			}
		}
		return fmt.Errorf("%+v", j.Status)
	})
	return how, j
}

// podOf returns the pod of a Job, which must have one.
func (w *world) podOf(name string) *corev1.Pod {
	w.t.Helper()
	var p *corev1.Pod
	w.until("Job "+name+" has a pod", func() error {
		all, err := w.client.CoreV1().Pods("night").List(w.t.Context(), metav1.ListOptions{LabelSelector: "job-name=" + name})
		if err != nil {
			return err
		}
		if len(all.Items) != 1 {
			return fmt.Errorf("%d pods", len(all.Items))
		}
		p = &all.Items[0]
		return nil
	})
	return p
}

// guests are those of a pod.
func (w *world) guests(p *corev1.Pod) []corev1.Pod {
	w.t.Helper()
	all, err := w.client.CoreV1().Pods(p.Namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "spillway.dev/guest-of=" + string(p.UID)})
	must(w.t, err)
	return all.Items
}

// running waits until a pod runs and has a guest that does.
func (w *world) running(job string) (*corev1.Pod, *corev1.Pod) {
	w.t.Helper()
	var v, g *corev1.Pod
	w.until("Job "+job+" runs", func() error {
		v = w.podOf(job)
		if v.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("%s: %s", v.Status.Phase, strings.TrimSpace(v.Status.Message))
		}
		all := w.guests(v)
		if len(all) != 1 || all[0].Status.Phase != corev1.PodRunning {
			return fmt.Errorf("%d guests", len(all))
		}
		g = &all[0]
		return nil
	})
	return v, g
}
