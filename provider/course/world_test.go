package course_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/course"
	"github.com/spillway-dev/spillway/provider/guest"
)

const node = "spillway-offline"

var epoch = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)

// world is an API server, a dispatcher and a node process that follows Next.
type world struct {
	now     time.Time
	version int

	pod    *corev1.Pod // as the API server has it; nil: gone
	uid    string
	guests map[string]*corev1.Pod

	// As the node process sees it.
	seenPod    *corev1.Pod
	seenGuests map[string]*corev1.Pod
	last       *corev1.Pod
	begun      int
	answer     *course.Answer
	reclaim    *course.Reclaim
	cloud      *course.Run
	noRoom     *course.NoRoom
	vain       int

	says    course.Answer          // what the dispatcher answers to any attempt
	open    map[int]course.State   // its admissions
	ends    map[int][]course.End   // what it was told
	sent    map[string]*course.Run // runs in the cloud by key
	genuine map[string]bool        // guests that succeeded by themselves
	failed  map[string]bool        // guests that failed by themselves

	full    bool                   // there is no room on any node
	refuses bool                   // the API server makes no guests
	loses   bool                   // the next guest to be made is not answered about, and then all is full
	flight  *corev1.Pod            // what may still come of it
	refused bool                   // the dispatcher has refused it
	gone    map[string]*corev1.Pod // guests that were removed, as they were last
	ran     map[int]bool           // attempts whose guest has run
	made    int                    // the latest attempt of which a guest was to be made
	forgot  int                    // the latest attempt that another node process has seen to
	cleared map[string]bool        // guests that somebody removed when they had ended
	lost    bool                   // one of them while no node process looked

	broken []string // promises that were not kept
	log    []string
}

func newWorld(pod *corev1.Pod) *world {
	w := &world{now: epoch, pod: pod, uid: string(pod.UID), guests: map[string]*corev1.Pod{}, open: map[int]course.State{}, ends: map[int][]course.End{},
		sent: map[string]*course.Run{}, gone: map[string]*corev1.Pod{}, ran: map[int]bool{}, cleared: map[string]bool{}, genuine: map[string]bool{}, failed: map[string]bool{}, says: course.Answer{State: course.Waiting, Text: "waits for idle capacity"}}
	w.sync()
	return w
}

func (w *world) breaks(text string, arguments ...any) {
	w.broken = append(w.broken, fmt.Sprintf(text, arguments...))
}
func (w *world) logf(text string, arguments ...any) {
	w.log = append(w.log, fmt.Sprintf(text, arguments...))
}

// sync lets the caches catch up.
func (w *world) sync() { w.syncPod(); w.syncGuests() }

func (w *world) syncPod() { w.seenPod = w.pod.DeepCopy() }

func (w *world) syncGuests() {
	for _, name := range slices.Sorted(maps.Keys(w.gone)) {
		if g := w.gone[name]; w.last == nil || guest.Attempt(g) > guest.Attempt(w.last) {
			w.last = g
		}
	}
	clear(w.gone)
	w.seenGuests = map[string]*corev1.Pod{}
	for name, g := range w.guests {
		w.seenGuests[name] = g.DeepCopy()
	}
}

// restart is a node process that begins anew: what it knows of the dispatcher is
// what the dispatcher lists.
func (w *world) restart() {
	for name := range w.gone {
		w.lost = w.lost || w.cleared[name]
	}
	clear(w.gone)
	w.answer, w.reclaim, w.cloud, w.last, w.noRoom, w.vain = nil, nil, nil, nil, nil, 0
	w.forgot, w.begun = w.made, 0
	for attempt, state := range w.open {
		w.begun, w.forgot = attempt, max(attempt, w.forgot)
		w.answer = &course.Answer{Attempt: attempt, State: state, Pool: w.says.Pool, Text: w.says.Text, Again: w.now}
	}
	w.sync()
}

