package dispatcher

import (
	"time"

	"github.com/spillway-dev/spillway"
)

// A breaker keeps calls from what fails: closed while it works, open for a while
// after it has failed too often, then one trial at a time until it works again.
// Being throttled is not a failure. See Nygard, Release It!, "Circuit Breaker".
type breaker struct {
	enough   int64 // failures in ten steps of the window that may open it
	failed   sliding
	worked   sliding
	until    spillway.Instant // open until then; zero while closed
	pause    time.Duration    // the latest
	trying   spillway.Instant // since when a trial runs; zero: none does
	trials   int              // that worked since it was open
	lastSeen [2]int64         // failures and calls when it opened, for people
}

const (
	breakerStep   = time.Second // the window is ten of them
	breakerPause  = 5 * time.Second
	breakerLonger = 60 * time.Second
	trialsToClose = 2
	// trialFor is how long a trial keeps others away: a call may take its time.
	trialFor = 10 * time.Second
	// enoughFailures open the breaker of a pool, enoughRejects that of a function
	// on it, if they are at least half of the calls.
	enoughFailures = 5
	enoughRejects  = 3
)

func newBreaker(enough int64) breaker {
	return breaker{enough: enough, failed: sliding{step: breakerStep}, worked: sliding{step: breakerStep}}
}

// blocks reports that no call should go there now.
func (b *breaker) blocks(now spillway.Instant) bool { return now < b.opensAt(now) }

// opensAt is when a call may go there, or not after now.
func (b *breaker) opensAt(now spillway.Instant) spillway.Instant {
	switch {
	case b.until == 0:
		return 0
	case now >= b.until && b.trying != 0:
		return b.trying.Add(trialFor)
	}
	return b.until
}

// start notes that a call goes there, and reports whether it is a trial.
func (b *breaker) start(now spillway.Instant) bool {
	if b.until == 0 {
		return false
	}
	b.trying = now
	return true
}

// end notes how a call ended.
func (b *breaker) end(now spillway.Instant, o endKind, trial bool) {
	if trial {
		b.trying = 0
	}
	switch {
	case o == endNeutral:
	case o == endFailed:
		b.failed.add(now)
		b.fail(now, trial)
	default:
		b.worked.add(now)
		if !trial {
			return
		}
		if b.trials++; b.trials >= trialsToClose {
			*b = newBreaker(b.enough)
		}
	}
}

func (b *breaker) fail(now spillway.Instant, trial bool) {
	failed, all := b.failed.sum(now), b.failed.sum(now)+b.worked.sum(now)
	switch {
	case trial:
		b.pause = min(2*b.pause, breakerLonger)
	case b.until != 0, failed < b.enough, 2*failed < all:
		return
	default:
		b.pause = breakerPause
	}
	b.until, b.trials, b.lastSeen = now.Add(b.pause), 0, [2]int64{failed, all}
}

// limit says why a call is kept away.
func (b *breaker) limit(name string) spillway.Limit {
	return spillway.Limit{Kind: spillway.LimitBreaker, Name: name, Class: spillway.ClassCloud, Used: b.lastSeen[0], Need: b.lastSeen[1]}
}

// endKind is what an outcome says of whoever ran it.
type endKind uint8

const (
	endNeutral endKind = iota
	endWorked
	endFailed
)

// poolEnd is what an outcome says of a cloud pool. A request that was refused for
// what it is says that the provider works.
func poolEnd(o *spillway.Outcome) endKind {
	switch {
	case o.Cause == spillway.CauseThrottled, o.Cause == spillway.CauseLedger, o.Cause == spillway.CauseCancelled:
		return endNeutral
	case o.Class == spillway.Executed, o.Cause == spillway.CauseRejected:
		return endWorked
	}
	return endFailed
}

// functionEnd is what an outcome says of one function on a cloud pool.
func functionEnd(o *spillway.Outcome) endKind {
	switch {
	case o.Cause == spillway.CauseRejected:
		return endFailed
	case o.Class == spillway.Executed:
		return endWorked
	}
	return endNeutral
}
