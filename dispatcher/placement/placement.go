// Package placement picks the pool for one attempt. It is pure and knows
// neither quotas nor pools: it asks a Prober whether a pool fits, in the order of
// the burst policy, and says which pool was picked and why, or what stood in the
// way.
//
// Precedence: residency and policy, then mode, then pin, then order, then caps,
// then quota. The first three arrive as the set of permitted pools.
package placement

import "github.com/spillway-dev/spillway"

// Filter says why a pool was not used in one placement.
type Filter uint8

const (
	FilterNone        Filter = iota // it was used, or not reached
	FilterPolicy                    // the policy verdict does not permit it
	FilterExcluded                  // a fact of configuration, see Function.Excluded
	FilterTried                     // an earlier attempt of this call failed there
	FilterQuota                     // a quota limit
	FilterBudget                    // a money budget
	FilterCapacity                  // the pool is full
	FilterUnavailable               // the pool or the ledger cannot take it now
	FilterWait                      // it fits, but the wait budget for on-prem is not used up
	FilterClosed                    // the burst policy sends nothing there now
	FilterPermission                // it is withheld while the caller's permission is stale
	filterCount
)

func (f Filter) String() string {
	return [filterCount]string{"", "policy", "excluded", "tried", "quota", "budget", "capacity", "unavailable", "wait_budget", "closed", "permission"}[f]
}

// Fit is a Prober's answer for one pool.
type Fit struct {
	Filter Filter // FilterNone if it fits
	Limit  spillway.Limit
	// Redirect, with FilterBudget, asks to wait on-prem instead of refusing.
	Redirect bool
}

// Prober tells whether a pool could take the call now, and writes to fit what
// stands in the way if it cannot. It changes nothing.
type Prober interface {
	Probe(pool int, fit *Fit) bool
}

// Query is one placement to be made.
type Query struct {
	Order     []int            // pools, most preferred first
	Permitted spillway.PoolSet // what configuration leaves
	Verdict   spillway.PoolSet // what policy leaves
	Withheld  spillway.PoolSet // not to be used while the caller's permission is stale
	Tried     spillway.PoolSet // pools that failed to execute this call
	Cloud     spillway.PoolSet // which pools are paid per call
	// MayWait is set while the call may still wait for an on-prem place before it
	// goes to a cloud; Waited once it has used that time up.
	MayWait, Waited bool
	Weighted        bool // the first pool was chosen by weights
	Canary          bool // the revision does not lead and takes a part of the traffic
}

// Decision is what to do with the call now.
type Decision struct {
	Pool   int             // picked pool, or -1
	Reason spillway.Reason // of the placement, or of the refusal if Pool is -1
	Limit  spillway.Limit  // what moved the call off its preferred pool, or refused it
	// Wait is set when there is no place now and one may become free. Short is set
	// with it when the wait is only for the rest of the on-prem wait budget.
	Wait, Short bool
	// Filtered says why each pool was not used, by pool index.
	Filtered [spillway.MaxPools]Filter

	fit Fit // of the pool asked last
}

// Decide picks the first pool of the order that is permitted and fits.
func Decide(q *Query, p Prober, d *Decision) {
	*d = Decision{Pool: -1}
	eligible, withheld := 0, false
	for _, i := range q.Order {
		switch {
		case !q.Permitted.Has(i):
			d.Filtered[i] = FilterExcluded
		case !q.Verdict.Has(i):
			d.Filtered[i] = FilterPolicy
		case q.Withheld.Has(i):
			d.Filtered[i], withheld = FilterPermission, true
		case q.Tried.Has(i):
			d.Filtered[i] = FilterTried
			eligible++
		default:
			eligible++
		}
	}
	switch {
	case eligible > 0:
		d.walk(q, p, eligible)
	case withheld:
		d.Reason, d.Limit = spillway.ReasonUnavailable, spillway.Limit{Kind: spillway.LimitPermission}
	default:
		d.Reason = spillway.ReasonDenied
	}
}

// walk probes the eligible pools in order and stops at the first that fits.
func (d *Decision) walk(q *Query, p Prober, eligible int) {
	var first, last Fit // what blocked the first and the last pool probed
	broke := false      // a spent budget stood in the way
	fit := &d.fit
	for _, i := range q.Order {
		if d.Filtered[i] != FilterNone {
			continue
		}
		fits := p.Probe(i, fit)
		if !fits {
			d.Filtered[i] = fit.Filter
		}
		switch {
		case fits && q.Cloud.Has(i) && d.Wait && q.MayWait:
			d.Filtered[i], d.Short = FilterWait, true
			d.Reason, d.Limit = refusal(first.Filter), first.Limit
			return
		case fits:
			d.Pool, d.Wait = i, false
			if first.Filter == FilterNone && q.Tried == 0 {
				d.Reason = undisturbed(q, eligible)
				return
			}
			d.Reason, d.Limit = displaced(q, first.Filter), first.Limit
			return
		case fit.Filter == FilterClosed:
			// What else stood in the way is the better reason.
			if last.Filter == FilterNone {
				last = *fit
			}
			continue
		case fit.Filter == FilterBudget:
			broke = broke || !fit.Redirect
		case fit.Filter != FilterUnavailable:
			d.Wait = true
		}
		if first.Filter == FilterNone {
			first = *fit
		}
		last = *fit
	}
	d.Reason, d.Limit = refusal(last.Filter), last.Limit
	if broke {
		d.Short, d.Wait = d.Wait && q.MayWait, d.Wait && q.MayWait
	}
}

// undisturbed names why the first pool was picked.
func undisturbed(q *Query, eligible int) spillway.Reason {
	switch {
	case eligible == 1:
		return spillway.ReasonPinned
	case q.Weighted:
		return spillway.ReasonWeight
	case q.Canary:
		return spillway.ReasonCanary
	}
	return spillway.ReasonPreferred
}

// displaced names why a pool was picked after the most preferred was blocked.
func displaced(q *Query, first Filter) spillway.Reason {
	switch {
	case q.Tried != 0:
		return spillway.ReasonReplaced
	case q.Waited:
		return spillway.ReasonOverflowWait
	case first == FilterQuota || first == FilterBudget:
		return spillway.ReasonOverflowQuota
	case first == FilterCapacity:
		return spillway.ReasonOverflowCapacity
	}
	return spillway.ReasonOverflowHealth
}

// refusal names the reason to refuse for what blocked the last resort.
func refusal(f Filter) spillway.Reason {
	switch f {
	case FilterQuota:
		return spillway.ReasonQuotaExceeded
	case FilterBudget:
		return spillway.ReasonBudgetExceeded
	case FilterCapacity:
		return spillway.ReasonNoCapacity
	case FilterClosed:
		return spillway.ReasonDenied
	default:
		return spillway.ReasonUnavailable
	}
}