func (w *world) facts(live bool) course.Facts {
	f := course.Facts{Node: node, Pod: w.seenPod, Live: live, Last: w.last, Begun: w.begun, Answer: w.answer, Reclaim: w.reclaim, Cloud: w.cloud, NoRoom: w.noRoom, Vain: w.vain}
	for _, name := range slices.Sorted(maps.Keys(w.seenGuests)) {
		f.Guests = append(f.Guests, w.seenGuests[name])
	}
	return f
}

// step calls Next and does what it says, except the parts that fail. It reports
// whether there was anything to do.
func (w *world) step(fails func(part string) bool) bool {
	s := course.Next(w.facts(false), w.now)
	did := w.do(s, fails)
	if s.Look && !fails("look") {
		w.sync()
		did = w.do(course.Next(w.facts(true), w.now), fails) || did
	}
	return did
}

func (w *world) do(s course.Step, fails func(part string) bool) bool {
	did := false
	part := func(name string, is bool, do func()) {
		if is {
			did = true
			if !fails(name) {
				do()
			}
		}
	}
	part("status", s.Status != nil, func() { w.write(*s.Status) })
	for _, e := range s.Events {
		w.logf("event %s: %s", e.Reason, e.Text)
	}
	part("end", s.End != nil, func() { w.ended(*s.End) })
	for _, d := range s.Delete {
		part("delete", true, func() { w.delete(d) })
	}
	if w.full && s.Create != nil {
		w.lacks(guest.Attempt(s.Create))
		s.Create = nil // and tried again later
	}
	if w.refuses && s.Create != nil {
		w.lacks(guest.Attempt(s.Create))
		w.noRoom.Refused, w.noRoom.Text = true, "quota: no more pods"
		did, s.Create = true, nil
		w.logf("create is refused")
	}
	if s.Create != nil {
		w.noRoom = nil
		w.begun = max(w.begun, guest.Attempt(s.Create))
		w.made = max(w.made, guest.Attempt(s.Create))
	}
	if s.Create != nil && w.loses {
		did, w.loses, w.full, w.flight, s.Create = true, false, true, s.Create, nil
		w.logf("create is not answered")
	}
	part("create", s.Create != nil, func() { w.create(s.Create) })
	if s.Ask != nil && s.Ask.Begun {
		w.begun = max(w.begun, s.Ask.Attempt)
	}
	part("ask", s.Ask != nil, func() { w.ask(*s.Ask) })
	part("invoke", s.Invoke != nil, func() { w.invoke(*s.Invoke) })
	return did
}

// lacks notes as the node process does that an attempt finds no room.
func (w *world) lacks(attempt int) {
	next := &course.NoRoom{Attempt: attempt, Since: w.now, Text: "no node has room"}
	if before := w.noRoom; before != nil && before.Attempt == attempt {
		next.Since, next.Before = before.Since, before.Before
	} else if before != nil {
		next.Before = before.Before + 1
	}
	w.noRoom = next
}

// write is an update of the status subresource, held to what the API server checks.
func (w *world) write(s corev1.PodStatus) {
	if w.pod == nil || w.seenPod == nil || w.pod.ResourceVersion != w.seenPod.ResourceVersion {
		w.logf("status: conflict")
		return
	}
	if guest.Terminal(w.pod) {
		w.breaks("a terminal status was written again: %s → %s", w.pod.Status.Phase, s.Phase)
	}
	w.checkTransitions(w.pod.Status.ContainerStatuses, s.ContainerStatuses)
	w.checkTransitions(w.pod.Status.InitContainerStatuses, s.InitContainerStatuses)
	w.checkOutcome(s)
	w.pod.Status = *s.DeepCopy()
	w.touch(w.pod)
	w.logf("status %s", line(s))
}

func (w *world) touch(p *corev1.Pod) { w.version++; p.ResourceVersion = fmt.Sprint(w.version) }

