package node

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pod is a pod of its own on the virtual node, of one container.
func pod(name string, args ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "night"}}
	p.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{small("main", args...)}, TerminationGracePeriodSeconds: new(int64(2))}
	opted(&p.Spec)
	return p
}

// small is a container that asks for little, since many are tried at once.
func small(name string, args ...string) corev1.Container {
	return corev1.Container{Name: name, Image: work, Args: args, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: quantity("10m"), corev1.ResourceMemory: quantity("8Mi"),
	}}}
}

// shares gives all containers of a pod a volume, at /NAME.
func shares(p *corev1.Pod, name string, source corev1.VolumeSource) *corev1.Pod {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	for _, containers := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range containers {
			containers[i].VolumeMounts = append(containers[i].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: "/" + name})
		}
	}
	return p
}

// withData is a volume of files at /data.
func withData(p *corev1.Pod) *corev1.Pod {
	return shares(p, "data", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
}

func (w *world) start(p *corev1.Pod) *corev1.Pod {
	w.t.Helper()
	made, err := w.client.CoreV1().Pods(p.Namespace).Create(w.t.Context(), p, metav1.CreateOptions{})
	must(w.t, err)
	return made
}

func (w *world) now(p *corev1.Pod) *corev1.Pod {
	w.t.Helper()
	now, err := w.client.CoreV1().Pods(p.Namespace).Get(w.t.Context(), p.Name, metav1.GetOptions{})
	must(w.t, err)
	return now
}

// once waits until is says nil of a pod.
func (w *world) once(p *corev1.Pod, what string, is func(*corev1.Pod) error) *corev1.Pod {
	w.t.Helper()
	w.until("pod "+p.Name+" "+what, func() error {
		now, err := w.client.CoreV1().Pods(p.Namespace).Get(w.t.Context(), p.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		p = now
		return is(now)
	})
	return p
}

// in waits until a pod is in a phase; one that has ended in another fails the test.
func (w *world) in(p *corev1.Pod, phase corev1.PodPhase) *corev1.Pod {
	w.t.Helper()
	p = w.once(p, "is "+string(phase), func(p *corev1.Pod) error {
		if p.Status.Phase == phase || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			return nil
		}
		return errorf("%s: %s %s %+v", p.Status.Phase, p.Status.Reason, p.Status.Message, p.Status.ContainerStatuses)
	})
	if p.Status.Phase != phase {
		w.t.Fatalf("pod %s is %s, not %s: %s %s\n%s", p.Name, p.Status.Phase, phase, p.Status.Reason, p.Status.Message, w.said(p, corev1.PodLogOptions{}))
	}
	return p
}

// said is what a container has printed, as the node's kubelet API tells it.
func (w *world) said(p *corev1.Pod, o corev1.PodLogOptions) string {
	w.t.Helper()
	if o.Container == "" {
		o.Container = p.Spec.Containers[0].Name
	}
	text, err := w.client.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &o).DoRaw(w.t.Context())
	if err != nil {
		return "no logs: " + err.Error()
	}
	return string(text)
}

// succeeds runs a pod to its end and returns what it printed.
func (w *world) succeeds(p *corev1.Pod) string {
	w.t.Helper()
	return w.said(w.in(w.start(p), corev1.PodSucceeded), corev1.PodLogOptions{})
}

// prints is a row of a pod that prints something.
func prints(want string, shape func() *corev1.Pod) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		if got := w.succeeds(shape()); got != want {
			t.Errorf("it printed %q, want %q", got, want)
		}
	}
}

// event waits for an event of a pod.
func (w *world) event(p *corev1.Pod, reason string) corev1.Event {
	w.t.Helper()
	var found corev1.Event
	w.until("pod "+p.Name+" has an event "+reason, func() error {
		all, err := w.client.CoreV1().Events(p.Namespace).List(w.t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.uid=" + string(p.UID)})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all.Items, func(e corev1.Event) bool { return e.Reason == reason })
		if i < 0 {
			return errorf("%d others", len(all.Items))
		}
		found = all.Items[i]
		return nil
	})
	return found
}

func (w *world) gone(p *corev1.Pod) {
	w.t.Helper()
	w.until("pod "+p.Name+" and its guest are gone", func() error {
		if now, err := w.client.CoreV1().Pods(p.Namespace).Get(w.t.Context(), p.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return errorf("%v %v", now.DeletionTimestamp, err)
		}
		if n := len(w.guests(p)); n > 0 {
			return errorf("%d guests", n)
		}
		return nil
	})
}

// run runs kubectl, with input.
func (w *world) run(input string, args ...string) (string, error) {
	var said bytes.Buffer
	cmd := w.Command(w.t.Context(), w.tool, append([]string{"-n", "night"}, args...)...)
	cmd.Stdin, cmd.Stderr = io.Reader(strings.NewReader(input)), &said
	out, err := cmd.Output()
	if err != nil {
		return string(out), errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return string(out), nil
}

func (w *world) must(input string, args ...string) string {
	w.t.Helper()
	out, err := w.run(input, args...)
	must(w.t, err)
	return out
}

func ready(p *corev1.Pod, container string) bool {
	return slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses), func(c corev1.ContainerStatus) bool {
		return c.Name == container && c.Ready
	})
}

// besides reports that a container wrote one line, and one other with a text to its other
// output: which of them comes first is not said.
func besides(got, line, text string) bool {
	rest := strings.Replace(got, line, "", 1)
	return len(rest)+len(line) == len(got) && strings.Count(rest, "\n") == 1 && strings.Contains(rest, text)
}
