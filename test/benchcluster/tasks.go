package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// block is how many tasks of a kind are one after another before the next kind.
	block = 10
	// warmStock is how many pods wait, and instances are kept, when all tasks come at
	// once. No more first calls come than pods wait: a node has 110 pods.
	warmStock = 32
)

// tasksSection runs short tasks as functions and as Jobs of the same cluster: one after
// another, in turn, and then all at once.
func tasksSection(ctx context.Context, b *bench) error {
	t, err := b.tasksInTurn(ctx)
	if err != nil {
		return err
	}
	b.taskTable("Short tasks, one after another", t)
	if t, err = b.tasksAtOnce(ctx); err != nil {
		return err
	}
	b.taskTable("Short tasks, all at once", t)
	return nil
}

func (b *bench) taskTable(title string, t *taskTimes) {
	job := quantile(t.jobs, 50)
	b.heading(title, append(spreadColumns, "Job / this, p50")...)
	b.spread("Job, create to Complete", t.jobs, "")
	b.spread("of it until its pod has succeeded", t.pods, times(job, quantile(t.pods, 50)))
	b.spread("function, warm", t.warm, times(job, quantile(t.warm, 50)))
	b.spread("function, first call, in a pod that waited for a package", t.cold, times(job, quantile(t.cold, 50)))
}

// taskTimes is how long each task took from being asked for until its end was known.
type taskTimes struct{ jobs, pods, warm, cold []time.Duration }

func (b *bench) taskFunctions(n, minWarm int) func(map[string]string) []string {
	return func(digest map[string]string) []string {
		all := []string{functionOf("shop", "warm", packaged(digest["echo"]), fmt.Sprintf(", minWarm: %d", minWarm))}
		for i := range n {
			all = append(all, functionOf("shop", "task"+strconv.Itoa(i), packaged(digest["echo"]), ""))
		}
		return all
	}
}

func (b *bench) tasksInTurn(ctx context.Context) (_ *taskTimes, err error) {
	server, err := b.begin(ctx, platform{b.podsAndQuota(stock, "100m", "10s", ""), b.taskFunctions(b.samples, 1)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	s, t := b.supply(), &taskTimes{}
	if _, err := b.good(ctx, "warm", `{}`, "onprem"); err != nil {
		return nil, err
	}
	s.used = 1
	for first := 0; first < b.samples; first += block {
		last := min(first+block, b.samples)
		for i := first; i < last; i++ {
			jobs, pods, err := b.jobs(ctx, i, 1)
			if err != nil {
				return nil, err
			}
			t.jobs, t.pods = append(t.jobs, jobs...), append(t.pods, pods...)
		}
		for i := first; i < last; i++ {
			took, err := b.good(ctx, "warm", fmt.Sprintf(`{"n":%d}`, i), "onprem")
			if err != nil {
				return nil, err
			}
			t.warm = append(t.warm, took)
		}
		for i := first; i < last; i++ {
			if err := s.await(ctx, stock); err != nil {
				return nil, err
			}
			took, err := b.good(ctx, "task"+strconv.Itoa(i), fmt.Sprintf(`{"n":%d}`, i), "onprem")
			if err != nil {
				return nil, err
			}
			s.used++
			t.cold = append(t.cold, took)
		}
	}
	return t, nil
}

func (b *bench) tasksAtOnce(ctx context.Context) (_ *taskTimes, err error) {
	t := &taskTimes{}
	if t.jobs, t.pods, err = b.jobs(ctx, b.tasks, b.tasks); err != nil {
		return nil, err
	}
	server, err := b.begin(ctx, platform{b.podsAndQuota(warmStock, "10m", "1m", ""), b.taskFunctions(warmStock, warmStock)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	s := b.supply()
	if err := s.await(ctx, 2*warmStock); err != nil { // those of the function that is kept warm, and those that wait
		return nil, err
	}
	if t.warm, err = b.callsAtOnce(ctx, b.tasks, func(int) string { return "warm" }); err != nil {
		return nil, err
	}
	if t.cold, err = b.callsAtOnce(ctx, warmStock, func(i int) string { return "task" + strconv.Itoa(i) }); err != nil {
		return nil, err
	}
	return t, nil
}

func (b *bench) callsAtOnce(ctx context.Context, n int, function func(i int) string) ([]time.Duration, error) {
	all, failed := make([]time.Duration, n), make([]error, n)
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { all[i], failed[i] = b.good(ctx, function(i), fmt.Sprintf(`{"n":%d}`, i), "onprem") })
	}
	calls.Wait()
	return all, errors.Join(failed...)
}

// jobs makes n Jobs at once and returns how long each took until it was complete, and
// until its pod had succeeded, both as a watch told. They are deleted. number makes
// their names.
func (b *bench) jobs(ctx context.Context, number, n int) (jobs, pods []time.Duration, err error) {
	client := b.client.BatchV1().Jobs("jobs")
	watch, err := client.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	defer watch.Stop()
	watchPods, err := b.client.CoreV1().Pods("jobs").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, err
	}
	defer watchPods.Stop()
	began := map[string]time.Time{}
	for i := range n {
		name := fmt.Sprintf("task-%d-%d", number, i)
		began[name] = time.Now()
		if _, err := client.Create(ctx, b.job(name), metav1.CreateOptions{}); err != nil {
			return nil, nil, err
		}
	}
	complete, succeeded := map[string]bool{}, map[types.UID]bool{}
	for len(jobs) < n || len(pods) < n {
		select {
		case event, open := <-watch.ResultChan():
			if !open {
				return nil, nil, fmt.Errorf("the watch of Jobs ended when %d of %d were complete", len(jobs), n)
			}
			job, ok := event.Object.(*batchv1.Job)
			if ok && !complete[job.Name] && isComplete(job) {
				complete[job.Name] = true
				jobs = append(jobs, time.Since(began[job.Name]))
			}
		case event, open := <-watchPods.ResultChan():
			if !open {
				return nil, nil, fmt.Errorf("the watch of their pods ended when %d of %d had succeeded", len(pods), n)
			}
			pod, ok := event.Object.(*corev1.Pod)
			if ok && !succeeded[pod.UID] && pod.Status.Phase == corev1.PodSucceeded && !began[pod.Labels[batchv1.JobNameLabel]].IsZero() {
				succeeded[pod.UID] = true
				pods = append(pods, time.Since(began[pod.Labels[batchv1.JobNameLabel]]))
			}
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(5 * time.Minute):
			return nil, nil, fmt.Errorf("%d of %d Jobs are complete, and nothing more comes", len(jobs), n)
		}
	}
	return jobs, pods, client.DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}, metav1.ListOptions{})
}

func isComplete(job *batchv1.Job) bool {
	for _, c := range job.Status.Conditions {
		if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// job is a Job whose program says a word and ends.
func (b *bench) job(name string) *batchv1.Job {
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: new(false),
		Containers: []corev1.Container{{Name: "c", Image: b.task, ImagePullPolicy: corev1.PullNever, Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: *resource.NewMilliQuantity(20, resource.DecimalSI), corev1.ResourceMemory: *resource.NewQuantity(96<<20, resource.BinarySI)},
		}}},
	}}}}
}
