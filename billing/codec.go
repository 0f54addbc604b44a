package billing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
)

// codecVersion leads every encoded entry. Fields are only ever added, with a new
// version: 2 has CloudFunction.
const codecVersion = 2

// MaxEncoded bounds an encoded entry, so that room can be reserved before the
// entry exists. AppendEntry refuses longer ones.
const MaxEncoded = 4000

const maxAttempt = 1<<31 - 1

var (
	// ErrTooLong reports an entry whose names do not fit in MaxEncoded bytes.
	ErrTooLong = errors.New("entry is too long")
	// ErrMalformed reports bytes that are not an encoded entry.
	ErrMalformed = errors.New("malformed entry")
)

var kinds = [...]Kind{"", KindIntent, KindCharge, KindEstimate, KindReversal, KindVoid}

func kindCode(k Kind) int64 {
	for i, kind := range kinds {
		if i > 0 && kind == k {
			return int64(i)
		}
	}
	return 0
}

// Validate reports whether e can be stored: a kind, a key, names of a sane length
// and an amount that is a decimal(38,18).
func (e *Entry) Validate() error {
	switch {
	case kindCode(e.Kind) == 0:
		return fmt.Errorf("entry of %q: %w: kind %q", e.Invocation, ErrMalformed, e.Kind)
	case e.Invocation == "" || e.Attempt < 1 || e.Attempt > maxAttempt:
		return fmt.Errorf("entry: %w: invocation %q, attempt %d", ErrMalformed, e.Invocation, e.Attempt)
	case !validReason(int64(e.Reason)) || e.Outcome > spillway.Unknown:
		return fmt.Errorf("entry of %q: %w: reason %d, outcome %d", e.Invocation, ErrMalformed, e.Reason, e.Outcome)
	case !storable(&e.Amount):
		return fmt.Errorf("entry of %q: %w: amount is not a decimal(38,18)", e.Invocation, ErrMalformed)
	}
	return nil
}

// AppendEntry appends the compact encoding of e to dst. Times keep nanoseconds
// and lose their zone.
func AppendEntry(dst []byte, e *Entry) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, codecVersion)
	for _, s := range e.texts() {
		dst = binary.AppendUvarint(dst, uint64(len(*s)))
		dst = append(dst, *s...)
	}
	var n numbers
	e.toNumbers(&n)
	for _, v := range n {
		dst = binary.AppendVarint(dst, v)
	}
	var coefficient [16]byte // 38 digits are 127 bits
	e.Amount.Coeff.FillBytes(coefficient[:])
	dst = append(dst, coefficient[:]...)
	if len(dst)-start > MaxEncoded {
		return dst[:start], fmt.Errorf("entry of %.40q: %w: %d bytes, at most %d", e.Invocation, ErrTooLong, len(dst)-start, MaxEncoded)
	}
	return dst, nil
}

// DecodeEntry reads what AppendEntry wrote; b must hold one entry and no more.
func DecodeEntry(b []byte) (Entry, error) {
	var e Entry
	if len(b) == 0 || b[0] < 1 || b[0] > codecVersion {
		return e, fmt.Errorf("%w: unknown version", ErrMalformed)
	}
	texts := e.texts()
	known := texts[:]
	if b[0] == 1 {
		known = texts[:15]
	}
	b = b[1:]
	for _, s := range known {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return e, fmt.Errorf("%w: cut text", ErrMalformed)
		}
		*s, b = string(b[size:size+int(n)]), b[size+int(n):]
	}
	var n numbers
	for i := range n {
		v, size := binary.Varint(b)
		if size <= 0 {
			return e, fmt.Errorf("%w: cut number", ErrMalformed)
		}
		n[i], b = v, b[size:]
	}
	if len(b) != 16 {
		return e, fmt.Errorf("%w: %d bytes in place of an amount", ErrMalformed, len(b))
	}
	if err := e.fromNumbers(&n); err != nil {
		return e, err
	}
	e.Amount.Coeff.SetBytes(b)
	return e, e.Validate()
}

// texts are the text fields in their order on disk.
func (e *Entry) texts() [16]*string {
	return [16]*string{
		&e.Invocation, &e.Writer, &e.Namespace, &e.NamespaceUID, &e.Department, &e.Caller, &e.Function,
		&e.Revision, &e.Pool, &e.Region, &e.Currency, &e.PriceVersion, &e.RequestKey,
		&e.Usage.ProviderID, (*string)(&e.Error), &e.CloudFunction,
	}
}

// numbers are the other fields in their order on disk, but the coefficient of the
// amount.
type numbers [30]int64

func (e *Entry) toNumbers(n *numbers) {
	u, r, res := &e.Usage, &e.Rate, &e.Resources
	*n = numbers{
		kindCode(e.Kind), int64(e.Attempt), e.Sequence, flag(e.Cloud), int64(e.Reason),
		nanos(e.Admitted), nanos(e.Posted), nanos(e.Deadline),
		res.Slots, res.MilliCPU, res.MiB,
		int64(u.Started), u.DurationMicros, u.BilledMillis, u.InitMicros, u.MemoryMiB, u.MaxMemoryMiB, u.CPUMicros, flag(u.Estimated),
		int64(e.Outcome),
		int64(r.PerRequest), int64(r.PerGiBSecond), int64(r.PerVCPUSecond), r.IncrementMillis, r.MinimumMillis,
		e.BilledMillis, int64(e.Reserved), int64(e.Settled),
		flag(e.Amount.Negative), int64(e.Amount.Exponent),
	}
}

func (e *Entry) fromNumbers(n *numbers) error {
	if n[0] <= 0 || n[0] >= int64(len(kinds)) || n[1] < 1 || n[1] > maxAttempt || !validReason(n[4]) || n[19] < 0 || n[19] > int64(spillway.Unknown) || n[29] < -Decimals || n[29] > 0 {
		return fmt.Errorf("%w: number out of range", ErrMalformed)
	}
	e.Kind, e.Attempt, e.Sequence, e.Cloud, e.Reason = kinds[n[0]], int(n[1]), n[2], n[3] != 0, spillway.Reason(n[4])
	e.Admitted, e.Posted, e.Deadline = timeOf(n[5]), timeOf(n[6]), timeOf(n[7])
	e.Resources = spillway.Resources{Slots: n[8], MilliCPU: n[9], MiB: n[10]}
	u := &e.Usage
	u.Started, u.DurationMicros, u.BilledMillis, u.InitMicros = spillway.Instant(n[11]), n[12], n[13], n[14]
	u.MemoryMiB, u.MaxMemoryMiB, u.CPUMicros, u.Estimated = n[15], n[16], n[17], n[18] != 0
	e.Outcome = spillway.OutcomeClass(n[19])
	e.Rate = spillway.Rate{
		PerRequest: spillway.Femto(n[20]), PerGiBSecond: spillway.Femto(n[21]), PerVCPUSecond: spillway.Femto(n[22]),
		IncrementMillis: n[23], MinimumMillis: n[24],
	}
	e.BilledMillis, e.Reserved, e.Settled = n[25], spillway.Nano(n[26]), spillway.Nano(n[27])
	e.Amount.Negative, e.Amount.Exponent = n[28] != 0, int32(n[29])
	return nil
}

var lastReason = int64(len(spillway.Reasons())) // none is not among them

func validReason(n int64) bool { return n >= 0 && n <= lastReason }

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// nanos is t since the Unix epoch; the zero time is 0.
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
