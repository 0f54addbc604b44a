package main

import (
	"math/big"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// webFunction is the one that is called through plain HTTP.
const webFunction = "shop/web"

// inDollars is what one unit of a bill's currency is worth, as conf/pools.yaml says.
var inDollars = map[string]*big.Rat{"USD": big.NewRat(1, 1), "CNY": big.NewRat(14, 100)}

// attempt names one execution.
type attempt struct {
	Invocation string
	N          int // from 1
}

// evidence is everything that the checks compare: what clients were told, what
// the ledger says, and what those who executed the calls wrote down themselves.
type evidence struct {
	platform *spillway.Platform
	script   []phase
	sent     int
	answers  []answer
	ledger   []billing.Entry
	onPrem   []span // from functions on-prem
	clouds   []cloudSide
	moments  moments
	refused  map[string]string // revisions of refused calls, where there are several
	web      connections
}

// cloudSide is what one cloud has to say.
type cloudSide struct {
	pool      string
	spans     []span // from functions there
	bill      cloud.Bill
	state     cloud.State
	functions []cloud.Function // as deployed
}

// rate is what one unit of the cloud's currency is worth in ours.
func (c *cloudSide) rate() *big.Rat {
	if rate := inDollars[c.bill.Currency]; rate != nil {
		return rate
	}
	return big.NewRat(-1, 1) // of no bill
}

// connections are those of the web client.
type connections struct {
	seats  int // most at once
	opened int
	closed int // that an answer announced
}

// byInvocation finds the answer of a call by its id.
func (e *evidence) byInvocation() map[string]*answer {
	found := make(map[string]*answer, len(e.answers))
	for i := range e.answers {
		found[e.answers[i].ID] = &e.answers[i]
	}
	return found
}

// billed is the ledger's charges or estimates by attempt, of those lines that want
// says yes to.
func (e *evidence) billed(kind billing.Kind, want func(*billing.Entry) bool) map[attempt][]*billing.Entry {
	found := map[attempt][]*billing.Entry{}
	for i := range e.ledger {
		if l := &e.ledger[i]; l.Kind == kind && want(l) {
			key := attempt{l.Invocation, l.Attempt}
			found[key] = append(found[key], l)
		}
	}
	return found
}

func onPremises(l *billing.Entry) bool { return !l.Cloud }

func inAnyCloud(l *billing.Entry) bool { return l.Cloud }

func (c *cloudSide) has(l *billing.Entry) bool { return l.Pool == c.pool }

// invoiced is a stand-in's own list of executions by attempt.
func (c *cloudSide) invoiced() map[attempt][]cloud.Line {
	found := map[attempt][]cloud.Line{}
	for _, l := range c.bill.Lines {
		key := attempt{l.Invocation, l.Attempt}
		found[key] = append(found[key], l)
	}
	return found
}

// remote are the executions of all clouds, from the functions.
func (e *evidence) remote() []span {
	var all []span
	for i := range e.clouds {
		all = append(all, e.clouds[i].spans...)
	}
	return all
}

// during are the executions in clouds that began in [from, to).
func (e *evidence) during(from, to time.Time) []span {
	var all []span
	for _, s := range e.remote() {
		if s.from >= from.UnixNano() && s.from < to.UnixNano() {
			all = append(all, s)
		}
	}
	return all
}

// nameRequests gives the executions of web functions, which know only what their
// caller called them, the invocations of the answers.
func (e *evidence) nameRequests() {
	ids := map[string]string{}
	for i := range e.answers {
		if a := &e.answers[i]; a.web != nil && a.ID != "" {
			ids[a.web.request] = a.ID
		}
	}
	for i := range e.onPrem {
		if id := ids[e.onPrem[i].Invocation]; id != "" {
			e.onPrem[i].Invocation = id
		}
	}
}
