// Package course decides what happens next with one virtual pod.
//
// Next is level-triggered: it is handed all that is known of one pod and says what
// to do now, and the same facts always give the same step. It remembers nothing.
// What must outlive a restart is in the cluster: which attempt the pod is at is a
// condition of the virtual pod, written before the guest of that attempt is made,
// and what earlier attempts left behind is a note on the guest.
//
// Whoever drives it does the parts of a step, one step of a pod at a time, and
// calls Next again with what then holds. A part that fails is decided again. A
// guest is made only from facts that were read from the API server itself, so no
// cache that lags behind can make two guests of one pod live at once.
package course
