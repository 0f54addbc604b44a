package billing

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
)

// By is what a statement groups by.
type By string

const (
	ByDepartment By = "department"
	ByNamespace  By = "namespace"
	ByFunction   By = "function" // namespace/name
	ByPool       By = "pool"
)

// ParseBy reads a grouping.
func ParseBy(text string) (By, error) {
	all := []By{ByDepartment, ByNamespace, ByFunction, ByPool}
	if slices.Contains(all, By(text)) {
		return By(text), nil
	}
	return "", fmt.Errorf("grouping %q is unknown; allowed: department, namespace, function, pool", text)
}

func (by By) key(e *Entry) string {
	switch by {
	case ByNamespace:
		return e.Namespace
	case ByFunction:
		return e.Namespace + "/" + e.Function
	case ByPool:
		return e.Pool
	}
	return e.Department
}

// Row is a sum over the lines with one key. All figures are exact.
type Row struct {
	Key          string // empty: lines without a department
	Calls        int64  // executed attempts; a reversal takes one off
	BilledMillis int64
	ColdMicros   int64 // starting environments
	GiBSeconds   apd.Decimal
	VCPUSeconds  apd.Decimal
	Amount       apd.Decimal
}

// Idle is what an owned pool cost beyond what it charged. It is negative when
// more than the whole cost was charged, as above the target utilisation.
type Idle struct {
	Pool    string
	Cost    apd.Decimal // hourly × the statement's time
	Charged apd.Decimal // lines on the pool
	Amount  apd.Decimal // Cost − Charged
}

// OwnedPool is a pool whose idle time a statement shows.
type OwnedPool struct {
	Name   string
	Hourly spillway.Nano
}

// Open sums the intents without a known outcome: reserved, not billed.
type Open struct {
	Attempts int64
	Reserved apd.Decimal
}

// Statement is a bill for the calls admitted in [From, To).
type Statement struct {
	By       By
	From, To time.Time

	Rows      []Row // charges, by descending amount
	Estimated []Row // estimates and their reversals; rows that cancel out are left out
	Open      Open

	ByReason []Row // charges and estimates by placement reason: paid because of …
	Idle     []Idle

	// Total is the exact sum of all lines: Rows and Estimated together.
	Total          apd.Decimal
	EstimatedTotal apd.Decimal
	IdleTotal      apd.Decimal
}

// NewStatement sums lines, in any order. Lines admitted outside [from, to) are
// skipped. Owned pools cost their hourly price over the whole of it, so to should
// not be in the future. It stops at the first error that lines yields.
func NewStatement(lines iter.Seq2[Entry, error], by By, from, to time.Time, owned []OwnedPool) (*Statement, error) {
	t := tally{
		by: by, charged: sums{}, estimated: sums{}, reasons: sums{}, pools: sums{},
		intents: map[attemptID]*apd.BigInt{}, closed: map[attemptID]bool{},
	}
	for e, err := range lines {
		if err != nil {
			return nil, err
		}
		if within(e.Admitted, from, to) {
			t.add(&e)
		}
	}
	s := &Statement{By: by, From: from, To: to}
	var total, estimated apd.BigInt
	s.Rows, s.Estimated, s.ByReason = t.charged.rows(&total), t.estimated.rows(&estimated), t.reasons.rows(new(apd.BigInt))
	s.Estimated = slices.DeleteFunc(s.Estimated, func(r Row) bool { return r.Calls == 0 && r.Amount.IsZero() })
	s.EstimatedTotal = ofAtto(&estimated)
	s.Total = ofAtto(total.Add(&total, &estimated))
	s.Open = t.open()
	s.idle(owned, t.pools)
	return s, nil
}

// idle adds a row for each owned pool.
func (s *Statement) idle(owned []OwnedPool, charged sums) {
	var total apd.BigInt
	for _, p := range owned {
		// nano/hour × ns is 3600e12 times currency units, and atto 1e18: 3600 remain.
		var cost, used, rest apd.BigInt
		cost.Mul(apd.NewBigInt(int64(p.Hourly)), apd.NewBigInt(int64(max(s.To.Sub(s.From), 0))))
		cost.Set(roundHalfEven(&cost, apd.NewBigInt(3600)))
		if c := charged[p.Name]; c != nil {
			used.Set(&c.atto)
		}
		rest.Sub(&cost, &used)
		total.Add(&total, &rest)
		s.Idle = append(s.Idle, Idle{p.Name, ofAtto(&cost), ofAtto(&used), ofAtto(&rest)})
	}
	s.IdleTotal = ofAtto(&total)
}