func (w *world) checkTransitions(old, now []corev1.ContainerStatus) {
	for i := range old {
		for j := range now {
			if old[i].Name != now[j].Name {
				continue
			}
			if now[j].RestartCount < old[i].RestartCount {
				w.breaks("container %s: restarts went from %d to %d", old[i].Name, old[i].RestartCount, now[j].RestartCount)
			}
			end := old[i].State.Terminated
			policy := w.pod.Spec.RestartPolicy
			if end != nil && now[j].State.Terminated == nil && (policy == corev1.RestartPolicyNever || policy == corev1.RestartPolicyOnFailure && end.ExitCode == 0) {
				w.breaks("container %s: state may not be transitioned to non-terminated state", old[i].Name)
			}
		}
	}
}

// checkOutcome holds a last status to what really happened.
func (w *world) checkOutcome(s corev1.PodStatus) {
	well, badly := len(w.genuine) > 0, len(w.failed) > 0
	for _, run := range w.sent {
		well = well || run.State == course.Executed && run.ExitCode == 0
		badly = badly || run.State == course.Executed && run.ExitCode != 0
	}
	disrupted := false
	for _, c := range s.Conditions {
		disrupted = disrupted || c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue
	}
	switch {
	case s.Phase == corev1.PodSucceeded && !well:
		w.breaks("it shows Succeeded, and nothing has succeeded")
	case s.Phase == corev1.PodFailed && !disrupted && !badly && s.Reason != "Deleted" && s.Reason != "DeadlineExceeded" && !w.refused && !strings.HasPrefix(s.Reason, "Host"):
		w.breaks("it shows Failed (%s), and that was not its own doing", s.Reason)
	}
}

func (w *world) ended(e course.End) {
	if _, open := w.open[e.Attempt]; !open {
		w.breaks("the end of attempt %d was told, which is not open", e.Attempt)
	}
	for _, g := range w.guests {
		if guest.Attempt(g) == e.Attempt && !guest.Terminal(g) && g.Spec.NodeName != "" {
			w.breaks("the end of attempt %d was told while its guest lives", e.Attempt)
		}
	}
	switch {
	case w.open[e.Attempt] == course.Cloud:
	case w.ran[e.Attempt] && e.Class == course.ClassNotExecuted && (e.Attempt > w.forgot || w.pod == nil):
		w.breaks("attempt %d has run, and its end is told as %s", e.Attempt, e.Class)
	case e.Attempt > w.made && e.Class != course.ClassNotExecuted && e.Attempt > w.forgot:
		w.breaks("attempt %d was never begun, and its end is told as %s", e.Attempt, e.Class)
	}
	delete(w.open, e.Attempt)
	w.ends[e.Attempt] = append(w.ends[e.Attempt], e)
	w.answer, w.vain = nil, e.Count(w.vain)
	ran := ""
	if !e.Ended.IsZero() {
		ran = ", ran " + e.Ended.Sub(e.Started).String()
	}
	w.logf("end of attempt %d: %s %s%s", e.Attempt, e.Class, e.Reason, ran)
}

func (w *world) ask(a course.Ask) {
	if len(w.ends[a.Attempt]) > 0 {
		w.answer = &course.Answer{Attempt: a.Attempt, State: course.Over}
		w.logf("ask for attempt %d: over", a.Attempt)
		return
	}
	for attempt := range w.open {
		if attempt != a.Attempt {
			w.breaks("attempt %d was asked for while %d is open", a.Attempt, attempt)
		}
	}
	answer := w.says
	answer.Attempt, answer.Again = a.Attempt, w.now.Add(30*time.Second)
	if a.NoRoom && answer.State == course.Admitted {
		answer.State = course.Waiting
	}
	if held, open := w.open[a.Attempt]; open && held != course.Waiting {
		answer.State = held // what was given is not taken away
	}
	if w.answer = &answer; answer.State == course.Refused {
		delete(w.open, a.Attempt)
		w.refused = true
	} else {
		w.open[a.Attempt] = answer.State
	}
	w.logf("ask for attempt %d: %s", a.Attempt, answer.State)
}

