package sqlite

import (
	"database/sql/driver"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// columns are those of table line, in the order of row.values.
const columns = `invocation, attempt, kind, writer, sequence, namespace, namespace_uid, department, caller, function,
	revision, pool, region, cloud, reason, admitted, posted, deadline, slots, milli_cpu, mib,
	started, duration_us, provider_billed_ms, init_us, memory_mib, max_memory_mib, cpu_us, provider_id, estimated,
	outcome, error, currency, price_version, per_request_femto, per_gib_second_femto, per_vcpu_second_femto,
	increment_ms, minimum_ms, billed_ms, amount, reserved_nano, settled_nano, request_key, cloud_function`

const columnCount = 45

// columnsOf are columns of a database of a schema version, which reads the ones that
// it does not have as empty.
func columnsOf(version int) string {
	if version < 2 {
		return strings.Replace(columns, "cloud_function", "''", 1)
	}
	return columns
}

// row is an entry with the fields that SQLite stores differently set apart.
type row struct {
	billing.Entry
	reason                     string
	admitted, posted, deadline int64
	outcome                    int64
	amount                     string
	kind, functionError        string
}

func (r *row) values() []any {
	e := &r.Entry
	u := &e.Usage
	return []any{
		&e.Invocation, &e.Attempt, &r.kind, &e.Writer, &e.Sequence, &e.Namespace, &e.NamespaceUID, &e.Department, &e.Caller, &e.Function,
		&e.Revision, &e.Pool, &e.Region, &e.Cloud, &r.reason, &r.admitted, &r.posted, &r.deadline,
		&e.Resources.Slots, &e.Resources.MilliCPU, &e.Resources.MiB,
		(*int64)(&u.Started), &u.DurationMicros, &u.BilledMillis, &u.InitMicros, &u.MemoryMiB, &u.MaxMemoryMiB, &u.CPUMicros, &u.ProviderID, &u.Estimated,
		&r.outcome, &r.functionError, &e.Currency, &e.PriceVersion,
		(*int64)(&e.Rate.PerRequest), (*int64)(&e.Rate.PerGiBSecond), (*int64)(&e.Rate.PerVCPUSecond), &e.Rate.IncrementMillis, &e.Rate.MinimumMillis,
		&e.BilledMillis, &r.amount, (*int64)(&e.Reserved), (*int64)(&e.Settled), &e.RequestKey, &e.CloudFunction,
	}
}

// binding is the arguments of an INSERT, kept from line to line: most are as they
// were, and what is the same is not allocated anew.
type binding struct {
	args [columnCount]driver.NamedValue
	next int
}

func (b *binding) text(all ...string) {
	for _, s := range all {
		if old, ok := b.args[b.next].Value.(string); !ok || old != s {
			b.args[b.next] = driver.NamedValue{Ordinal: b.next + 1, Value: s}
		}
		b.next++
	}
}

func (b *binding) number(all ...int64) {
	for _, n := range all {
		if old, ok := b.args[b.next].Value.(int64); !ok || old != n {
			b.args[b.next] = driver.NamedValue{Ordinal: b.next + 1, Value: n}
		}
		b.next++
	}
}

// of returns the arguments for e, which are good until the next call.
func (b *binding) of(e *billing.Entry, writer string, sequence int64) []driver.NamedValue {
	u, r := &e.Usage, &e.Rate
	b.next = 0
	b.text(e.Invocation)
	b.number(int64(e.Attempt))
	b.text(string(e.Kind), writer)
	b.number(sequence)
	b.text(e.Namespace, e.NamespaceUID, e.Department, e.Caller, e.Function, e.Revision, e.Pool, e.Region)
	b.number(flag(e.Cloud))
	b.text(e.Reason.String())
	b.number(nanos(e.Admitted), nanos(e.Posted), nanos(e.Deadline), e.Resources.Slots, e.Resources.MilliCPU, e.Resources.MiB,
		int64(u.Started), u.DurationMicros, u.BilledMillis, u.InitMicros, u.MemoryMiB, u.MaxMemoryMiB, u.CPUMicros)
	b.text(u.ProviderID)
	b.number(flag(u.Estimated), int64(e.Outcome))
	b.text(string(e.Error), e.Currency, e.PriceVersion)
	b.number(int64(r.PerRequest), int64(r.PerGiBSecond), int64(r.PerVCPUSecond), r.IncrementMillis, r.MinimumMillis, e.BilledMillis)
	b.text(e.Amount.Text('f'))
	b.number(int64(e.Reserved), int64(e.Settled))
	b.text(e.RequestKey, e.CloudFunction)
	return b.args[:b.next]
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// entry completes and returns the scanned entry.
func (r *row) entry() (billing.Entry, error) {
	e := r.Entry
	e.Kind, e.Error, e.Outcome = billing.Kind(r.kind), spillway.FunctionError(r.functionError), spillway.OutcomeClass(r.outcome)
	if err := e.Reason.UnmarshalText([]byte(r.reason)); err != nil {
		return e, err
	}
	e.Admitted, e.Posted, e.Deadline = timeOf(r.admitted), timeOf(r.posted), timeOf(r.deadline)
	amount, err := billing.ParseAmount(r.amount)
	if err != nil {
		return e, err
	}
	e.Amount = amount
	return e, nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
