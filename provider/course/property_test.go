package course_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/guest"
)

func jobPod(policy corev1.RestartPolicy, init, containers int) *corev1.Pod {
	yes, grace := true, int64(30)
	v := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "etl-x7f2p", Namespace: "risk", UID: types.UID("5b4c"), Generation: 1, ResourceVersion: "0",
			Labels:          map[string]string{"app": "etl", "batch.kubernetes.io/controller-uid": "77", "batch.kubernetes.io/job-name": "etl"},
			Annotations:     map[string]string{guest.AnnotationBurst: "etl-cloud"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "etl", UID: "77", Controller: &yes}}},
		Spec:   corev1.PodSpec{NodeName: node, RestartPolicy: policy, TerminationGracePeriodSeconds: &grace},
		Status: corev1.PodStatus{Phase: corev1.PodPending, QOSClass: corev1.PodQOSBestEffort},
	}
	for i := range init {
		v.Spec.InitContainers = append(v.Spec.InitContainers, corev1.Container{Name: fmt.Sprint("init", i), Image: "etl:1"})
	}
	for i := range containers {
		v.Spec.Containers = append(v.Spec.Containers, corev1.Container{Name: fmt.Sprint("c", i), Image: "etl:1"})
	}
	return v
}

// TestPromises drives pods through arbitrary interleavings of what a cluster, a
// dispatcher and a node process can do, with caches that lag and parts of steps that
// fail, and then lets things calm down.
func TestPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := rapid.SampledFrom([]corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure}).Draw(t, "policy")
		v := jobPod(policy, rapid.IntRange(0, 1).Draw(t, "init"), rapid.IntRange(1, 2).Draw(t, "containers"))
		if rapid.Bool().Draw(t, "bounded") {
			limit := int64(rapid.IntRange(1, 600).Draw(t, "activeDeadlineSeconds"))
			v.Spec.ActiveDeadlineSeconds = &limit
		}
		w := newWorld(v)
		actions := w.actions()
		names := make([]string, 0, len(actions))
		for name := range actions {
			names = append(names, name)
		}
		slices.Sort(names)
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			name := rapid.SampledFrom(names).Draw(t, "action")
			w.logf("· %s", name)
			actions[name](t)
			w.check(t)
		}
		w.calm(t)
	})
}

