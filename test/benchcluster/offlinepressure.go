package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const pressureSamples = 4 // of each kind

// pressures has online pods take what a guest holds, and sees how soon it is asked to go
// and its room can be used.
func (o *offline) pressures(ctx context.Context) error {
	o.heading(fmt.Sprintf("Online work needs the room of a guest whose grace is %s", guestGrace),
		append([]string{"", "samples", "until its deletion is asked for: p50 ms", "most ms", "from then until its room is free: p50 ms", "most ms", "online pod created until bound: p50 ms", "most ms"}, "guest")...)
	for _, kind := range []struct {
		name, guest string
		beyond      int64 // what the online pod asks for beyond what is free, in thousandths of a core
		args        []string
	}{
		{"an online pod leaves too little free: the node asks", "ends when told", -20, []string{"sleep=10m"}},
		{"the same", "ignores SIGTERM", -20, []string{"stubborn=yes", "sleep=10m"}},
		{"an online pod finds no room: the scheduler asks", "ends when told", 200, []string{"sleep=10m"}},
		{"the same", "ignores SIGTERM", 200, []string{"stubborn=yes", "sleep=10m"}},
	} {
		var asked, usable, bound []time.Duration
		for i := range pressureSamples {
			if err := o.pressure(ctx, fmt.Sprintf("pressed-%d-%d", i, time.Now().UnixNano()), kind.beyond, kind.args, &asked, &usable, &bound); err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
		}
		o.row(kind.name, len(asked), millis(quantile(asked, 50)), millis(quantile(asked, 100)), millis(quantile(usable, 50)), millis(quantile(usable, 100)), millis(quantile(bound, 50)), millis(quantile(bound, 100)), kind.guest)
	}
	return nil
}

func (o *offline) pressure(ctx context.Context, name string, beyond int64, args []string, asked, usable, bound *[]time.Duration) error {
	if err := o.calm(ctx); err != nil {
		return err
	}
	jobs := o.client.BatchV1().Jobs("night")
	if _, err := jobs.Create(ctx, o.nightJob(name, 500, args...), metav1.CreateOptions{}); err != nil {
		return err
	}
	g, err := o.guestOf(ctx, name)
	if err != nil {
		return err
	}
	h, err := o.held(ctx)
	if err != nil {
		return err
	}
	created, err := o.online(ctx, name, h.free()+beyond)
	if err != nil {
		return err
	}
	err = until(ctx, time.Minute, "the guest goes", func() error {
		if g, p := o.seen.of(g.Name), o.seen.of(name); g.over.IsZero() || p.bound.IsZero() {
			return fmt.Errorf("guest %+v, online pod %+v", g, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s, p := o.seen.of(g.Name), o.seen.of(name)
	pressed := created // a pod that finds no room presses from the beginning
	if beyond < 0 {
		pressed = p.bound
	}
	*asked, *usable, *bound = append(*asked, s.asked.Sub(pressed)), append(*usable, s.over.Sub(s.asked)), append(*bound, p.bound.Sub(created))
	return errors.Join(jobs.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}), o.away(ctx, name))
}

// guestOf waits until the pod of a Job has a guest that runs.
func (o *offline) guestOf(ctx context.Context, job string) (g *corev1.Pod, err error) {
	return g, until(ctx, 2*time.Minute, "job "+job+" runs", func() error {
		all, err := o.client.CoreV1().Pods("night").List(ctx, metav1.ListOptions{LabelSelector: "spillway.dev/guest-of"})
		if err != nil {
			return err
		}
		for i := range all.Items {
			if p := &all.Items[i]; p.DeletionTimestamp == nil && p.Status.Phase == corev1.PodRunning {
				g = p
				return nil
			}
		}
		return fmt.Errorf("%d guests, none runs", len(all.Items))
	})
}
