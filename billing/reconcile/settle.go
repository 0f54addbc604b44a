package reconcile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// Counts tell what became of the estimates of one cloud function.
type Counts struct {
	Estimates int `json:"estimates"` // open before
	Ran       int `json:"ran"`       // now charged with true figures
	NeverRan  int `json:"neverRan"`  // now taken back
	// The rest stays as it is:
	Waiting  int `json:"waiting"`  // younger than the lag, or beside an attempt that is
	Unclear  int `json:"unclear"`  // more executions than estimates, of different prices
	Unproven int `json:"unproven"` // no execution, and nothing that shows that the log is whole
	// Unaccounted are executions in the log that no line of the ledger is behind.
	Unaccounted int `json:"unaccounted"`
}

// Result is what settles a book.
type Result struct {
	Counts
	// Lines are a reversal for each estimate that is settled, and a charge for each
	// that ran. They must be stored together or not at all.
	Lines  []billing.Entry
	Before apd.Decimal // sum of the estimates that Lines take back
	After  apd.Decimal // sum of the charges in Lines
	// Problem is why nothing was settled; empty if there is none.
	Problem string
}

// exact adds without rounding: amounts have at most 38 digits.
var exact = apd.BaseContext.WithPrecision(60)

// settling is one Settle.
type settling struct {
	*Book
	records []spillway.Usage // one per request id, by their end
	byID    map[string]int
	taken   []bool
	result  Result
}

// Settle finds what the open estimates cost. records are the executions in the
// log, at least those that ended within Spans; their order and repetitions do not
// matter. Estimates whose deadline is after until wait, since the log may not be
// complete yet; until must be so far before the book's lines were read that what was
// sent since cannot have ended near it. Lines are posted at now. A book is settled
// once.
func (b *Book) Settle(records []spillway.Usage, until, now time.Time) Result {
	s := &settling{Book: b, byID: map[string]int{}}
	s.result.Estimates = len(b.estimates)
	if why := b.payers(); why != "" {
		s.result.Problem = why
		return s.result
	}
	s.sort(records)
	if why := s.account(); why != "" {
		s.result.Problem = why
		return s.result
	}
	s.assign()
	if err := s.write(until, now); err != nil { // a function can write any figures
		return Result{Counts: Counts{Estimates: len(b.estimates)}, Problem: err.Error()}
	}
	return s.result
}

// payers says why the estimates cannot be told apart, if they cannot.
func (b *Book) payers() string {
	for i := range b.estimates {
		if first, e := &b.estimates[0].line, &b.estimates[i].line; e.Namespace != first.Namespace {
			return fmt.Sprintf("the namespaces %s and %s have the same cloud function, so nobody knows whose executions these are; give each its own", first.Namespace, e.Namespace)
		}
	}
	return ""
}

func end(u *spillway.Usage) time.Time {
	return u.Started.Add(time.Duration(u.DurationMicros) * time.Microsecond).Time()
}

// sort keeps the dearest record of each request: a function can write reports of
// its own, and must not make its calls cheaper by it.
func (s *settling) sort(records []spillway.Usage) {
	s.records = slices.Clone(records)
	slices.SortFunc(s.records, func(a, b spillway.Usage) int {
		return cmp.Or(cmp.Compare(a.ProviderID, b.ProviderID), cmp.Compare(b.BilledMillis, a.BilledMillis), cmp.Compare(b.MemoryMiB, a.MemoryMiB), end(&a).Compare(end(&b)))
	})
	s.records = slices.CompactFunc(s.records, func(a, b spillway.Usage) bool { return a.ProviderID == b.ProviderID })
	slices.SortStableFunc(s.records, func(a, b spillway.Usage) int { return end(&a).Compare(end(&b)) })
	for i := range s.records {
		s.byID[s.records[i].ProviderID] = i
	}
	s.taken = make([]bool, len(s.records))
}

// account takes the records that the ledger's lines are behind. It says what is
// wrong if the log lacks one that it must have.
func (s *settling) account() string {
	var unnamed []claim
	known, missing, asked := 0, 0, map[*claim]bool{}
	for _, c := range s.claims {
		i, found := s.byID[c.id]
		switch {
		case c.id == "":
			unnamed = append(unnamed, c)
		case found:
			s.taken[i] = true
		case c.exact:
			missing++
		}
		if c.exact {
			known++
		}
	}
	for i := range s.spans {
		if w, _ := s.witness(i); w != nil && !asked[w] {
			asked[w] = true
			known++
			if s.proof(w) < 0 {
				missing++
			}
		}
	}
	s.named()
	slices.SortStableFunc(unnamed, func(a, b claim) int { return a.when.To.Compare(b.when.To) })
	for _, c := range unnamed {
		if i := s.proof(&c); i >= 0 {
			s.taken[i] = true
		} else if c.exact {
			missing++
		}
	}
	if missing == 0 {
		return ""
	}
	return fmt.Sprintf("the log lacks %d of %d executions that the ledger has charged, so it is not complete: is it kept for too short a time, are its platform records filtered out, or was another function bound then?", missing, known)
}