type attemptID struct {
	invocation string
	attempt    int
}

// tally is a statement in the making.
type tally struct {
	by                                 By
	charged, estimated, reasons, pools sums
	// An attempt is in one of these from its first line to its other one, so few
	// are at once when the lines of an invocation come together.
	intents map[attemptID]*apd.BigInt
	closed  map[attemptID]bool
}

func (t *tally) add(e *Entry) {
	if e.Cloud {
		t.track(e)
	}
	var to sums
	sign := int64(1)
	switch e.Kind {
	case KindCharge:
		to = t.charged
	case KindEstimate:
		to = t.estimated
	case KindReversal:
		to, sign = t.estimated, -1
	default:
		return
	}
	to.add(t.by.key(e), e, sign)
	t.reasons.add(e.Reason.String(), e, sign)
	t.pools.add(e.Pool, e, sign)
}

// track pairs the intent of an attempt with what closes it, in any order.
func (t *tally) track(e *Entry) {
	id := attemptID{e.Invocation, e.Attempt}
	switch e.Kind {
	case KindIntent:
		if !e.Cloud { // a job's: it reserves nothing
			return
		}
		if t.closed[id] {
			delete(t.closed, id)
			return
		}
		var reserved apd.BigInt
		d := DecimalOf(e.Reserved)
		addAtto(&reserved, &d)
		t.intents[id] = &reserved
	case KindCharge, KindEstimate, KindVoid:
		if t.intents[id] != nil {
			delete(t.intents, id)
			return
		}
		t.closed[id] = true
	}
}

func (t *tally) open() Open {
	var reserved apd.BigInt
	for _, n := range t.intents {
		reserved.Add(&reserved, n)
	}
	return Open{int64(len(t.intents)), ofAtto(&reserved)}
}

// sums are running sums by key.
type sums map[string]*sum

type sum struct {
	calls, billed, cold int64
	mib, cpu, atto      apd.BigInt // MiB-ms, milliCPU-ms, 1e-18
}

func (s sums) add(key string, e *Entry, sign int64) {
	r := s[key]
	if r == nil {
		r = new(sum)
		s[key] = r
	}
	r.calls += sign
	r.billed += sign * e.BilledMillis
	r.cold += sign * e.Usage.InitMicros
	held := e.Billed()
	var n, ms apd.BigInt
	ms.SetInt64(sign * e.BilledMillis)
	r.mib.Add(&r.mib, n.Mul(&ms, apd.NewBigInt(held.MiB)))
	if !e.Cloud { // a provider bundles cpu with memory
		r.cpu.Add(&r.cpu, n.Mul(&ms, apd.NewBigInt(held.MilliCPU)))
	}
	addAtto(&r.atto, &e.Amount)
}

// rows returns the sums, dearest first, and adds their amounts to total.
func (s sums) rows(total *apd.BigInt) []Row {
	rows := make([]Row, 0, len(s))
	for key, r := range s {
		total.Add(total, &r.atto)
		rows = append(rows, Row{
			Key: key, Calls: r.calls, BilledMillis: r.billed, ColdMicros: r.cold,
			GiBSeconds: seconds(&r.mib, 1024), VCPUSeconds: seconds(&r.cpu, 1000), Amount: ofAtto(&r.atto),
		})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(b.Amount.Cmp(&a.Amount), cmp.Compare(a.Key, b.Key))
	})
	return rows
}

// seconds returns n/(unit·1000) exactly: 1024 divides 10^10.
func seconds(n *apd.BigInt, unit int64) apd.Decimal {
	var scaled, rest apd.BigInt
	scaled.Mul(n, pow10(15))
	scaled.QuoRem(&scaled, apd.NewBigInt(unit*1000), &rest)
	var d apd.Decimal
	d.Coeff.Abs(&scaled)
	d.Negative, d.Exponent = scaled.Sign() < 0, -15
	return d
}
