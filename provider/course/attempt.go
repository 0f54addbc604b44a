package course

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// follow shows what the guest does, takes back its room, and sees to how it ended.
func (d *decision) follow() {
	end := guest.Ended(d.guest)
	switch end.Kind {
	case guest.Disrupted:
		d.disrupted(end.Reason, end.Text)
		return
	case guest.Alive:
		d.keep()
	default:
		d.tell(d.endOf(orElse(end.Reason, "Completed")))
	}
	d.mirror()
}

// mirror shows what the guest does.
func (d *decision) mirror() {
	s := guest.Status(d.Pod, d.guest, d.earlier(), d.now)
	seen := d.at
	seen.is = corev1.ConditionTrue
	seen.in(&s, d.where(), d.now)
	var events []Event
	if node := d.guest.Spec.NodeName; node != "" && d.Pod.Status.Phase != s.Phase && s.Phase == corev1.PodRunning {
		events = append(events, Event{Reason: "Running", Text: d.where()})
	}
	events = append(events, lacking(d.Pod.Status.InitContainerStatuses, s.InitContainerStatuses)...)
	events = append(events, lacking(d.Pod.Status.ContainerStatuses, s.ContainerStatuses)...)
	d.write(s, events...)
}

// keep is for a guest that lives: it is admitted, and leaves when its room is wanted.
func (d *decision) keep() {
	if d.guest.DeletionTimestamp != nil {
		return
	}
	if r := d.Reclaim; r != nil && r.Attempt == d.at.attempt {
		d.step.Events = append(d.step.Events, Event{Reason: "Reclaimed", Text: "gives back its room: " + r.Text})
		d.step.Delete = append(d.step.Delete, Deletion{Guest: d.guest, AsSeen: true})
		return
	}
	if ends, bounded := guest.Deadline(d.Pod); bounded {
		until := ends.Add(grace(d.guest) + overdue)
		if !d.now.Before(until) {
			d.step.Delete = append(d.step.Delete, Deletion{Guest: d.guest, AsSeen: true}) // no kubelet has it yet, none does its work, or none was told
			return
		}
		d.again(until)
	}
	if d.guest.Spec.NodeName == "" && d.untaken() {
		return
	}
	switch a := d.Answer; {
	case a == nil: // the dispatcher was started anew, and is told what runs
		d.ask(d.at.attempt)
	case a.Attempt < d.at.attempt:
		d.tell(End{Attempt: a.Attempt, Class: ClassNotExecuted, Reason: "Replaced"})
	case a.Attempt == d.at.attempt && a.State == Waiting:
		if d.again(a.Again); !d.now.Before(a.Again) {
			d.step.Again = time.Time{}
			d.ask(d.at.attempt)
		}
	}
}

// grace is how long the containers of a pod have to end once they are told to.
func grace(p *corev1.Pod) time.Duration {
	if s := p.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}

// untaken gives up a guest that the node chosen for it has not taken: it may be full, gone
// or not what the guest asks for. Another may be better.
func (d *decision) untaken() bool {
	within := bindWithin
	for n := 0; n < d.Vain && within < maxBind; n++ {
		within = min(2*within, maxBind)
	}
	until := d.guest.CreationTimestamp.Add(within)
	if d.now.Before(until) {
		d.again(until)
		return false
	}
	why := "no node has taken its guest for " + within.String()
	for _, c := range d.guest.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message != "" {
			why += ": " + c.Message
		}
	}
	d.step.Events = append(d.step.Events, Event{Warning: true, Reason: "NotTaken", Text: why + "; looks for another place"})
	d.step.Delete = append(d.step.Delete, Deletion{Guest: d.guest, GraceSeconds: seconds(0), AsSeen: true})
	return true
}

// where says where the guest is.
func (d *decision) where() string {
	if d.guest.Spec.NodeName == "" {
		return fmt.Sprintf("attempt %d, guest %s waits for a node", d.at.attempt, d.guest.Name)
	}
	return fmt.Sprintf("attempt %d, guest %s on node %s", d.at.attempt, d.guest.Name, d.guest.Spec.NodeName)
}

const (
	firstDelay = 10 * time.Second
	maxDelay   = 5 * time.Minute
	// overdue is how long a kubelet has to end a guest that is past its deadline, besides its grace.
	overdue = 30 * time.Second
	// bindWithin is how long the node that was chosen for a guest may not take it; after each
	// that nobody would run it is twice as long, up to maxBind.
	bindWithin = 2 * time.Minute
	maxBind    = 16 * time.Minute
)