func (w *world) create(g *corev1.Pod) {
	if _, exists := w.guests[g.Name]; exists {
		return
	}
	switch {
	case w.pod == nil:
		w.breaks("guest %s was made of a pod that is gone", g.Name)
	case guest.Terminal(w.pod):
		w.breaks("guest %s was made of a pod that has ended", g.Name)
	}
	if len(w.genuine) > 0 && !w.lost {
		w.breaks("guest %s was made after one has succeeded", g.Name)
	}
	for _, other := range w.guests {
		if !guest.Terminal(other) {
			w.breaks("guest %s was made while %s lives", g.Name, other.Name)
		}
	}
	if w.open[guest.Attempt(g)] != course.Admitted {
		w.breaks("guest %s was made without an admission", g.Name)
	}
	g = g.DeepCopy()
	g.UID, g.CreationTimestamp, g.Status.Phase = "guest", metav1.NewTime(w.now), corev1.PodPending
	w.touch(g)
	w.guests[g.Name] = g
	w.logf("create attempt %d", guest.Attempt(g))
}

func (w *world) delete(d course.Deletion) {
	g, ok := w.guests[d.Guest.Name]
	if !ok {
		return
	}
	grace := int64(30)
	if d.GraceSeconds != nil {
		grace = *d.GraceSeconds
	}
	if d.AsSeen && d.Guest.ResourceVersion != g.ResourceVersion {
		w.logf("delete attempt %d: conflict", guest.Attempt(g))
		return
	}
	w.logf("delete attempt %d, grace %ds", guest.Attempt(g), grace)
	w.deleteGuest(g, grace)
}

// deleteGuest asks for the deletion of a guest. One that has ended or has no node is
// gone at once.
func (w *world) deleteGuest(g *corev1.Pod, grace int64) {
	if grace == 0 || guest.Terminal(g) || g.Spec.NodeName == "" {
		w.vanish(g)
		return
	}
	ends := metav1.NewTime(w.now.Add(time.Duration(grace) * time.Second))
	if g.DeletionTimestamp != nil && !ends.Before(g.DeletionTimestamp) {
		return
	}
	g.DeletionTimestamp, g.DeletionGracePeriodSeconds = &ends, &grace
	w.touch(g)
}

func (w *world) vanish(g *corev1.Pod) {
	delete(w.guests, g.Name)
	w.gone[g.Name] = g.DeepCopy()
}

func (w *world) invoke(i course.Invocation) {
	run, sent := w.sent[i.Key]
	if !sent {
		run = &course.Run{Attempt: i.Attempt, Started: w.now, ID: "lambda://" + i.Key}
		if i.Function == "" {
			run.State, run.Ended, run.Text = course.NotExecuted, w.now, "this attempt was sent to no cloud"
		} else {
			w.sent[i.Key] = run
		}
	}
	now := *run
	w.cloud = &now
	w.logf("invoke %s for attempt %d", i.Function, i.Attempt)
}

// live is the guest that has not ended.
func (w *world) live() *corev1.Pod {
	for _, g := range w.guests {
		if !guest.Terminal(g) {
			return g
		}
	}
	return nil
}

// line is a status in one line.
func line(s corev1.PodStatus) string {
	out := []string{string(s.Phase)}
	if s.Reason != "" {
		out = append(out, s.Reason)
	}
	for _, statuses := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for _, c := range statuses {
			out = append(out, c.Name+"="+state(c))
		}
	}
	for _, c := range s.Conditions {
		switch {
		case c.Type == course.Condition:
			out = append(out, c.Reason+":"+string(c.Status))
		case c.Type == corev1.DisruptionTarget:
			out = append(out, "DisruptionTarget:"+c.Reason)
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			out = append(out, "ready")
		}
	}
	if s.Message != "" {
		out = append(out, "\n  "+s.Message)
	}
	return strings.Join(out, " ")
}

func state(c corev1.ContainerStatus) string {
	text := "?"
	switch {
	case c.State.Waiting != nil:
		text = c.State.Waiting.Reason
	case c.State.Running != nil:
		text = "running"
	case c.State.Terminated != nil:
		text = fmt.Sprintf("exit(%d)", c.State.Terminated.ExitCode)
	}
	if c.RestartCount > 0 {
		text += fmt.Sprintf("×%d", c.RestartCount)
	}
	return text
}
