package dispatcher

import (
	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/quota"
)

// Correct books money into the budgets that count a call of a function that was
// admitted at a time: its lines in the ledger were corrected by as much, which may
// be negative. Windows before the last two are left as they are.
func (e *Engine) Correct(now spillway.Instant, function spillway.FunctionKey, admitted spillway.Instant, by spillway.Nano) []Effect {
	e.out = e.out[:0]
	ask := quota.Ask{Leaf: e.leafOf(function.Namespace), Class: spillway.ClassCloud, Admitted: admitted}
	if f := e.platform.Function(function); f != nil {
		ask.Purse = e.bursts[f.Policy].purse
	}
	e.quota.Release(&ask, by) // it holds nothing: only money is booked
	e.drain(now, true)
	return e.out
}
