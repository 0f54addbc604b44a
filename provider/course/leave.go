package course

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// gone is met when the virtual pod is no more: nothing of it may go on. That a cache does
// not show it says little: it may be older than that of guests.
func (d *decision) gone() {
	if !d.Live && (d.guest != nil || d.Answer != nil) {
		d.step.Look = true
		return
	}
	if d.end(seconds(1)) {
		return
	}
	admitted := d.Answer != nil && d.Answer.State == Admitted
	if admitted {
		d.at.attempt = d.Answer.Attempt
		if d.guest = guestOf(d.Facts, d.at.attempt); d.guest == nil {
			d.guest = d.ended()
		}
	}
	e := d.endOf("Deleted")
	if admitted && e.Class == ClassNotExecuted && d.mayHaveRun() {
		e.Class = ClassUnknown
	}
	if !d.tell(e) && d.guest != nil {
		d.remove(d.guest, seconds(0)) // while the node is there nobody else does
	}
}

// mayHaveRun reports whether a guest of which nothing is left that tells may have run,
// although nobody has seen it do so.
func (d *decision) mayHaveRun() bool {
	if last := d.last(); d.guest != nil || last != nil {
		return d.guest == nil && last.Spec.NodeName != ""
	}
	return d.Begun >= d.at.attempt
}

// last is the guest of the attempt as it was last, if it is gone.
func (d *decision) last() *corev1.Pod {
	if d.Last == nil || guest.Attempt(d.Last) != d.at.attempt {
		return nil
	}
	return d.Last
}

// ended is last if it had ended when it was removed: it counts as if it were there.
func (d *decision) ended() *corev1.Pod {
	if last := d.last(); last != nil && !alive(last) {
		return last
	}
	return nil
}

// finished is met when the pod has a terminal status, of ours or of somebody else.
func (d *decision) finished() {
	if d.at.begun() && !d.at.cloud && d.unsure() || d.end(nil) || d.tell(d.endOf(orElse(d.Pod.Status.Reason, "Completed"))) {
		return
	}
	if d.guest != nil && d.Pod.DeletionTimestamp != nil {
		d.remove(d.guest, seconds(0)) // nobody can read its logs through the pod any longer
	}
}

// unsure looks for a guest that a cache may not show before its end is told.
func (d *decision) unsure() bool {
	d.step.Look = d.guest == nil && d.Answer != nil && !d.Live
	return d.step.Look
}

// end removes the guest and reports whether it still lives.
func (d *decision) end(grace *int64) bool {
	if d.guest == nil || !alive(d.guest) {
		return false
	}
	d.remove(d.guest, grace)
	return true
}

// deleted is met when somebody deletes the virtual pod: its guest has the time that
// is left to the pod.
func (d *decision) deleted() {
	left := max(1, int64(d.Pod.DeletionTimestamp.Sub(d.now).Seconds()))
	switch {
	case d.at.cloud && d.at.begun() && d.Cloud != nil && d.Cloud.Attempt == d.at.attempt && d.Cloud.State == Executed:
		d.inCloud()
	case d.at.begun() && !d.at.cloud && d.guest == nil && !d.Live:
		d.step.Look = true
	case d.at.begun() && d.end(&left):
		d.mirror()
	case d.at.begun() && d.guest != nil && guest.Ended(d.guest).Kind != guest.Disrupted:
		d.follow()
	default:
		d.fail(guest.Failure{Reason: "Deleted", Message: "the pod was deleted"})
	}
}
