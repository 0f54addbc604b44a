package keepalive

import (
	"time"

	"github.com/spillway-dev/spillway"
)

const (
	// spans is how many parts of equal length the stable window is summed up in.
	spans = 100
	// panicAt is how many times what the ready instances can take the load of the panic
	// window has to be for a panic.
	panicAt = 2
	// mostLoad is where a load is cut, so that no sum of an hour overflows.
	mostLoad = 1 << 21
)

// Windows wants as many instances of a function as the mean of its calls asks for, those
// that run and those that wait, so that each is used to a target. The mean is that of a
// stable window. When the mean of the panic window at its end is twice what the ready
// instances can take, the larger of both counts, and nothing is ended until a stable
// window has passed without that. One instance stays until there have been no calls for
// the keep-alive time and for the stable window. Others are ended a stable window after
// their last call, so that calls that come together again and again find them.
//
// Means are taken of whole hundredths of the stable window, so they are late by up to one.
// The rules are those of the Knative pod autoscaler with concurrency as the metric
// (knative.dev/docs/serving/autoscaling/kpa-specific), which has a mean of its first
// seconds where this one counts what came before as nothing: instances for calls that
// wait are started without being asked for here.
type Windows struct {
	keep   time.Duration
	span   time.Duration
	short  int   // spans of the panic window
	target int64 // percent of the calls that an instance takes at once

	parts         [spans]int64 // of whole spans, in calls × ns; a ring
	oldest        int          // its position
	stable, panic int64        // sums over the two windows
	part          int64        // of the span that began at from, up to last
	from, last    spillway.Instant

	load  int64            // since last
	idle  spillway.Instant // when it became 0
	quiet spillway.Instant // until when nothing is ended
}

// NewWindows makes the policy of one function. keep is how long the last instance is kept
// without calls, if that is longer than the stable window.
func NewWindows(p spillway.KeepAlivePolicy, keep time.Duration) *Windows {
	return &Windows{keep: max(keep, p.Stable), span: p.Stable / spans, short: int(p.PanicPercent), target: p.TargetPercent}
}

// Load learns that so many calls run or wait from now on.
func (k *Windows) Load(now spillway.Instant, calls int) {
	k.roll(now)
	if k.load > 0 && calls == 0 {
		k.idle = now
	}
	k.load = min(int64(calls), mostLoad)
}

// Scale is what Windows wants at an instant.
type Scale struct {
	Wanted int // instances
	// Start says that missing ones may be started: there were calls in the panic window.
	Start bool
	// Hold says that none is ended.
	Hold bool
	// Until is when this changes at the earliest, if the load stays as it is.
	Until spillway.Instant
}

// Wanted returns how many instances there should be, of which so many are ready and each
// takes atOnce calls.
func (k *Windows) Wanted(now spillway.Instant, ready, atOnce int) Scale {
	k.roll(now)
	whole := int64(k.span) * int64(atOnce) * int64(k.short) // what one takes in a panic window
	inPanic := k.panic/whole >= int64(panicAt*max(1, ready))
	mean := ceil(k.stable, int64(k.span)*int64(atOnce)*k.target)
	sc := Scale{Wanted: int(mean), Start: k.panic+k.load > 0, Until: k.changes(mean, atOnce)}
	if inPanic {
		k.quiet = now.Add(spans * k.span)
		sc.Wanted = int(max(mean, ceil(k.panic, whole*k.target/100)))
	}
	if inPanic || k.load >= int64(panicAt*max(1, ready)*atOnce) {
		sc.Until = min(sc.Until, k.from.Add(k.span))
	}
	if sc.Hold = now < k.quiet; sc.Hold {
		sc.Until = min(sc.Until, k.quiet)
	}
	if kept := k.idle.Add(k.keep); sc.Wanted == 0 && (k.load > 0 || now < kept) {
		sc.Wanted = 1
		if k.load == 0 {
			sc.Until = min(sc.Until, kept)
		}
	}
	return sc
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// changes is when the stable window asks for another number than this one, if the load
// stays as it is.
func (k *Windows) changes(wanted int64, atOnce int) spillway.Instant {
	unit := int64(k.span) * int64(atOnce) * k.target
	sum, ends := k.stable, k.from.Add(k.span)
	first := k.part + k.load*int64(ends-k.last)
	fresh := first
	for i := range spans + 1 {
		left := first // of the span that is under way
		if i < spans {
			left = k.parts[(k.oldest+i)%spans]
		}
		sum += fresh - left
		if ceil(sum, unit) != wanted {
			return ends.Add(time.Duration(i) * k.span)
		}
		fresh = k.load * int64(k.span)
	}
	return spillway.Never
}

// roll takes the load so far into the sums.
func (k *Windows) roll(now spillway.Instant) {
	if k.last == 0 {
		k.from, k.last = now, now
	}
	for done := 0; now >= k.from.Add(k.span); done++ {
		if done > spans { // all parts are alike: the rest would not change them
			k.from = now.Add(-now.Sub(k.from) % k.span)
			k.last = k.from
			break
		}
		ends := k.from.Add(k.span)
		k.push(k.part + k.load*int64(ends-k.last))
		k.part, k.from, k.last = 0, ends, ends
	}
	k.part += k.load * int64(now-k.last)
	k.last = now
}

// push takes in the sum of a whole span and drops the oldest.
func (k *Windows) push(sum int64) {
	left := k.parts[(k.oldest+spans-k.short)%spans] // leaves the panic window
	k.panic += sum - left
	k.stable += sum - k.parts[k.oldest]
	k.parts[k.oldest] = sum
	k.oldest = (k.oldest + 1) % spans
}
