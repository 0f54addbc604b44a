package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// exportUsage writes one row for each call in the ledger, in the order of admission,
// and counts them.
func exportUsage(ctx context.Context, w io.Writer, l lineReader, f sqlite.Filter, calls *atomic.Int64) error {
	out := trace.NewUsageWriter(w)
	told := map[string]bool{} // cloud pools that have told of a cold start
	for c, err := range callsOf(l.Lines(ctx, f)) {
		if err != nil {
			return err
		}
		row := c.row()
		if c.line.Cloud {
			told[row.Pool] = told[row.Pool] || row.Init > 0
			if !told[row.Pool] {
				row.Init = -1 // SCF tells of none
			}
		}
		if err := out.Write(&row); err != nil {
			return err
		}
		calls.Add(1)
	}
	return out.Flush()
}

// calledOnce is what the ledger says of one call.
type calledOnce struct {
	line   billing.Entry // of its last attempt that ran or may have run
	before billing.Entry // of the attempt before that, if that ran or may have run
	amount apd.Decimal   // of all attempts
}

// callsOf joins the lines of each call; they are in the order of admission,
// invocation, attempt and kind. A call whose attempts were all refused, or which has
// not ended, is not among them.
func callsOf(lines iter.Seq2[billing.Entry, error]) iter.Seq2[*calledOnce, error] {
	return func(yield func(*calledOnce, error) bool) {
		var c calledOnce
		reading := ""
		for e, err := range lines {
			if err == nil && e.Invocation != reading {
				if c.line.Kind != "" && !yield(&c, nil) {
					return
				}
				c, reading = calledOnce{}, e.Invocation
			}
			if err == nil {
				err = c.take(&e)
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
		if c.line.Kind != "" {
			yield(&c, nil)
		}
	}
}

// exact has more digits than any sum of amounts.
var exact = apd.BaseContext.WithPrecision(100)

func (c *calledOnce) take(e *billing.Entry) error {
	switch e.Kind {
	case billing.KindCharge:
		c.line = *e
	case billing.KindEstimate:
		if c.line.Attempt != e.Attempt { // no charge corrects it
			if c.line.Kind != billing.KindReversal {
				c.before = c.line
			}
			c.line = *e
		}
	case billing.KindReversal:
		if c.line.Attempt == e.Attempt && c.line.Kind == billing.KindEstimate {
			c.line.Kind = billing.KindReversal // it never ran
			if c.before.Kind != "" {
				c.line, c.before = c.before, billing.Entry{}
			}
		}
	default:
		return nil
	}
	if _, err := exact.Add(&c.amount, &c.amount, &e.Amount); err != nil {
		return fmt.Errorf("add up what call %s cost: %w", e.Invocation, err)
	}
	return nil
}

// row leaves open what the ledger does not know.
func (c *calledOnce) row() trace.UsageRow {
	e := &c.line
	r := trace.UsageRow{
		Admitted: e.Admitted, Namespace: e.Namespace, Function: e.Function, Revision: e.Revision, Department: e.Department,
		Pool: e.Pool, Reason: e.Reason, Outcome: e.Outcome, Duration: -1, Init: -1,
		MemoryMiB: max(e.Usage.MemoryMiB, e.Resources.MiB), MilliCPU: e.Resources.MilliCPU, Currency: e.Currency,
	}
	r.Amount.Set(&c.amount)
	switch {
	case e.Kind == billing.KindReversal:
		r.Outcome = spillway.NotExecuted
	case e.Kind == billing.KindCharge && e.Outcome == spillway.Executed:
		r.Duration, r.BilledMillis = time.Duration(e.Usage.DurationMicros)*time.Microsecond, e.BilledMillis
		if !e.Cloud || !e.Usage.Estimated {
			r.Init = time.Duration(e.Usage.InitMicros) * time.Microsecond
		}
	}
	if e.Usage.Started > 0 {
		r.Waited = max(e.Usage.Started.Time().Sub(e.Admitted), 0)
	}
	return r
}
