package cloud

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"sync"
	"time"
)

// Bill is what the account owes: one line per execution, also for those that
// failed or timed out. Calls that were refused are not on it.
type Bill struct {
	Currency   string `json:"currency"`
	Total      string `json:"total"` // exact sum of the lines
	Executions int    `json:"executions"`
	Lines      []Line `json:"lines,omitempty"`
}

// Line is one execution. Invocation and Attempt are what the caller put into the
// custom part of its client context as spillway-invocation and spillway-attempt;
// on SCF the context is the field $spillway that begins the event.
type Line struct {
	RequestID  string    `json:"requestId"`
	Function   string    `json:"function"`
	Version    string    `json:"version"`
	Invocation string    `json:"invocation,omitempty"`
	Attempt    int       `json:"attempt,omitempty"`
	At         time.Time `json:"at"`     // when it ended
	Status     string    `json:"status"` // success, error or timeout
	BilledMs   int64     `json:"billedMs"`
	InitMs     int64     `json:"initMs,omitempty"` // part of BilledMs, rounded up
	MiB        int       `json:"memoryMiB"`
	Cost       string    `json:"cost"` // in the bill's currency, to 18 decimals
}

// books are the lines so far and the file that gets each of them.
type books struct {
	rater    rater
	currency string

	mu      sync.Mutex
	lines   []Line
	total   big.Int // 10⁻¹⁸ of the currency
	file    io.WriteCloser
	failure error // the first error of the file
}

func newBooks(c Config) (*books, error) {
	gbSecond, err := parsePrice(c.Prices.GBSecond)
	if err != nil {
		return nil, err
	}
	request, err := parsePrice(c.Prices.Request)
	if err != nil {
		return nil, err
	}
	b := &books{rater: rater{gbSecond, request}, currency: c.currency()}
	if c.ExecutionLog != "" {
		file, err := os.OpenFile(c.ExecutionLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the execution log: %w", err)
		}
		b.file = file
	}
	return b, nil
}

// post rates l, and writes it to the file before it counts as answered.
func (b *books) post(l Line) {
	cost := b.rater.cost(l.BilledMs, l.MiB)
	l.Cost = decimal(cost)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total.Add(&b.total, cost)
	b.lines = append(b.lines, l)
	if b.file == nil || b.failure != nil {
		return
	}
	text, _ := json.Marshal(l) // strings, integers and a time always marshal
	if _, err := b.file.Write(append(text, '\n')); err != nil {
		b.failure = fmt.Errorf("write the execution log: %w", err)
	}
}

func (b *books) bill(lines bool) Bill {
	b.mu.Lock()
	defer b.mu.Unlock()
	bill := Bill{Currency: b.currency, Total: decimal(&b.total), Executions: len(b.lines)}
	if lines {
		bill.Lines = append([]Line(nil), b.lines...)
	}
	return bill
}

// close closes the file and returns the first error it had.
func (b *books) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file == nil {
		return nil
	}
	err := b.file.Close()
	b.file = nil
	if b.failure != nil {
		return b.failure
	}
	return err
}
