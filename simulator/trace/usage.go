package trace

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
)

// columnsUsage is the first line of a usage export. The first three make the format.
var columnsUsage = []string{"admitted", "namespace", "function", "revision", "department", "pool", "reason", "outcome",
	"duration_us", "init_us", "memory_mib", "milli_cpu", "billed_ms", "amount", "currency", "waited_us"}

// UsageRow is one call of a usage export: its last attempt, or its refusal.
type UsageRow struct {
	Admitted   time.Time // when the call arrived; written in UTC
	Namespace  string
	Function   string
	Revision   string
	Department string // that pays; empty: the namespace
	Pool       string // empty if it was refused
	Reason     spillway.Reason
	Outcome    spillway.OutcomeClass

	Duration time.Duration // of the handler, in whole µs; -1: not known, as of a refused call
	Init     time.Duration // cold start, in whole µs; 0: none; -1: not known

	MemoryMiB    int64
	MilliCPU     int64
	BilledMillis int64
	Amount       apd.Decimal // exact, in Currency
	Currency     string
	Waited       time.Duration // before it started or was refused, in whole µs
}

// UsageWriter writes a usage export: CSV with a first line of names, times in RFC 3339
// with nanoseconds, unknown durations empty. It is not safe for concurrent use.
type UsageWriter struct {
	out  *bufio.Writer
	line []byte
	head bool
}

// NewUsageWriter returns a writer to w. Call Flush at the end.
func NewUsageWriter(w io.Writer) *UsageWriter {
	return &UsageWriter{out: bufio.NewWriterSize(w, 1<<16)}
}

// Write writes one row. It refuses what could not be read again.
func (w *UsageWriter) Write(r *UsageRow) error {
	if err := r.check(); err != nil {
		return fmt.Errorf("write usage export: call of %s/%s at %s: %w", r.Namespace, r.Function, r.Admitted, err)
	}
	w.header()
	w.line = append(r.append(w.line[:0]), '\n')
	_, err := w.out.Write(w.line)
	return err
}

// Flush writes what is buffered, and the first line if there were no rows.
func (w *UsageWriter) Flush() error {
	w.header()
	return w.out.Flush()
}

func (w *UsageWriter) header() {
	if w.head {
		return
	}
	w.head = true
	for i, name := range columnsUsage {
		if i > 0 {
			w.out.WriteByte(',') //nolint:errcheck // kept by the writer until Flush
		}
		w.out.WriteString(name) //nolint:errcheck // kept by the writer until Flush
	}
	w.out.WriteByte('\n') //nolint:errcheck // kept by the writer until Flush
}

func (r *UsageRow) check() error {
	switch {
	case r.Admitted.Year() < 1970 || r.Admitted.Year() > 2200:
		return errors.New("the time is not between 1970 and 2200")
	case r.Namespace == "" || r.Function == "":
		return errors.New("namespace or function is empty")
	case r.Duration < -1 || r.Init < -1 || r.Waited < 0:
		return errors.New("a duration is negative")
	case max(r.Duration, r.Init, r.Waited) > maxSeconds*time.Second:
		return errors.New("a duration is longer than 100 years")
	case min(r.MemoryMiB, r.MilliCPU, r.BilledMillis) < 0:
		return errors.New("a quantity is negative")
	case r.Amount.Form != apd.Finite:
		return errors.New("the amount is not a number")
	}
	return nil
}

func (r *UsageRow) append(b []byte) []byte {
	b = r.Admitted.UTC().AppendFormat(b, time.RFC3339Nano)
	for _, text := range [...]string{r.Namespace, r.Function, r.Revision, r.Department, r.Pool, r.Reason.String(), r.Outcome.String()} {
		b = appendText(append(b, ','), text)
	}
	b = appendMicros(append(b, ','), r.Duration)
	b = appendMicros(append(b, ','), r.Init)
	for _, n := range [...]int64{r.MemoryMiB, r.MilliCPU, r.BilledMillis} {
		b = strconv.AppendInt(append(b, ','), n, 10)
	}
	b = r.Amount.Append(append(b, ','), 'f')
	b = appendText(append(b, ','), r.Currency)
	return appendMicros(append(b, ','), r.Waited)
}

func appendMicros(b []byte, d time.Duration) []byte {
	if d < 0 {
		return b
	}
	return strconv.AppendInt(b, d.Microseconds(), 10)
}

// appendText quotes where CSV needs it.
func appendText(b []byte, text string) []byte {
	special := false
	for i := range len(text) {
		c := text[i]
		special = special || c == ',' || c == '"' || c == '\n' || c == '\r'
	}
	if !special {
		return append(b, text...)
	}
	b = append(b, '"')
	b = append(b, bytes.ReplaceAll([]byte(text), []byte{'"'}, []byte(`""`))...)
	return append(b, '"')
}
