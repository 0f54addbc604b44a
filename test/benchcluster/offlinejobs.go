package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nightJob is a Job of one pod on idle capacity, which is never tried again.
func (o *offline) nightJob(name string, milli int64, args ...string) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "night"}}
	j.Spec.BackoffLimit = new(int32(0))
	j.Spec.Template.Spec = corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: new(int64(guestGrace / time.Second)), AutomountServiceAccountToken: new(false),
		Containers: []corev1.Container{o.container(milli, args...)}, NodeSelector: map[string]string{"spillway.dev/offline": "true"},
		Tolerations: []corev1.Toleration{{Key: "spillway.dev/offline", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}},
	}
	return j
}

// nightWork is what Jobs by night are like.
type nightWork struct {
	takes time.Duration
	class string // priority; "": the cluster's default, as online pods have it
}

// night keeps Jobs in flight.
type night struct {
	*offline
	nightWork
	end  context.CancelFunc
	done chan error

	made, completed int
}

const (
	nightFlight = 30 // Jobs, more than the node has room for
	nightClass  = "night-work"
)

// jobsByNight has Jobs be in flight until it is ended.
func (o *offline) jobsByNight(ctx context.Context, work nightWork) *night {
	ctx, end := context.WithCancel(ctx)
	n := &night{offline: o, nightWork: work, end: end, done: make(chan error, 1)}
	go func() { n.done <- n.feed(ctx) }()
	return n
}

// feed makes a Job for each that completes. A Job that fails is an error.
func (n *night) feed(ctx context.Context) error {
	jobs := n.client.BatchV1().Jobs("night")
	for ctx.Err() == nil {
		all, err := jobs.List(ctx, metav1.ListOptions{})
		if err != nil {
			return unlessEnded(ctx, err)
		}
		open := 0
		for i := range all.Items {
			switch j := &all.Items[i]; {
			case j.Status.Failed > 0:
				return fmt.Errorf("job %s is charged with a failure: %+v", j.Name, j.Status)
			case j.DeletionTimestamp != nil:
			case j.Status.CompletionTime != nil:
				n.completed++
				err = jobs.Delete(ctx, j.Name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
			default:
				open++
			}
			if err != nil {
				return unlessEnded(ctx, err)
			}
		}
		for ; open < nightFlight; open++ {
			n.made++
			j := n.nightJob(fmt.Sprintf("night-%d-%d", time.Now().UnixNano(), n.made), offlineMilli, "sleep="+n.takes.String())
			j.Spec.Template.Spec.PriorityClassName = n.class
			if _, err := jobs.Create(ctx, j, metav1.CreateOptions{}); err != nil {
				return unlessEnded(ctx, err)
			}
		}
		if pause(ctx, 500*time.Millisecond) != nil {
			return nil
		}
	}
	return nil
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// steady is how long a Job takes at least of whose kind all can run at once.
const steady = time.Minute

// filled waits until guests have what there is for them, and run if they do for long.
func (n *night) filled(ctx context.Context) error {
	return until(ctx, 3*time.Minute, "guests have what is idle", func() error {
		select {
		case err := <-n.done:
			n.done <- err
			return errors.Join(errors.New("no Jobs are made any longer"), err)
		default:
		}
		h, err := n.held(ctx)
		if err == nil && (h.guests < h.offer()-2*offlineMilli || n.takes >= steady && h.starting > 0) {
			err = fmt.Errorf("they have %dm of %dm, of which %dm begin", h.guests, h.offer(), h.starting)
		}
		return err
	})
}

// over ends it, and removes all Jobs.
func (n *night) over(ctx context.Context) error {
	n.end()
	err := <-n.done
	return errors.Join(err, n.client.BatchV1().Jobs("night").DeleteCollection(ctx, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}, metav1.ListOptions{}), n.calm(ctx))
}
