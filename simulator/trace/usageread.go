package trace

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// Places of the columns in columnsUsage.
const (
	columnAdmitted = iota
	columnNamespace
	columnFunction
	columnRevision
	columnDepartment
	columnPool
	columnReason
	columnOutcome
	columnDuration
	columnInit
	columnMemory
	columnCPU
	columnBilled
	columnAmount
	columnCurrency
	columnWaited
)

// usageFile reads one file of the export. Its columns may be in any order.
type usageFile struct {
	places []int
	record [][]byte // in the order of columnsUsage
}

func newUsageFile(f file) (*usageFile, error) {
	places, err := where(f, columnsUsage...)
	return &usageFile{places, make([][]byte, len(columnsUsage))}, err
}

func (u *usageFile) order(fields [][]byte) [][]byte {
	for i, place := range u.places {
		u.record[i] = fields[place]
	}
	return u.record
}

// UsageRows returns the rows of one file of a usage export, in the order of the
// file. It ends with the first error, a *Error where a row cannot be read.
func UsageRows(path string) iter.Seq2[UsageRow, error] {
	return func(yield func(UsageRow, error) bool) {
		f, err := identify(path)
		if err == nil && f.kind != kindUsage {
			err = &Error{File: path, Line: 1, Problem: "this is no usage export: " + shorten(f.head), Remedy: "write it with spillway usage export"}
		}
		var u *usageFile
		if err == nil {
			u, err = newUsageFile(f)
		}
		if err == nil {
			err = rowsOf(f, func(l *lines, fields [][]byte) error {
				row, err := usageRow(l, u.order(fields))
				if err == nil && !yield(row, nil) {
					err = io.EOF
				}
				return err
			})
		}
		if err != nil && !errors.Is(err, io.EOF) {
			yield(UsageRow{}, err)
		}
	}
}

func usageRow(l *lines, fields [][]byte) (r UsageRow, err error) {
	call, err := usageCall(l, fields)
	if err != nil {
		return r, err
	}
	r = UsageRow{Admitted: time.Unix(0, call.at).UTC(), Namespace: string(fields[columnNamespace]), Function: string(fields[columnFunction]),
		Revision: string(fields[columnRevision]), Department: string(fields[columnDepartment]), Pool: string(fields[columnPool]),
		Outcome: call.outcome, Duration: call.duration, Init: call.init, MemoryMiB: call.mib, MilliCPU: call.milliCPU, Currency: string(fields[columnCurrency])}
	if err := r.Reason.UnmarshalText(fields[columnReason]); err != nil || r.Reason.String() != string(fields[columnReason]) {
		return r, usageFault(l, fields, columnReason, "is not a reason")
	}
	if r.BilledMillis, err = usageInt(l, fields, columnBilled); err != nil {
		return r, err
	}
	if r.Waited, err = usageMicros(l, fields, columnWaited); err != nil {
		return r, err
	}
	r.Waited = max(r.Waited, 0)
	if r.Amount, err = billing.ParseAmount(string(fields[columnAmount])); err != nil {
		return r, usageFault(l, fields, columnAmount, "is not an amount of money: "+err.Error())
	}
	return r, nil
}

// usageParsed is what of a row makes a call.
type usageParsed struct {
	at             int64 // Unix nanoseconds
	outcome        spillway.OutcomeClass
	duration, init time.Duration
	mib, milliCPU  int64
}

func usageCall(l *lines, fields [][]byte) (c usageParsed, err error) {
	var at time.Time
	if err := at.UnmarshalText(fields[columnAdmitted]); err != nil || at.Year() < 1970 || at.Year() > 2200 {
		return c, usageFault(l, fields, columnAdmitted, "is not a time such as 2026-01-31T23:59:59.999999999Z, from 1970 to 2200")
	}
	c.at = at.UnixNano()
	if len(fields[columnNamespace]) == 0 || len(fields[columnFunction]) == 0 {
		return c, l.fail("namespace or function is empty", "name both")
	}
	switch string(fields[columnOutcome]) {
	case "executed":
		c.outcome = spillway.Executed
	case "not_executed":
		c.outcome = spillway.NotExecuted
	case "unknown":
		c.outcome = spillway.Unknown
	default:
		return c, usageFault(l, fields, columnOutcome, "is none of executed, not_executed, unknown")
	}
	if c.duration, err = usageMicros(l, fields, columnDuration); err != nil {
		return c, err
	}
	if c.init, err = usageMicros(l, fields, columnInit); err != nil {
		return c, err
	}
	if c.mib, err = usageInt(l, fields, columnMemory); err != nil {
		return c, err
	}
	c.milliCPU, err = usageInt(l, fields, columnCPU)
	return c, err
}

func usageFault(l *lines, fields [][]byte, column int, problem string) error {
	text := fields[column]
	return l.fail(fmt.Sprintf("%s %q %s", columnsUsage[column], text[:min(len(text), 80)], problem), "mend or remove the line, or export again")
}

func usageInt(l *lines, fields [][]byte, column int) (int64, error) {
	n, ok := parseInt(fields[column], math.MaxInt64)
	if !ok {
		return 0, usageFault(l, fields, column, "is not a whole number from 0")
	}
	return n, nil
}

// usageMicros returns -1 for an empty field.
func usageMicros(l *lines, fields [][]byte, column int) (time.Duration, error) {
	if len(fields[column]) == 0 {
		return -1, nil
	}
	n, ok := parseInt(fields[column], maxSeconds*1_000_000)
	if !ok {
		return 0, usageFault(l, fields, column, "is not a whole number of microseconds from 0 to 100 years")
	}
	return time.Duration(n) * time.Microsecond, nil
}

// readUsage makes calls of the rows. The department is the tenant, or the namespace
// where it is empty; the namespace is the application. A call that was refused or
// not known to its end is an arrival as any: its duration is drawn from the others'.
func readUsage(f file, n *names) (rowReader, error) {
	u, err := newUsageFile(f)
	if err != nil {
		return nil, err
	}
	return func(l *lines, fields [][]byte) (row, string, error) {
		fields = u.order(fields)
		c, err := usageCall(l, fields)
		if err != nil {
			return row{}, "", err
		}
		tenant := fields[columnDepartment]
		if len(tenant) == 0 {
			tenant = fields[columnNamespace]
		}
		number, _ := n.number(tenant, fields[columnNamespace], fields[columnFunction], nil)
		fn := &n.functions[number]
		fn.MiB, fn.MilliCPU = max(fn.MiB, c.mib), max(fn.MilliCPU, c.milliCPU)
		if c.outcome != spillway.Executed {
			c.duration = -1
		}
		return row{at: c.at, duration: c.duration, init: c.init, function: number}, "", nil
	}, nil
}

// usageEpoch is what row.at counts from.
var usageEpoch = time.Unix(0, 0).UTC()
