// Package reconcile puts what a provider's own log says ran in the place of the
// estimates that stand for cloud attempts whose outcome was never learnt.
//
// It works on one cloud function at a time. Every execution that the log shows is
// either behind a line that the ledger has already, told by the provider's request
// id, or behind one of the open estimates. An answer that was lost took its request
// id with it, so which of them is not known; the ones left over are given to the
// estimates in whose time they ended, earliest deadline first, which leaves none
// over that could have been placed. As the estimates of one cloud function have one
// payer, an exchange between two of them moves no money, except across the edge of
// a budget's window or of a change of price.
//
// An estimate without an execution never ran and is taken back, but only where the
// log is known to be whole: it must show every execution around it that the ledger
// knows of, and one at least.
//
// Everything here is pure: it is given lines and records and returns lines.
package reconcile

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
)

// skew is how far the provider's clock may be from ours.
const skew = 5 * time.Second

// Span is a time from From to To, both included.
type Span struct{ From, To time.Time }

func (s Span) holds(at time.Time) bool { return !at.Before(s.From) && !at.After(s.To) }

func (s Span) meets(o Span) bool { return !s.From.After(o.To) && !o.From.After(s.To) }

func (s Span) wider() Span { return Span{s.From.Add(-skew), s.To.Add(skew)} }

type attemptID struct {
	invocation string
	attempt    int
}

func idOf(e *billing.Entry) attemptID { return attemptID{e.Invocation, e.Attempt} }

// estimate is an open one.
type estimate struct {
	line    billing.Entry
	when    Span // it may have run in
	charged bool // the ledger has its charge already, and no reversal
	record  int  // position of the record that is behind it plus one; zero: none
	named   bool // by the provider's request id
	unclear bool // another record could be behind it, at another price
}

// claim is a line of the ledger that an execution is behind.
type claim struct {
	id     string // the provider's; may be empty
	when   Span   // it ended in
	billed int64
	exact  bool // the figures are the provider's, so its log must have it
}

// Book is what the ledger says of one cloud function. It is not safe for
// concurrent use.
type Book struct {
	kind      spillway.PoolKind
	estimates []estimate // by deadline
	at        map[attemptID]int
	spans     []Span // in which estimates may have run; apart and in order
	near      []nearby
	claims    []claim // that meet a span
	open      []Span  // attempts whose outcome is still awaited
}

// nearby are the claims next to a span, which matter if it has none inside.
type nearby struct {
	before, after *claim
	inside        bool
}

// NewBook begins with the estimates of one cloud function that were not taken
// back, in any order.
func NewBook(kind spillway.PoolKind, estimates []billing.Entry) *Book {
	b := &Book{kind: kind, at: map[attemptID]int{}}
	for _, e := range estimates {
		b.estimates = append(b.estimates, estimate{line: e, when: Span{e.Admitted, e.Deadline}})
	}
	slices.SortStableFunc(b.estimates, func(a, b estimate) int { return a.when.To.Compare(b.when.To) })
	for i := range b.estimates {
		b.at[idOf(&b.estimates[i].line)] = i
		b.spans = append(b.spans, b.estimates[i].when.wider())
	}
	b.spans = union(b.spans, 0)
	b.near = make([]nearby, len(b.spans))
	return b
}

// union joins spans that meet, or are no more than gap apart.
func union(spans []Span, gap time.Duration) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return a.From.Compare(b.From) })
	var all []Span
	for _, s := range spans {
		if n := len(all); n > 0 && !s.From.After(all[n-1].To.Add(gap)) {
			all[n-1].To = later(all[n-1].To, s.To)
			continue
		}
		all = append(all, s)
	}
	return all
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Await takes an intent of the function whose outcome the ledger does not have, or
// an estimate that is not in the book. The book must be given all that were open
// before the lines were read.
func (b *Book) Await(e *billing.Entry) {
	sent := e.Posted
	if e.Kind == billing.KindEstimate { // posted when it was over
		sent = e.Admitted
	}
	b.open = append(b.open, Span{sent, e.Deadline}.wider())
}

