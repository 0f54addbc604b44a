package course

import (
	"errors"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// Next returns what to do now.
func Next(f Facts, now time.Time) Step {
	d := &decision{Facts: f, now: now, at: attemptOf(f)}
	if d.guest = guestOf(f, d.at.attempt); d.guest == nil && d.at.begun() {
		d.guest = d.ended()
	}
	d.strays()
	switch {
	case f.Pod == nil:
		d.gone()
	case guest.Terminal(f.Pod):
		d.finished()
	case f.Pod.DeletionTimestamp != nil:
		d.deleted()
	case d.expired():
		d.expire()
	case d.at.cloud && d.at.begun():
		d.inCloud()
	case d.guest != nil && d.at.begun():
		d.follow()
	case d.at.begun():
		d.missing()
	default:
		d.place()
	}
	return d.step
}

// decision is one call of Next.
type decision struct {
	Facts
	now   time.Time
	at    record      // the attempt that the pod is at
	guest *corev1.Pod // of that attempt; nil: there is none
	step  Step
}

// strays removes guests of earlier attempts. A guest that has ended and was
// replaced is of no use; one that lives should not be there.
func (d *decision) strays() {
	for _, g := range d.Guests {
		switch n := guest.Attempt(g); {
		case n == d.at.attempt && d.at.begun():
			continue
		case alive(g):
			d.remove(g, nil)
		default:
			d.remove(g, seconds(0))
		}
	}
}

// write asks for a status if it says anything new, and for an event with it.
func (d *decision) write(s corev1.PodStatus, events ...Event) {
	if equality.Semantic.DeepEqual(s, d.Pod.Status) {
		return
	}
	d.step.Status = &s
	d.step.Events = append(d.step.Events, events...)
}

// remove deletes a guest, unless it is being deleted at least as soon.
func (d *decision) remove(g *corev1.Pod, grace *int64) {
	if g == d.Last {
		return // it is gone
	}
	if g.DeletionTimestamp != nil {
		ends := d.now
		if grace != nil {
			ends = ends.Add(time.Duration(*grace) * time.Second)
		}
		if grace == nil || !g.DeletionTimestamp.After(ends.Add(time.Second)) {
			return
		}
	}
	d.step.Delete = append(d.step.Delete, Deletion{Guest: g, GraceSeconds: grace})
}

func seconds(n int64) *int64 { return &n }

// again has Next called at t at the latest.
func (d *decision) again(t time.Time) {
	if d.step.Again.IsZero() || t.Before(d.step.Again) {
		d.step.Again = t
	}
}

// tell says how the open admission of an attempt has ended, and reports whether
// there is one that must be told of before another may be asked for.
func (d *decision) tell(e End) bool {
	if d.Answer == nil || d.Answer.State == Refused || d.Answer.State == Over {
		return false
	}
	if d.Answer.Attempt != e.Attempt { // of an attempt that nothing came of
		e = End{Attempt: d.Answer.Attempt, Class: ClassNotExecuted, Reason: e.Reason}
	}
	d.step.End = &e
	return true
}

// endOf is how the attempt that the pod is at ended, for the ledger.
func (d *decision) endOf(reason string) End {
	e := End{Attempt: d.at.attempt, Class: ClassNotExecuted, Reason: reason}
	seen := d.guest
	if seen == nil {
		seen = d.last()
	}
	if seen == nil && d.Pod != nil && d.at.is == corev1.ConditionTrue {
		seen = d.Pod // it shows what its guest did
	}
	if seen == nil {
		return e
	}
	if e.Started, e.Ended = guest.Ran(seen); e.Started.IsZero() {
		return e
	}
	if d.at.cloud && seen == d.Pod && (runs(seen) || d.Pod.Status.Reason != "") {
		e.Class, e.Ended = ClassUnknown, time.Time{} // it shows that it was sent; its cloud has not said that it ran
		return e
	}
	e.Class = ClassExecuted
	if runs(seen) || e.Ended.IsZero() {
		e.Ended = d.now
	}
	return e
}

func runs(p *corev1.Pod) bool {
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Running != nil {
			return true
		}
	}
	return false
}

// expired reports that the pod's own deadline passed while no kubelet watches it.
func (d *decision) expired() bool {
	ends, bounded := guest.Deadline(d.Pod)
	if !bounded {
		return false
	}
	if d.now.Before(ends) {
		d.again(ends)
		return false
	}
	return d.guest == nil || !d.at.begun() || guest.Ended(d.guest).Kind == guest.Disrupted
}

func (d *decision) expire() {
	if d.at.begun() && d.guest == nil && !d.Live {
		d.step.Look = true
		return
	}
	if d.at.cloud && d.at.begun() && d.Cloud != nil && d.Cloud.State == Executed {
		d.inCloud()
		return
	}
	d.fail(guest.Failure{Reason: "DeadlineExceeded", Message: "it was active for longer than its activeDeadlineSeconds"})
}

// fail ends the pod for good.
func (d *decision) fail(f guest.Failure) {
	d.tell(d.endOf(f.Reason))
	d.write(guest.Failed(d.Pod, d.guest, d.earlier(), f, d.now), Event{Warning: true, Reason: f.Reason, Text: f.Message})
}

