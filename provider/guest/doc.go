// Package guest knows the pod that runs the work of a virtual pod on a real node.
//
// A virtual pod is bound to the offline node, which has no machine. Each attempt
// to run it is a guest: an ordinary pod of the same namespace on a real node, at
// a priority that never preempts. Of makes the guest, Ended says how it ended and
// Status is what the virtual pod shows of it.
//
// The package is pure: it is handed objects and the time, and returns values. It
// keeps none of the objects and changes none of them, so it is safe for
// concurrent use.
package guest
