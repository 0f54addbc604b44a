package sqlite

import (
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// columns are those of table line, in the order of row.values.
const columns = `invocation, attempt, kind, writer, sequence, namespace, namespace_uid, department, caller, function,
	revision, pool, region, cloud, reason, admitted, posted, deadline, slots, milli_cpu, mib,
	started, duration_us, provider_billed_ms, init_us, memory_mib, max_memory_mib, cpu_us, provider_id, estimated,
	outcome, error, currency, price_version, per_request_femto, per_gib_second_femto, per_vcpu_second_femto,
	increment_ms, minimum_ms, billed_ms, amount, reserved_nano, settled_nano, request_key`

const columnCount = 44

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
		&e.BilledMillis, &r.amount, (*int64)(&e.Reserved), (*int64)(&e.Settled), &e.RequestKey,
	}
}

// bind returns the values of e for an INSERT.
func bind(e *billing.Entry, writer string, sequence int64) []any {
	u := &e.Usage
	return []any{
		e.Invocation, int64(e.Attempt), string(e.Kind), writer, sequence, e.Namespace, e.NamespaceUID, e.Department, e.Caller, e.Function,
		e.Revision, e.Pool, e.Region, e.Cloud, e.Reason.String(), nanos(e.Admitted), nanos(e.Posted), nanos(e.Deadline),
		e.Resources.Slots, e.Resources.MilliCPU, e.Resources.MiB,
		int64(u.Started), u.DurationMicros, u.BilledMillis, u.InitMicros, u.MemoryMiB, u.MaxMemoryMiB, u.CPUMicros, u.ProviderID, u.Estimated,
		int64(e.Outcome), string(e.Error), e.Currency, e.PriceVersion,
		int64(e.Rate.PerRequest), int64(e.Rate.PerGiBSecond), int64(e.Rate.PerVCPUSecond), e.Rate.IncrementMillis, e.Rate.MinimumMillis,
		e.BilledMillis, e.Amount.Text('f'), int64(e.Reserved), int64(e.Settled), e.RequestKey,
	}
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