// actions are what can happen at any time.
func (w *world) actions() map[string]func(*rapid.T) {
	onGuest := func(running bool, do func(*corev1.Pod)) func(*rapid.T) {
		return func(*rapid.T) {
			if g := w.live(); g != nil && g.Spec.NodeName != "" && (g.Status.Phase == corev1.PodRunning) == running {
				do(g)
			}
		}
	}
	step := func(t *rapid.T) {
		w.step(func(string) bool { return rapid.IntRange(0, 4).Draw(t, "fails") == 0 })
	}
	return map[string]func(*rapid.T){
		"step": step, "step again": step, "step once more": step,
		"restart behind": func(*rapid.T) { w.restart(); w.seenGuests = nil },
		"restart":        func(*rapid.T) { w.restart() },
		"pod seen":       func(*rapid.T) { w.syncPod() },
		"guests seen":    func(*rapid.T) { w.syncGuests() },
		"time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds")) * time.Second)
		},
		"says": func(t *rapid.T) {
			w.says.State = rapid.SampledFrom([]course.State{course.Waiting, course.Admitted, course.Admitted, course.Cloud, course.Refused}).Draw(t, "state")
		},
		"reclaim":      func(*rapid.T) { w.wantRoom() },
		"user deletes": func(*rapid.T) { w.deletePod(30) },
		"user forces": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "rarely") == 0 {
				w.pod = nil
			}
		},
		"full or not":    func(*rapid.T) { w.full = !w.full },
		"refuses or not": func(*rapid.T) { w.refuses = !w.refuses },
		"pod reaped":     func(*rapid.T) { w.reap() },
		"scheduled": func(*rapid.T) {
			if g := w.live(); g != nil && g.Spec.NodeName == "" {
				w.schedule(g)
			}
		},
		"runs":     onGuest(false, w.run),
		"rejected": onGuest(false, w.reject),
		"evicted":  onGuest(true, w.evict),
		"node off": onGuest(true, w.shutdown),
		"timed out": onGuest(true, func(g *corev1.Pod) {
			if g.Spec.ActiveDeadlineSeconds != nil {
				w.timeout(g)
			}
		}),
		"exit": func(t *rapid.T) {
			if g := w.live(); g != nil && g.Status.Phase == corev1.PodRunning && g.DeletionTimestamp == nil {
				w.exit(g, fmt.Sprint("c", rapid.IntRange(0, 1).Draw(t, "container")), int32(rapid.IntRange(0, 1).Draw(t, "code")))
			}
		},
		"hand deletes": func(t *rapid.T) {
			if g := w.live(); g != nil {
				w.deleteGuest(g, int64(rapid.IntRange(0, 30).Draw(t, "grace")))
			}
		},
		"killed": func(t *rapid.T) {
			if g := w.live(); g != nil && g.DeletionTimestamp != nil {
				w.kill(g, int32(rapid.SampledFrom([]int{0, 143, 137}).Draw(t, "code")))
			}
		},
		"guests reaped": func(*rapid.T) { w.reapGuests() },
		"hand clears": func(*rapid.T) {
			for _, g := range w.guests {
				if guest.Terminal(g) {
					w.cleared[g.Name] = true
					w.vanish(g)
				}
			}
		},
		"cloud ends": func(t *rapid.T) {
			for _, key := range slices.Sorted(maps.Keys(w.sent)) {
				if run := w.sent[key]; run.State == course.Running {
					run.State = rapid.SampledFrom([]course.RunState{course.Executed, course.Executed, course.NotExecuted, course.Unknown}).Draw(t, "how")
					run.ExitCode, run.Ended = int32(rapid.IntRange(0, 1).Draw(t, "code")), w.now
					w.learn()
				}
			}
		},
	}
}

// learn tells the node process how its run stands.
func (w *world) learn() {
	if w.cloud == nil {
		return
	}
	for _, run := range w.sent {
		if run.Attempt == w.cloud.Attempt {
			now := *run
			w.cloud = &now
		}
	}
}

func (w *world) wantRoom() {
	if g := w.live(); g != nil {
		w.reclaim = &course.Reclaim{Attempt: guest.Attempt(g), Text: "web needs 4 cores"}
	}
}

func (w *world) deletePod(grace int64) {
	if w.pod != nil && w.pod.DeletionTimestamp == nil {
		ends := metav1.NewTime(w.now.Add(time.Duration(grace) * time.Second))
		w.pod.DeletionTimestamp, w.pod.DeletionGracePeriodSeconds = &ends, &grace
		w.touch(w.pod)
	}
}

// reap removes a deleted pod that shows its end, as the node controller does.
func (w *world) reap() {
	if w.pod != nil && w.pod.DeletionTimestamp != nil && guest.Terminal(w.pod) {
		w.pod = nil
	}
}

func (w *world) reapGuests() {
	for _, g := range w.guests {
		if g.DeletionTimestamp != nil && guest.Terminal(g) {
			w.vanish(g)
		}
	}
}

func (w *world) check(t *rapid.T) {
	if len(w.broken) > 0 {
		t.Fatalf("%s\n%s", strings.Join(w.broken, "\n"), strings.Join(w.log, "\n"))
	}
}

// givesBack holds while there is no room that no attempt is held open without a guest for
// longer than the longest patience.
func (w *world) givesBack(t *rapid.T, never func(string) bool) {
	if !w.full && !w.refuses {
		return
	}
	w.logf("· full")
	w.says.State = course.Waiting
	for range 32 { // times 10 s
		w.sync()
		for range 10 {
			w.step(never)
		}
		w.check(t)
		w.now = w.now.Add(10 * time.Second)
	}
	if a := w.answer; w.pod != nil && w.live() == nil && a != nil && a.State == course.Admitted {
		t.Fatalf("attempt %d is held open without a guest\n%s", a.Attempt, strings.Join(w.log, "\n"))
	}
}

