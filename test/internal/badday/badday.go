// Package badday is the mix of faults that overflow is tried against: what a cloud
// does on a bad day, by its share of all calls.
package badday

import "github.com/spillway-dev/spillway/simulator/cloud"

// share is a fault and the part of all calls that it spoils.
type share struct {
	fault cloud.Fault
	part  float64
}

// ambiguous are the faults after which nobody knows whether the call ran: a tenth.
var ambiguous = []share{
	{cloud.Fault{Kind: cloud.Stall}, 0.05},
	{cloud.Fault{Kind: cloud.ResetBefore}, 0.01},
	{cloud.Fault{Kind: cloud.ResetAfter}, 0.01},
	{cloud.Fault{Kind: cloud.MalformedIn}, 0.0067},
	{cloud.Fault{Kind: cloud.Truncated}, 0.0067},
	{cloud.Fault{Kind: cloud.Oversized}, 0.0066},
	{cloud.Fault{Kind: cloud.StallAfter}, 0.01},
}

// throttles are 30 % of all calls; SCF has two ways to say it.
var throttles = map[string][]share{
	cloud.Lambda: {{cloud.Fault{Kind: cloud.Throttle}, 0.30}},
	cloud.SCF:    {{cloud.Fault{Kind: cloud.Throttle, Reason: "432"}, 0.15}, {cloud.Fault{Kind: cloud.Throttle}, 0.15}},
}

// Faults are those of a provider, to be injected in this order.
func Faults(provider string) []cloud.Fault { return inOrder(ambiguous, throttles[provider]) }

// Unthrottled are Faults of either provider without the throttles, which keep calls
// away from all the others.
func Unthrottled() []cloud.Fault { return inOrder(ambiguous) }

// inOrder sets probabilities: a fault is asked only about the calls that those
// before it left alone.
func inOrder(groups ...[]share) []cloud.Fault {
	var all []cloud.Fault
	left := 1.0
	for _, group := range groups {
		for _, s := range group {
			s.fault.Probability = s.part / left
			left -= s.part
			all = append(all, s.fault)
		}
	}
	return all
}