// earlier is what the guest's note says of the attempts before it. A note that
// cannot be read says nothing: no count of restarts that v shows becomes less.
func (d *decision) earlier() guest.Earlier {
	if d.guest == nil {
		return guest.Earlier{}
	}
	e, err := guest.EarlierOf(d.guest)
	if err != nil {
		return guest.Earlier{}
	}
	return e
}

// place looks for a place for the next attempt.
func (d *decision) place() {
	next := record{attempt: d.at.attempt + 1, is: corev1.ConditionUnknown}
	if refused := guest.Check(d.Pod); len(refused) > 0 && d.at.attempt == 0 {
		d.fail(guest.Failure{Reason: refused[0].Reason, Message: refused.Error()})
		return
	}
	if d.Answer == nil || d.Answer.Attempt < next.attempt && !d.tell(d.endOf("Replaced")) {
		d.ask(next.attempt)
		if d.Pod.Status.Reason == "" {
			d.show("Waiting", "asks the dispatcher for a place", next.attempt-1)
		}
		return
	}
	if d.Answer.Attempt != next.attempt {
		d.outrun(next)
		return
	}
	d.answered(next)
}

// outrun is met when the dispatcher is further than these facts: they are old, or
// an attempt was lost before it was written down.
func (d *decision) outrun(next record) {
	if d.Answer.Attempt < next.attempt {
		return // its end is being told
	}
	if !d.Live {
		d.step.Look = true
		return
	}
	d.skip(record{attempt: d.Answer.Attempt - 1, is: corev1.ConditionFalse})
}

// skip writes down that attempts are over of which nothing is left.
func (d *decision) skip(to record) {
	s := guest.Waiting(d.Pod, "Waiting", "waits for a place", d.now)
	to.in(&s, "waits for a place", d.now)
	d.write(s)
}

func (d *decision) answered(next record) {
	switch a := d.Answer; a.State {
	case Waiting:
		d.wait(a, next.attempt-1)
		if d.again(a.Again); !d.now.Before(a.Again) {
			d.step.Again = time.Time{}
			d.ask(next.attempt)
		}
	case Admitted, Cloud:
		next.cloud = a.State == Cloud
		text := orElse(a.Text, "has a place in pool "+a.Pool)
		s := guest.Waiting(d.Pod, "Placing", text, d.now)
		next.in(&s, text, d.now)
		d.write(s, Event{Reason: "Placed", Text: text})
	case Refused:
		d.fail(guest.Failure{Reason: orElse(a.Reason, "Refused"), Message: orElse(a.Text, "the dispatcher refuses it"), Disruption: d.at.attempt > 0})
	case Over:
		if !d.Live {
			d.step.Look = true
			return
		}
		d.skip(record{attempt: next.attempt, is: corev1.ConditionFalse})
	}
}

// wait shows what the pod waits for and what will come of it; of that there is an event.
func (d *decision) wait(a *Answer, over int) {
	text := orElse(a.Text, "waits for idle capacity")
	if a.Plan == "" {
		d.show("Waiting", text, over)
		return
	}
	if !strings.HasSuffix(d.Pod.Status.Message, a.Plan) {
		d.step.Events = append(d.step.Events, Event{Reason: "Waiting", Text: text + "; " + a.Plan})
	}
	d.show("Waiting", text+"; "+a.Plan, over)
}

// show has the pod wait, and keeps what is recorded of attempts that are over.
func (d *decision) show(reason, text string, over int) {
	s := guest.Waiting(d.Pod, reason, text, d.now)
	if over > 0 {
		record{attempt: over, cloud: d.at.cloud, is: corev1.ConditionFalse}.in(&s, text, d.now)
	}
	d.write(s)
}

func (d *decision) ask(attempt int) {
	terms, _ := guest.TermsOf(d.Pod) // what cannot be read was refused, or was changed while it runs
	a := &Ask{Attempt: attempt, Begun: d.at.attempt == attempt, Job: d.Pod.Name, Needs: guest.Requests(d.Pod), Terms: terms}
	if r := d.NoRoom; r != nil && r.Refused {
		a.NoRoom = d.now.Before(r.Since.Add(doubled(r.Before + 1)))
	}
	if owner := metav1.GetControllerOf(d.Pod); owner != nil {
		a.Job = owner.Name
	}
	if limit := d.Pod.Spec.ActiveDeadlineSeconds; limit != nil {
		a.Timeout = time.Duration(*limit) * time.Second
	}
	if ends, bounded := guest.Deadline(d.Pod); bounded {
		a.Timeout = max(time.Second, ends.Sub(d.now))
	}
	d.step.Ask = a
}

// create makes the guest of an attempt that was written down before, when no other
// guest is left.
func (d *decision) create() {
	if slices.ContainsFunc(d.Guests, alive) {
		return
	}
	g, err := guest.Of(d.Pod, guest.Config{Node: d.Node, Attempt: d.at.attempt, Earlier: guest.Shown(d.Pod), Now: d.now})
	var refused guest.Refusals
	if errors.As(err, &refused) {
		d.fail(guest.Failure{Reason: refused[0].Reason, Message: refused.Error(), Disruption: d.at.attempt > 1})
		return
	}
	d.step.Create = g
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
