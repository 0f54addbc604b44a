package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// attempt names one execution.
type attempt struct {
	Invocation string
	N          int // from 1
}

// span is one execution as the function itself wrote it down.
type span struct {
	attempt
	from, to int64 // nanoseconds since the Unix epoch
	ended    bool  // false: killed before it could say so; to is just after from
}

// evidence is everything that the checks compare: what clients were told, what
// the ledger says, and what those who executed the calls wrote down themselves.
type evidence struct {
	platform *spillway.Platform
	sent     int
	answers  []answer
	ledger   []billing.Entry
	onPrem   []span // from functions on-prem
	remote   []span // from functions in the cloud
	bill     cloud.Bill
	state    cloud.State
	script   []phase
}

// readSpans reads an execution log that functions wrote.
func readSpans(path string) ([]span, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read what functions executed: %w", err)
	}
	defer file.Close()
	spans, err := parseSpans(file)
	if err != nil {
		return nil, fmt.Errorf("read what functions executed: %s: %w", path, err)
	}
	return spans, nil
}

// parseSpans pairs start and end lines. A second start of the same attempt is a
// span of its own, so that executing twice shows.
func parseSpans(r io.Reader) ([]span, error) {
	var spans []span
	open := map[attempt]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		var l struct {
			Invocation string
			Attempt    int
			Event      string
			At         int64
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		key := attempt{l.Invocation, l.Attempt}
		i, begun := open[key]
		switch {
		case l.Event == "start":
			open[key] = len(spans)
			spans = append(spans, span{attempt: key, from: l.At, to: l.At + 1})
		case l.Event == "end" && begun:
			spans[i].to, spans[i].ended = max(l.At, spans[i].from+1), true
			delete(open, key)
		default:
			return nil, fmt.Errorf("line %d: %q of %s, attempt %d, does not follow a start", n, l.Event, l.Invocation, l.Attempt)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return spans, nil
}

// byInvocation finds the answer of a call by its id.
func (e *evidence) byInvocation() map[string]*answer {
	found := make(map[string]*answer, len(e.answers))
	for i := range e.answers {
		found[e.answers[i].ID] = &e.answers[i]
	}
	return found
}

// billed is the ledger's charges or estimates by attempt.
func (e *evidence) billed(kind billing.Kind, inCloud bool) map[attempt][]*billing.Entry {
	found := map[attempt][]*billing.Entry{}
	for i := range e.ledger {
		if l := &e.ledger[i]; l.Kind == kind && l.Cloud == inCloud {
			key := attempt{l.Invocation, l.Attempt}
			found[key] = append(found[key], l)
		}
	}
	return found
}

// invoiced is the stand-in's own list of executions by attempt.
func (e *evidence) invoiced() map[attempt][]cloud.Line {
	found := map[attempt][]cloud.Line{}
	for _, l := range e.bill.Lines {
		key := attempt{l.Invocation, l.Attempt}
		found[key] = append(found[key], l)
	}
	return found
}
