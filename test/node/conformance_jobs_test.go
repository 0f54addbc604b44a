package node

import (
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func jobRows() []row {
	return []row{
		{"backoffLimit", "pods that fail by themselves are tried again by the Job and counted; guests never are", retried},
		{"Indexed Jobs", "completion index in environment and annotation, hostname with the index", indexed},
		{"suspend", "its pods and guests go; it goes on when it is resumed", suspended},
		{"activeDeadlineSeconds of a Job", "the Job fails with `DeadlineExceeded`", jobDeadline},
		{"podFailurePolicy on DisruptionTarget", "a pod that was disrupted and cannot go on is not counted", ignored},
		{"A guest that is deleted", "the same pod goes on elsewhere, and no failure counts", deletedElsewhere},
		{"CronJobs, with a time zone", "made and counted by the cluster's own controller", cron},
		{"ttlSecondsAfterFinished", "Job, pod and guest go", expires},
		{"ResourceQuota", "guests are counted once, where the quota leaves out the class `spillway-guest`", quota},
	}
}

func tiny(name string, args ...string) *batchv1.Job {
	j := job(name, args...)
	j.Spec.Template.Spec.Containers = []corev1.Container{small("main", args...)}
	return j
}

func (w *world) complete(name string) *batchv1.Job {
	w.t.Helper()
	how, j := w.ended(name)
	if how != "Complete" {
		w.t.Errorf("Job %s is %s: %+v", name, how, j.Status)
	}
	return j
}

func (w *world) podsOf(job string) []corev1.Pod {
	w.t.Helper()
	all, err := w.client.CoreV1().Pods("night").List(w.t.Context(), metav1.ListOptions{LabelSelector: "job-name=" + job})
	must(w.t, err)
	return all.Items
}

func retried(t *testing.T, w *world) {
	j := tiny("retried", "exit=4")
	j.Spec.BackoffLimit = new(int32(1))
	w.create(j)
	if how, j := w.ended("retried"); how != "Failed" || j.Status.Failed != 2 {
		t.Errorf("%s: %+v", how, j.Status)
	}
	if n := len(w.podsOf("retried")); n != 2 {
		t.Errorf("%d pods", n)
	}
}

func indexed(t *testing.T, w *world) {
	j := tiny("indexed", "env=JOB_COMPLETION_INDEX", "env=HOSTNAME", "env=ANNOTATION")
	mode := batchv1.IndexedCompletion
	j.Spec.CompletionMode, j.Spec.Completions, j.Spec.Parallelism = &mode, new(int32(3)), new(int32(3))
	j.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "ANNOTATION", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}}}
	w.create(j)
	if j := w.complete("indexed"); j.Status.CompletedIndexes != "0-2" || j.Status.Failed != 0 {
		t.Errorf("%+v", j.Status)
	}
	for _, p := range w.podsOf("indexed") {
		i := p.Annotations["batch.kubernetes.io/job-completion-index"]
		if got, want := w.said(&p, corev1.PodLogOptions{}), fmt.Sprintf("%s\nindexed-%s\n%s\n", i, i, i); got != want {
			t.Errorf("it printed %q, want %q", got, want)
		}
	}
}

