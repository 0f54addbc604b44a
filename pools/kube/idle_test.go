package kube

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
)

// TestIdlePod: it is below everything online, takes no other pod's place, runs on no
// virtual node, and is not waited for.
func TestIdlePod(t *testing.T) {
	f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "night"}, Retry: spillway.RetryIdempotent}
	online := specOf{pool: "p", priority: "spillway-instance"}.instance(1, f)
	if online.Labels[LabelIdle] != "" || online.Spec.PriorityClassName != "spillway-instance" || *online.Spec.TerminationGracePeriodSeconds != drainSeconds {
		t.Errorf("online: %+v", online)
	}
	p := specOf{pool: "p", priority: "spillway-instance", idle: true}.instance(1, f)
	if p.Namespace != "shop" || p.Labels[LabelIdle] != "p" || p.Labels[LabelRetry] != "idempotent" || p.Spec.PriorityClassName != IdlePriority || *p.Spec.TerminationGracePeriodSeconds != reclaimSeconds {
		t.Errorf("%+v", p.ObjectMeta)
	}
	for _, term := range p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		if e := term.MatchExpressions; len(e) != 1 || e[0].Key != virtual || e[0].Operator != corev1.NodeSelectorOpNotIn {
			t.Errorf("%+v", term)
		}
	}
	f.Retry = spillway.RetryNever
	if p := (specOf{pool: "p", idle: true}).instance(1, f); p.Labels[LabelRetry] != "" {
		t.Error("what is not to be repeated says that it is")
	}
}

// TestTaken: who ended a pod in idle capacity.
func TestTaken(t *testing.T) {
	now := metav1.NewTime(time.Now())
	deleted := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}
	preempted := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}}}
	evicted := preempted.DeepCopy()
	evicted.Status.Reason = "Evicted"
	full := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: `Usage of EmptyDir volume "tmp" exceeds the limit "1Gi".`}}
	crashed := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}
	for name, c := range map[string]struct {
		pod          *corev1.Pod
		gone, closed bool
		online       bool
		want         bool
	}{
		"it runs":              {pod: &corev1.Pod{}},
		"deleted":              {pod: deleted, want: true},
		"deleted by us":        {pod: deleted, closed: true},
		"deleted by force":     {pod: &corev1.Pod{}, gone: true, want: true},
		"preempted":            {pod: preempted, want: true},
		"evicted for others":   {pod: evicted, want: true},
		"its own disk is full": {pod: full},
		"crashed":              {pod: crashed},
		"of an online pool":    {pod: deleted, online: true},
	} {
		p := &Pool{spec: specOf{idle: !c.online}, closed: c.closed, pods: map[types.UID]*pod{}}
		w := &pod{uid: "u", latest: c.pod}
		if !c.gone {
			p.pods["u"] = w
		}
		if got := p.taken(w); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestAgentTold: what an agent said of a start while it was told to end waits for what the
// cluster says of its pod.
func TestAgentTold(t *testing.T) {
	ca, err := remote.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	config, err := ca.Client()
	if err != nil {
		t.Fatal(err)
	}
	now := metav1.Now()
	p, w := roomy(), &pod{uid: "w", latest: &corev1.Pod{}, seen: make(chan struct{}), left: make(chan struct{})}
	p.spec.idle, p.pods["w"] = true, w
	w.agent = remote.DialWith(func(context.Context, string, string) (net.Conn, error) { // it is asked whether it is there
		w.see(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}})
		return nil, errors.New("it has ended")
	}, "10.0.0.1:1", config)
	defer w.agent.Close()
	said := &pools.StartError{Type: "Runtime.ExitError", Err: errors.New("it was told to stop")}
	if err := p.orTaken(t.Context(), &instance{pod: w, stopped: true}, said); err != said {
		t.Errorf("stopped by us: %v", err)
	}
	if err := p.orTaken(t.Context(), &instance{pod: w}, said); !errors.Is(err, pools.ErrNoRoom) {
		t.Errorf("taken away: %v", err)
	}
}

// TestEvicted: a pod that its node evicts before it runs, or for others, has found no room;
// one that has filled its disk has failed, and it is said for what.
func TestEvicted(t *testing.T) {
	ran := corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "its disk is full", ContainerStatuses: []corev1.ContainerStatus{
		{Name: container, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}}},
	}}
	others, refused := *ran.DeepCopy(), *ran.DeepCopy()
	others.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
	refused.ContainerStatuses = nil
	for name, c := range map[string]struct {
		status corev1.PodStatus
		room   bool
	}{"for others": {others, true}, "not taken": {refused, true}, "for its own limit": {ran, false}} {
		err := hopeless(&corev1.Pod{Status: c.status})
		if errors.Is(err, pools.ErrNoRoom) != c.room || !strings.Contains(err.Error(), "its disk is full") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