// calm lets everything work from here on: what then is left must come to an end.
func (w *world) calm(t *rapid.T) {
	never := func(string) bool { return false }
	w.givesBack(t, never)
	w.logf("· calm")
	w.says.State, w.full, w.refuses = course.Admitted, false, false
	for range 400 {
		w.sync()
		did := w.step(never)
		w.check(t)
		if !did && w.live() == nil && (w.pod == nil || guest.Terminal(w.pod)) {
			if len(w.open) > 0 || w.pod == nil && len(w.guests) > 0 {
				t.Fatalf("the dispatcher still holds %v open, and %d guests are left\n%s", w.open, len(w.guests), strings.Join(w.log, "\n"))
			}
			return
		}
		w.now = w.now.Add(10 * time.Second)
		w.reap()
		g := w.live()
		switch {
		case g == nil:
		case g.DeletionTimestamp != nil:
			w.kill(g, 143)
		case g.Spec.NodeName == "":
			w.schedule(g)
		case g.Status.Phase != corev1.PodRunning:
			w.run(g)
		default:
			for _, c := range g.Spec.Containers {
				w.exit(g, c.Name, 0)
			}
		}
		w.reapGuests()
		for _, run := range w.sent {
			if run.State == course.Running {
				run.State, run.Ended = course.Executed, w.now
			}
		}
		w.learn()
	}
	t.Fatalf("it does not come to an end: %s\n%s", line(w.pod.Status), strings.Join(w.log[max(0, len(w.log)-60):], "\n"))
}

// TestOneGuest: no guest is made beside one that should not be there.
func TestOneGuest(t *testing.T) {
	v := jobPod(corev1.RestartPolicyNever, 0, 1)
	v.Status.Conditions = []corev1.PodCondition{{Type: course.Condition, Status: corev1.ConditionUnknown, Reason: "Attempt2"}}
	stray, err := guest.Of(v, guest.Config{Node: node, Attempt: 1, Now: epoch})
	if err != nil {
		t.Fatal(err)
	}
	stray.Status.Phase = corev1.PodRunning
	f := course.Facts{Node: node, Pod: v, Guests: []*corev1.Pod{stray}, Live: true, Answer: &course.Answer{Attempt: 2, State: course.Admitted}}
	if s := course.Next(f, epoch); s.Create != nil || len(s.Delete) != 1 {
		t.Errorf("beside a stray guest: %+v", s)
	}
	f.Guests = nil
	if s := course.Next(f, epoch); s.Create == nil {
		t.Errorf("alone: %+v", s)
	}
}

// TestBehind: from a cache in which the guest is missing nothing follows but a look
// at the API server.
func TestBehind(t *testing.T) {
	for _, is := range []corev1.ConditionStatus{corev1.ConditionUnknown, corev1.ConditionTrue} {
		v := jobPod(corev1.RestartPolicyNever, 0, 1)
		v.Status.Conditions = []corev1.PodCondition{{Type: course.Condition, Status: is, Reason: "Attempt1"}}
		f := course.Facts{Node: node, Pod: v, Answer: &course.Answer{Attempt: 1, State: course.Admitted}}
		gone := f
		gone.Pod = nil
		ended := f
		ended.Pod = v.DeepCopy()
		ended.Pod.Status.Phase = corev1.PodFailed
		for name, f := range map[string]course.Facts{"runs": f, "is gone": gone, "has ended": ended} {
			if s := course.Next(f, epoch); !s.Look || s.End != nil || s.Create != nil || s.Status != nil {
				t.Errorf("a pod that %s, condition %s: %+v", name, is, s)
			}
		}
	}
}