// proof returns the position of a free record that c is behind, or -1.
func (s *settling) proof(c *claim) int {
	if i, found := s.byID[c.id]; c.id != "" {
		if found {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.records, func(u spillway.Usage) bool {
		return !s.taken[s.byID[u.ProviderID]] && c.when.holds(end(&u)) && (!c.exact || u.BilledMillis == c.billed)
	})
}

// named gives estimates the executions that they name.
func (s *settling) named() {
	for i := range s.estimates {
		e := &s.estimates[i]
		if r, found := s.byID[e.line.Usage.ProviderID]; found && e.line.Usage.ProviderID != "" && !s.taken[r] && !e.charged {
			e.record, e.named, s.taken[r] = r+1, true, true
		}
	}
}

// assign gives the records that are left to the estimates.
func (s *settling) assign() {
	first := 0
	for r := range s.records {
		at := end(&s.records[r])
		for first < len(s.estimates) && s.estimates[first].when.wider().To.Before(at) {
			first++
		}
		for i := first; i < len(s.estimates) && !s.taken[r]; i++ {
			if e := &s.estimates[i]; e.record == 0 && !e.charged && e.when.wider().holds(at) {
				e.record, s.taken[r] = r+1, true
			}
		}
	}
}

// write makes the lines of the estimates that can be settled.
func (s *settling) write(until, now time.Time) error {
	s.doubt(s.leftOver())
	proven := s.proven()
	unsettled := slices.Clone(s.open)
	for i := range s.estimates {
		if e := &s.estimates[i]; e.when.To.After(until) && !e.charged {
			unsettled = append(unsettled, e.when.wider())
		}
	}
	unsettled = union(unsettled, 0)
	n := &s.result.Counts
	for i := range s.estimates {
		e := &s.estimates[i]
		var err error
		switch {
		case e.charged:
			n.Ran++
			err = s.reverse(e, now)
		case slices.ContainsFunc(unsettled, e.when.wider().meets):
			n.Waiting++
		case e.unclear:
			n.Unclear++
		case e.record > 0:
			n.Ran++
			if err = s.charge(e, now); err == nil {
				err = s.reverse(e, now)
			}
		case !proven[s.spanOf(e)]:
			n.Unproven++
		default:
			n.NeverRan++
			err = s.reverse(e, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leftOver are the records in the spans that nothing is behind.
func (s *settling) leftOver() (over []int) {
	for i := range s.records {
		if !s.taken[i] && s.spanAt(end(&s.records[i])) >= 0 {
			over = append(over, i)
		}
	}
	s.result.Unaccounted = len(over)
	return over
}

// doubt marks the estimates that executions which are left over could be behind as
// well, at another price: in place of an estimate's own, which could be behind the
// next one.
func (s *settling) doubt(over []int) {
	reached, asked := make([]bool, len(s.records)), make([]bool, len(s.estimates))
	for _, r := range over {
		var doubtful []*estimate
		next, differ := []int{r}, false
		reach := func(r int) {
			if !reached[r] {
				reached[r], next = true, append(next, r)
			}
		}
		for ; len(next) > 0; next = next[1:] {
			u := &s.records[next[0]]
			differ = differ || u.BilledMillis != s.records[r].BilledMillis || u.MemoryMiB != s.records[r].MemoryMiB
			for i := range s.estimates {
				e := &s.estimates[i]
				if asked[i] || e.record == 0 || e.named || !e.when.wider().holds(end(u)) {
					continue
				}
				asked[i], doubtful = true, append(doubtful, e)
				reach(e.record - 1)
				for _, o := range over {
					if e.when.wider().holds(end(&s.records[o])) {
						reach(o)
					}
				}
			}
		}
		for _, e := range doubtful {
			e.unclear = differ
		}
	}
}

// proven tells of each span whether the log was written around it: it shows an
// execution inside, or the one next to it that the ledger knows of.
func (s *settling) proven() []bool {
	all := make([]bool, len(s.spans))
	for i := range all {
		w, proven := s.witness(i)
		all[i] = proven || w != nil // account has found it
	}
	for r := range s.records {
		at := end(&s.records[r])
		if i := s.spanAt(at); i >= 0 {
			all[i] = true
		}
	}
	return all
}

func (s *settling) spanOf(e *estimate) int { return s.spanAt(e.when.To) }

// spanAt returns the span that holds a time, or -1.
func (s *settling) spanAt(at time.Time) int {
	i, _ := slices.BinarySearchFunc(s.spans, at, func(sp Span, at time.Time) int { return sp.To.Compare(at) })
	if i < len(s.spans) && s.spans[i].holds(at) {
		return i
	}
	return -1
}

func (s *settling) reverse(e *estimate, now time.Time) error {
	return s.post(billing.ReversalOf(&e.line, now), &s.result.Before, &e.line.Amount)
}

// charge makes the line of an estimate that ran. What the function answered stays
// unknown: the log does not tell.
func (s *settling) charge(e *estimate, now time.Time) error {
	line := e.line
	line.Kind, line.Posted, line.Writer, line.Sequence = billing.KindCharge, now, "", 0
	line.Outcome, line.Usage = spillway.Executed, s.records[e.record-1]
	line.Amount = apd.Decimal{}
	if err := line.Charge(billing.Meter(line.Usage, line.Rate, s.kind)); err != nil {
		return fmt.Errorf("reconciling with execution %s of the log: %w", line.Usage.ProviderID, err)
	}
	return s.post(line, &s.result.After, &line.Amount)
}

func (s *settling) post(line billing.Entry, sum, amount *apd.Decimal) error {
	line.Writer, line.Sequence = "", 0
	s.result.Lines = append(s.result.Lines, line)
	_, err := exact.Add(sum, sum, amount)
	return err
}
