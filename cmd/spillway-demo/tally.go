package main

import (
	"slices"
	"sync"
	"time"

	"github.com/spillway-dev/spillway"
)

// tally counts what is sent and answered. It is safe for concurrent use.
type tally struct {
	clouds map[string]bool // names of pools

	mu      sync.Mutex
	sent    int
	broken  int
	answers []answer
	phases  []phaseTally
}

// phaseTally is one phase's part.
type phaseTally struct {
	began, ended time.Time
	sent         int
	kinds        [kindCount]int
	overflowed   int
	dry          int            // refusals for a budget since a call of finance last went to a cloud
	endings      map[string]int // reasons, and "unknown"
	refusals     map[string]int
	took         []time.Duration // of calls that ran

	reached chan struct{} // closed when its moment has come
	open    bool          // its moment is not over
}

func newTally(script []phase, clouds map[string]bool) *tally {
	t := &tally{clouds: clouds, phases: make([]phaseTally, len(script))}
	for i := range t.phases {
		p := &t.phases[i]
		p.endings, p.refusals, p.reached, p.open = map[string]int{}, map[string]int{}, make(chan struct{}), script[i].Midway != nil
	}
	return t
}

func (t *tally) begin(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases[n].began = time.Now()
}

func (t *tally) end(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases[n].ended = time.Now()
}

// take reports whether phase n needs one more call, and counts it as sent.
func (t *tally) take(n int, p phase) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := &t.phases[n]
	if own.sent >= p.Most || t.broken >= maxBroken || (own.sent >= p.Calls && own.has(p.Wants) && own.dry >= p.Dry && !own.open) {
		return false
	}
	t.sent++
	own.sent++
	if p.Midway != nil && own.sent == p.Midway.After {
		close(own.reached)
	}
	return true
}

// reach lets the moment of phase n come, if it has not.
func (t *tally) reach(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.phases[n].reached:
	default:
		close(t.phases[n].reached)
	}
}

// resume lets phase n end: its moment is over.
func (t *tally) resume(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phases[n].open = false
}

// answered is how many calls have ended.
func (t *tally) answered() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.answers)
}

func (p *phaseTally) has(wants []want) bool {
	for _, w := range wants {
		if p.endings[w.Ending] < w.Times {
			return false
		}
	}
	return true
}

func (t *tally) add(a answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answers = append(t.answers, a)
	p := &t.phases[a.Phase]
	p.kinds[a.Kind]++
	for _, word := range a.endings() {
		p.endings[word]++
	}
	switch a.Kind {
	case broken:
		t.broken++
	case refused:
		p.refusals[a.Reason]++
		if a.Reason == spillway.ReasonBudgetExceeded.String() {
			p.dry++
		}
	default:
		p.took = append(p.took, a.Took)
		if t.clouds[a.Pool] {
			p.overflowed++
			if a.Namespace == "finance" {
				p.dry = 0
			}
		}
	}
}

// endings are the words that a phase can want of a.
func (a *answer) endings() []string {
	switch a.Kind {
	case broken:
		return nil
	case unknown:
		return []string{a.Reason, unknown.String()}
	}
	return []string{a.Reason}
}

// figures are one phase in numbers.
type figures struct {
	Name       string         `json:"name"`
	Calls      int            `json:"calls"`
	Overflowed int            `json:"overflowed"`
	Refused    int            `json:"refused"`
	Unknown    int            `json:"unknown"`
	Failed     int            `json:"failed"`
	P50        time.Duration  `json:"p50Nanos"`
	P99        time.Duration  `json:"p99Nanos"`
	Took       time.Duration  `json:"tookNanos"`
	Endings    map[string]int `json:"endings"`
	Refusals   map[string]int `json:"refusals"`
}

// figures returns all phases, those that have not begun with zeros.
func (t *tally) figures(script []phase) []figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]figures, len(t.phases))
	for i := range t.phases {
		p := &t.phases[i]
		f := &all[i]
		f.Name, f.Calls, f.Overflowed = script[i].Name, len(p.took)+p.kinds[refused]+p.kinds[broken], p.overflowed
		f.Refused, f.Unknown, f.Failed = p.kinds[refused], p.kinds[unknown], p.kinds[failed]
		f.Endings, f.Refusals = clone(p.endings), clone(p.refusals)
		sorted := slices.Sorted(slices.Values(p.took))
		f.P50, f.P99 = quantile(sorted, 50), quantile(sorted, 99)
		switch {
		case !p.ended.IsZero():
			f.Took = p.ended.Sub(p.began)
		case !p.began.IsZero():
			f.Took = time.Since(p.began)
		}
	}
	return all
}

func clone(m map[string]int) map[string]int {
	out := make(map[string]int, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// quantile is the percent-th percentile of sorted, by the nearest rank.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// all returns how many calls were sent, and their answers.
func (t *tally) all() (sent int, answers []answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sent, slices.Clone(t.answers)
}