// Add takes a line of the function, of any kind. The book must be given all whose
// attempts were sent within two hours of an estimate, in the order of admission.
func (b *Book) Add(e *billing.Entry) {
	i, ours := b.at[idOf(e)]
	switch {
	case !e.Cloud:
	case ours && e.Kind == billing.KindIntent:
		b.estimates[i].when.From = e.Posted
	case e.Kind == billing.KindCharge:
		if ours {
			b.estimates[i].charged = true
		}
		b.claim(claimOf(e))
	case e.Kind == billing.KindVoid && e.Usage.ProviderID != "": // in case the provider ran it all the same
		b.claim(claim{id: e.Usage.ProviderID, when: Span{e.Admitted, e.Posted}})
	}
}

// Other takes a line of another cloud function that may be the same one, as its name
// is: an execution that it names is not this function's to settle, and need not be
// in its log.
func (b *Book) Other(e *billing.Entry) {
	if e.Cloud && e.Kind == billing.KindCharge && e.Usage.ProviderID != "" {
		c := claimOf(e)
		c.exact = false
		b.claim(c)
	}
}

// claimOf a charge ended between the begin of the function and the post of the
// line. A charge from here is posted much later, and ended by its deadline.
func claimOf(e *billing.Entry) claim {
	c := claim{id: e.Usage.ProviderID, when: Span{e.Admitted, e.Posted}, billed: e.BilledMillis, exact: !e.Usage.Estimated}
	if e.Usage.Started > 0 {
		c.when.From = e.Usage.Started.Time()
	}
	if !e.Deadline.IsZero() && e.Deadline.Before(c.when.To) {
		c.when.To = e.Deadline
	}
	c.when.To = later(c.when.From, c.when.To)
	c.when = c.when.wider()
	return c
}

// claim keeps c if it is in a span, or next to one.
func (b *Book) claim(c claim) {
	i, _ := slices.BinarySearchFunc(b.spans, c.when.From, func(s Span, from time.Time) int { return s.To.Compare(from) })
	inside := false
	for j := i; j < len(b.spans) && b.spans[j].meets(c.when); j++ {
		inside, b.near[j].inside = true, b.near[j].inside || c.exact
	}
	switch {
	case inside:
		b.claims = append(b.claims, c)
		return
	case !c.exact:
		return
	}
	if i < len(b.spans) {
		if n := &b.near[i]; n.before == nil || n.before.when.To.Before(c.when.To) {
			n.before = &c
		}
	}
	if i > 0 {
		if n := &b.near[i-1]; n.after == nil || n.after.when.From.After(c.when.From) {
			n.after = &c
		}
	}
}

// witness is a claim that shows whether the log was written around span i when no
// exact one is inside: the last before it, as logs lose their old end, else the next
// after it. proven says that none is needed, as another span has one inside that is
// nearer.
func (b *Book) witness(i int) (w *claim, proven bool) {
	for j := i; j >= 0; j-- {
		if b.near[j].inside {
			return nil, true
		}
		if b.near[j].before != nil {
			return b.near[j].before, false
		}
	}
	for j := i; j < len(b.near); j++ {
		if b.near[j].inside {
			return nil, true
		}
		if b.near[j].after != nil {
			return b.near[j].after, false
		}
	}
	return nil, false
}

// readOn is how much of a log is rather read than asked for anew.
const readOn = time.Minute

// Spans returns the times for which Settle needs the provider's log, apart and in
// order; none if there is nothing to settle.
func (b *Book) Spans() []Span {
	all := slices.Clone(b.spans)
	for _, c := range b.claims {
		all = append(all, c.when)
	}
	for i := range b.spans {
		if w, _ := b.witness(i); w != nil {
			all = append(all, w.when)
		}
	}
	return union(all, readOn)
}