// disrupted ends an attempt that something else than the pod has ended: the pod goes
// on elsewhere if it can.
func (d *decision) disrupted(reason, text string) {
	if r := d.Reclaim; r != nil && r.Attempt == d.at.attempt {
		reason, text = "Reclaimed", "online load needed its room: "+r.Text
	}
	if s, over := guest.Finished(d.Pod, d.now); over {
		d.tell(d.endOf("Completed"))
		d.write(s)
		return
	}
	if name, stuck := guest.Stuck(d.Pod, d.guest); stuck {
		d.fail(guest.Failure{Reason: reason, Message: text + "; container " + name + " had ended and may not run again, so it cannot go on elsewhere", Disruption: true})
		return
	}
	e := d.endOf(reason)
	e.Vain = e.Class == ClassNotExecuted && d.unwanted()
	if d.tell(e) {
		return // first: what is shown now is all that says whether it ran
	}
	if until := d.delay(); d.now.Before(until) {
		d.again(until)
		d.mirror()
		return
	}
	shown := d.Pod.DeepCopy()
	if d.guest != nil {
		shown.Status = guest.Status(d.Pod, d.guest, d.earlier(), d.now)
	}
	s := guest.Waiting(shown, reason, text+"; looks for another place", d.now)
	over := d.at
	over.is = corev1.ConditionFalse
	over.in(&s, text, d.now)
	d.write(s, Event{Warning: true, Reason: reason, Text: text + "; looks for another place"})
}

// unwanted reports that no node would have the guest that has ended.
func (d *decision) unwanted() bool {
	if r := d.Reclaim; r != nil && r.Attempt == d.at.attempt {
		return false
	}
	if d.guest != nil {
		return d.guest.DeletionTimestamp == nil
	}
	return d.last() != nil && d.last().Spec.NodeName == ""
}

// delay is until when a guest that no node would run is not replaced, so that a
// node that refuses all guests is not asked without end.
func (d *decision) delay() time.Time {
	if d.guest == nil {
		return time.Time{}
	}
	if started, _ := guest.Ran(d.guest); !started.IsZero() || d.guest.DeletionTimestamp != nil {
		return time.Time{}
	}
	return d.guest.CreationTimestamp.Add(doubled(d.Vain))
}

// doubled is the delay after as many attempts in a row that nobody would run.
func doubled(vain int) time.Duration {
	wait := firstDelay
	for n := 1; n < vain && wait < maxDelay; n++ {
		wait *= 2
	}
	return min(wait, maxDelay)
}

// missing is met when an attempt was begun and has no guest: it was not made yet,
// or somebody has removed it.
func (d *decision) missing() {
	if !d.Live {
		d.step.Look = true
		return
	}
	if d.at.is == corev1.ConditionTrue {
		d.disrupted("GuestDeleted", "its guest was removed")
		return
	}
	if d.giveBack() {
		return
	}
	switch a := d.Answer; {
	case a == nil:
		d.ask(d.at.attempt)
	case a.Attempt < d.at.attempt:
		d.tell(End{Attempt: a.Attempt, Class: ClassNotExecuted, Reason: "Replaced"})
	case a.Attempt > d.at.attempt:
		d.skip(record{attempt: a.Attempt - 1, is: corev1.ConditionFalse})
	case a.State == Admitted:
		d.create()
	default: // it was admitted once, and is no more
		d.skip(record{attempt: d.at.attempt - 1, cloud: false, is: corev1.ConditionFalse})
	}
}

// giveBack ends an attempt that was admitted and that no real node has had room for in
// a while, or whose guest is refused, so that its pod waits as others do, and goes to a
// cloud when it is time.
func (d *decision) giveBack() bool {
	r := d.NoRoom
	if r == nil || r.Attempt != d.at.attempt || d.Answer != nil && d.Answer.Attempt != r.Attempt {
		return false
	}
	if until := r.Until(d.Begun); d.now.Before(until) {
		d.again(until)
		return r.Refused
	}
	reason := "NoRoom"
	if r.Refused {
		reason = "GuestRefused"
	}
	e := d.endOf(reason) // one that was made meanwhile may have run, and be gone
	if last := d.last(); e.Class == ClassNotExecuted && last != nil && last.Spec.NodeName != "" {
		e.Class = ClassUnknown
	}
	if d.tell(e) {
		return true
	}
	s := guest.Waiting(d.Pod, reason, r.Text, d.now)
	over := d.at
	over.is = corev1.ConditionFalse
	over.in(&s, r.Text, d.now)
	d.write(s)
	return true
}