func suspended(t *testing.T, w *world) {
	l := w.latch()
	w.create(tiny("suspended", l.hold, "print=done"))
	v, _ := w.running("suspended")
	suspend := func(yes bool) {
		_, err := w.client.BatchV1().Jobs("night").Patch(t.Context(), "suspended", "application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"suspend":%v}}`, yes), metav1.PatchOptions{})
		must(t, err)
	}
	suspend(true)
	w.gone(v)
	suspend(false)
	l.open()
	if j := w.complete("suspended"); j.Status.Failed != 0 {
		t.Errorf("%+v", j.Status)
	}
}

func jobDeadline(t *testing.T, w *world) {
	j := tiny("late", "sleep=10m")
	j.Spec.ActiveDeadlineSeconds = new(int64(6))
	w.create(j)
	how, j := w.ended("late")
	if reason := j.Status.Conditions[len(j.Status.Conditions)-1].Reason; how != "Failed" || reason != "DeadlineExceeded" || j.Status.Succeeded != 0 {
		t.Errorf("%s: %+v", how, j.Status)
	}
}

// ignored: of two containers one has ended, so that the pod cannot begin again.
func ignored(t *testing.T, w *world) {
	l := w.latch()
	j := tiny("ignored", l.hold)
	j.Spec.Template.Spec.Containers = append(j.Spec.Template.Spec.Containers, small("short", "print=short"))
	j.Spec.PodFailurePolicy = &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
		Action:          batchv1.PodFailurePolicyActionIgnore,
		OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
	}}}
	w.create(j)
	v, g := w.running("ignored")
	w.once(v, "has a container that has ended", func(p *corev1.Pod) error {
		for _, c := range p.Status.ContainerStatuses {
			if c.Name == "short" && c.State.Terminated != nil {
				return nil
			}
		}
		return errorf("%+v", p.Status.ContainerStatuses)
	})
	must(t, w.client.CoreV1().Pods("night").Delete(t.Context(), g.Name, metav1.DeleteOptions{}))
	w.in(v, corev1.PodFailed)
	l.open()
	if j := w.complete("ignored"); j.Status.Failed != 0 || j.Status.Succeeded != 1 {
		t.Errorf("%+v", j.Status)
	}
	for _, p := range w.podsOf("ignored") {
		if p.UID == v.UID && p.Status.Phase != corev1.PodFailed {
			t.Errorf("the first pod is %s: %+v", p.Status.Phase, p.Status.ContainerStatuses)
		}
	}
}

func deletedElsewhere(t *testing.T, w *world) {
	l := w.latch()
	w.create(tiny("elsewhere", l.hold))
	v, g := w.running("elsewhere")
	must(t, w.client.CoreV1().Pods("night").Delete(t.Context(), g.Name, metav1.DeleteOptions{}))
	w.left(g)
	l.open()
	if j := w.complete("elsewhere"); j.Status.Failed != 0 {
		t.Errorf("%+v", j.Status)
	}
	if p := w.podOf("elsewhere"); p.UID != v.UID {
		t.Error("it has another pod")
	}
}

func cron(t *testing.T, w *world) {
	c := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "nightly", Namespace: "night"}, Spec: batchv1.CronJobSpec{
		Schedule: "* * * * *", TimeZone: new("Asia/Shanghai"), ConcurrencyPolicy: batchv1.ForbidConcurrent,
		JobTemplate: batchv1.JobTemplateSpec{Spec: tiny("nightly", "print=ran").Spec},
	}}
	c.Spec.JobTemplate.Labels = map[string]string{"of": "nightly"}
	_, err := w.client.BatchV1().CronJobs("night").Create(t.Context(), c, metav1.CreateOptions{})
	must(t, err)
	var name string
	w.until("it has a Job", func() error {
		all, err := w.client.BatchV1().Jobs("night").List(t.Context(), metav1.ListOptions{LabelSelector: "of=nightly"})
		if err != nil {
			return err
		}
		if len(all.Items) == 0 {
			return errorf("none yet")
		}
		name = all.Items[0].Name
		return nil
	})
	must(t, w.client.BatchV1().CronJobs("night").Delete(t.Context(), "nightly", metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationOrphan)}))
	w.complete(name)
	if p := w.podOf(name); w.said(p, corev1.PodLogOptions{}) != "ran\n" {
		t.Errorf("it printed something else")
	}
}

func expires(_ *testing.T, w *world) {
	l := w.latch()
	j := tiny("expires", l.hold)
	j.Spec.TTLSecondsAfterFinished = new(int32(1))
	w.create(j)
	v, _ := w.running("expires")
	l.open()
	w.gone(v)
}

func quota(t *testing.T, w *world) {
	must(t, w.Apply(t.Context(), `
{apiVersion: v1, kind: Namespace, metadata: {name: narrow, labels: {spillway.dev/offline: enabled}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: narrow, namespace: narrow}
spec:
  hard: {requests.cpu: 15m, pods: "1"}
  scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: NotIn, values: [spillway-guest]}]}
`))
	w.until("the quota counts", func() error {
		q, err := w.client.CoreV1().ResourceQuotas("narrow").Get(t.Context(), "narrow", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(q.Status.Used) == 0 {
			return errorf("not yet")
		}
		_, err = w.client.CoreV1().ServiceAccounts("narrow").Get(t.Context(), "default", metav1.GetOptions{})
		return err
	})
	p := pod("narrow", "print=fits")
	p.Namespace = "narrow"
	if got := w.succeeds(p); got != "fits\n" {
		t.Errorf("it printed %q", got)
	}
}
