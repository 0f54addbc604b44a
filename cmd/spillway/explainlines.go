package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// explainFromLedger explains an invocation from a data directory.
func explainFromLedger(ctx context.Context, dir, id string) (text json.RawMessage, err error) {
	store, err := openForReading(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	kept, err := store.Decision(ctx, id)
	if err != nil {
		return nil, err
	}
	var lines []billing.Entry
	for e, err := range store.Lines(ctx, sqlite.Filter{Invocation: id}) {
		if err != nil {
			return nil, err
		}
		lines = append(lines, e)
	}
	return explained(id, lines, kept)
}

// explained returns the explanation that was kept, with what the lines say of its
// cost, or what the lines alone still tell.
func explained(id string, lines []billing.Entry, kept json.RawMessage) (json.RawMessage, error) {
	switch {
	case len(lines) == 0 && len(kept) == 0:
		return nil, server.ErrUnknownInvocation
	case len(lines) == 0:
		return kept, nil
	case len(kept) == 0:
		return json.Marshal(explanationOf(id, lines))
	}
	var x dispatcher.Explanation
	if err := json.Unmarshal(kept, &x); err != nil {
		return nil, fmt.Errorf("read the explanation of %s: %w", id, err)
	}
	for _, e := range lastLines(lines) {
		n := slices.IndexFunc(x.Attempts, func(a dispatcher.AttemptText) bool { return a.Attempt == e.Attempt })
		if n >= 0 && e.Kind != billing.KindIntent {
			a := &x.Attempts[n]
			a.Cost, a.BilledMs, a.PriceVersion = costOf(e), e.BilledMillis, e.PriceVersion
			if x.Outcome == "open" { // it was kept before the call was answered
				x.Outcome, x.Note = outcomeOf(e), "decided as shown; the server ended before the call was answered"
			}
		}
	}
	return json.Marshal(&x)
}

// explanationOf puts the lines of one invocation in words.
func explanationOf(id string, lines []billing.Entry) *dispatcher.Explanation {
	first := &lines[0]
	x := &dispatcher.Explanation{
		Invocation: id, Function: first.Namespace + "/" + first.Function, Revision: first.Revision, Caller: first.Caller,
		Admitted: first.Admitted, Department: first.Department, Currency: first.Currency,
		Note: "from the ledger: of an on-prem call that was not refused, the whole record is kept while the server runs, then the lines of its attempts",
	}
	for _, e := range lastLines(lines) {
		x.Pool, x.Reason, x.Outcome = e.Pool, e.Reason, outcomeOf(e)
		x.Attempts = append(x.Attempts, attemptOf(e))
	}
	return x
}

// lastLines returns the line that closed each attempt, or its intent, in order.
func lastLines(lines []billing.Entry) []*billing.Entry {
	var all []*billing.Entry
	at := map[int]int{}
	for i := range lines {
		e := &lines[i]
		n, seen := at[e.Attempt]
		switch {
		case !seen:
			at[e.Attempt] = len(all)
			all = append(all, e)
		case all[n].Kind == billing.KindIntent, e.Kind == billing.KindCharge, all[n].Kind == billing.KindEstimate && e.Kind == billing.KindReversal:
			all[n] = e
		}
	}
	return all
}

func outcomeOf(e *billing.Entry) string {
	switch e.Kind {
	case billing.KindIntent:
		return "open"
	case billing.KindVoid, billing.KindReversal: // of an estimate without a charge: it never ran
		return spillway.NotExecuted.String()
	case billing.KindEstimate:
		return spillway.Unknown.String()
	}
	return spillway.Executed.String()
}

// costOf is what the attempt that a line closed cost: nothing if its estimate was
// taken back.
func costOf(e *billing.Entry) string {
	if e.Kind == billing.KindReversal {
		return "0"
	}
	return e.Amount.Text('f')
}

func attemptOf(e *billing.Entry) dispatcher.AttemptText {
	a := dispatcher.AttemptText{
		Attempt: e.Attempt, Pool: e.Pool, Reason: e.Reason, Cold: e.Usage.InitMicros > 0, Outcome: outcomeOf(e),
		Detail:     string(e.Error),
		DurationMs: float64(e.Usage.DurationMicros) / 1e3, InitMs: float64(e.Usage.InitMicros) / 1e3, BilledMs: e.BilledMillis,
		PriceVersion: e.PriceVersion, Cost: costOf(e),
	}
	if e.Reserved > 0 {
		a.Reserved = e.Reserved.String()
	}
	return a
}
