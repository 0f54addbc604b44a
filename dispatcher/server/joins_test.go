package server

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/pools"
)

// ranOnce is a decision whose one attempt ended in a class.
func ranOnce(class spillway.OutcomeClass, refusal spillway.Reason) *dispatcher.Decision {
	d := &dispatcher.Decision{Tries: 1, Refusal: refusal}
	d.Attempts[0].Outcome.Class = class
	return d
}

// joined begins and ends a request, and tells what its repeat finds.
func joined(t *testing.T, table *joinTable, key string, a *Answer, err error) (again *join, first bool) {
	t.Helper()
	j, first, failed := table.join(key, nil)
	if failed != nil || !first {
		t.Fatalf("first attempt of %s: %v, %v", key, first, failed)
	}
	table.finish(key, j, a, err)
	again, first, failed = table.join(key, nil)
	if failed != nil {
		t.Fatal(failed)
	}
	return again, first
}

// TestJoinWhatRan: only a request of which nothing can have run begins anew.
func TestJoinWhatRan(t *testing.T) {
	for name, test := range map[string]struct {
		d    *dispatcher.Decision
		err  error
		anew bool
	}{
		"executed":             {d: ranOnce(spillway.Executed, spillway.ReasonNone)},
		"unknown":              {d: ranOnce(spillway.Unknown, spillway.ReasonNone)},
		"unknown, refused":     {d: ranOnce(spillway.Unknown, spillway.ReasonUnavailable)},
		"not executed":         {d: ranOnce(spillway.NotExecuted, spillway.ReasonUnavailable), anew: true},
		"refused at once":      {d: &dispatcher.Decision{Refusal: spillway.ReasonDenied}, anew: true},
		"never started":        {d: ranOnce(spillway.NotExecuted, spillway.ReasonNone)},
		"drained":              {err: ErrDraining, anew: true},
		"ended without answer": {err: errEnded},
	} {
		var a *Answer
		if test.d != nil {
			a = &Answer{Decision: test.d}
		}
		if _, anew := joined(t, newJoinTable(nil), "key", a, test.err); anew != test.anew {
			t.Errorf("%s: begins anew %v", name, anew)
		}
	}
}

// TestJoinBounds: results go when they are too large together, and requests when
// they are too many; one without its result is still not run again.
func TestJoinBounds(t *testing.T) {
	table := newJoinTable(nil)
	d := ranOnce(spillway.Executed, spillway.ReasonNone)
	for i := range 2 * maxJoinBytes / pools.MaxPayload {
		again, first := joined(t, table, strconv.Itoa(i), &Answer{Decision: d, Payload: make([]byte, pools.MaxPayload)}, nil)
		if first || again.err != nil || again.answer == nil {
			t.Fatalf("the latest result: %v, %v", first, again.err)
		}
	}
	if table.bytes > maxJoinBytes {
		t.Errorf("%d bytes of results", table.bytes)
	}
	if j, first, err := table.join("0", nil); err != nil || first || !errors.Is(j.err, ErrResultGone) {
		t.Errorf("the oldest: first %v, %v, %v", first, j.err, err)
	}
	table.forget(time.Now().Add(2 * joinMemory))
	if table.bytes != 0 || table.finished.Len() != 0 || table.withBody.Len() != 0 || len(table.byKey) != 0 {
		t.Errorf("forgotten, but for %d requests, %d keys, %d results of %d bytes", table.finished.Len(), len(table.byKey), table.withBody.Len(), table.bytes)
	}
	keys := make([]string, maxJoins)
	for i := range keys {
		keys[i] = strconv.Itoa(i)
	}
	table = newJoinTable(keys)
	if _, first := joined(t, table, "last", &Answer{Decision: d}, nil); first || table.finished.Len() != maxJoins || len(table.byKey) != maxJoins {
		t.Errorf("%d requests, %d keys, the last begins anew %v", table.finished.Len(), len(table.byKey), first)
	}
}
