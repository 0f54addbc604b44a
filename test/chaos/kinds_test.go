package chaos

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// trial is one kind of fault and what must become of the calls it spoils.
type trial struct {
	fault   cloud.Fault
	class   spillway.OutcomeClass
	status  int  // of a refusal, where nothing ran and there is nowhere else
	runs    bool // in the cloud
	breaker bool // opens
}

const (
	none = spillway.NotExecuted
	lost = spillway.Unknown
	done = spillway.Executed
)

// answered in each cloud: an answer of Lambda's that is complete is the function's,
// whatever is in it. SCF wraps what a function answers, so there it is noticed.
var lambdaTrials = []trial{
	{fault: cloud.Fault{Kind: cloud.Throttle}, class: none, status: 429},
	{fault: cloud.Fault{Kind: cloud.EC2Throttled}, class: none, status: 503, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ErrorBefore}, class: lost, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ResetBefore}, class: lost, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Stall}, class: lost, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ErrorAfter}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ResetAfter}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.StallAfter}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Truncated}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Oversized}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Malformed}, class: done, runs: true},
	{fault: cloud.Fault{Kind: cloud.MalformedIn}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Garbage}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.WrongType}, class: done, runs: true},
}

var scfTrials = []trial{
	{fault: cloud.Fault{Kind: cloud.Throttle}, class: none, status: 429},
	{fault: cloud.Fault{Kind: cloud.Throttle, Reason: "432"}, class: none, status: 429},
	{fault: cloud.Fault{Kind: cloud.Throttle, Reason: "429"}, class: none, status: 429},
	{fault: cloud.Fault{Kind: cloud.ErrorCode, Reason: "RequestLimitExceeded"}, class: none, status: 429},
	{fault: cloud.Fault{Kind: cloud.ErrorCode, Reason: "ResourceUnavailable.InsufficientBalance"}, class: none, status: 503},
	{fault: cloud.Fault{Kind: cloud.ErrorCode, Reason: "AuthFailure.SignatureExpire"}, class: none, status: 503},
	{fault: cloud.Fault{Kind: cloud.ErrorCode, Reason: "FailedOperation.InvokeFunction"}, class: lost, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ErrorBefore}, class: lost, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ResetBefore}, class: lost, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Stall}, class: lost, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ErrorAfter}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.ResetAfter}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.StallAfter}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Truncated}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Oversized}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Compress}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Malformed}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.MalformedIn}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.Garbage}, class: lost, runs: true, breaker: true},
	{fault: cloud.Fault{Kind: cloud.WrongType}, class: lost, runs: true, breaker: true},
}

// codes of SCF's API, by the part before the dot or in full: after tooMany the provider
// had no room for the call, after mayRun it may have run. After any other it was refused.
var (
	tooMany = []string{"LimitExceeded", "RequestLimitExceeded", "ResourceInsufficient", "ResourceUnavailable"}
	mayRun  = []string{"FailedOperation", "InternalError", "ResponseSizeLimitExceeded", "ServiceUnavailable"}
	final   = []string{"ResourceUnavailable.InsufficientBalance", "ResourceUnavailable.ServiceSuspended", "FailedOperation.FunctionStatusError"}
)

// ofCode is the trial of one code.
func ofCode(code string) trial {
	family, _, _ := strings.Cut(code, ".")
	fault := cloud.Fault{Kind: cloud.ErrorCode, Reason: code}
	switch {
	case slices.Contains(final, code):
	case slices.Contains(tooMany, family):
		return trial{fault: fault, class: none, status: 429}
	case slices.Contains(mayRun, family):
		return trial{fault: fault, class: lost, breaker: true}
	}
	return trial{fault: fault, class: none, status: 503}
}

// TestEveryCodeOfSCF takes the documented codes from the stand-in.
func TestEveryCodeOfSCF(t *testing.T) {
	t.Parallel()
	err := newSite(t, "any", cloud.SCF, 1).cloud.Inject(cloud.Fault{Kind: cloud.ErrorCode, Reason: "?"})
	_, codes, ok := strings.Cut(fmt.Sprint(err), "allowed: ")
	if !ok {
		t.Fatalf("the stand-in does not say its codes: %v", err)
	}
	var sure, unsure []trial // those that may have run wait for their deadline, all at once
	for _, code := range strings.Fields(codes) {
		if tr := ofCode(code); tr.class == lost {
			unsure = append(unsure, tr)
		} else {
			sure = append(sure, tr)
		}
	}
	if len(sure) < 30 || len(unsure) < 4 {
		t.Fatalf("the stand-in knows %d codes, want at least those that are documented", len(sure)+len(unsure))
	}
	for some := range slices.Chunk(sure, 15) {
		tryAll(t, cloud.SCF, some)
	}
	tryAll(t, cloud.SCF, unsure)
}

// each is how many calls of a trial may go elsewhere, and how many may not.
const each = 12

// TestKindsOfLambda and TestKindsOfSCF try each kind of fault alone, on a pool of
// its own: all calls are sent before the first is spoilt.
func TestKindsOfLambda(t *testing.T) {
	t.Parallel()
	tryAll(t, cloud.Lambda, lambdaTrials)
}

func TestKindsOfSCF(t *testing.T) {
	t.Parallel()
	for half := range slices.Chunk(scfTrials, len(scfTrials)/2) {
		tryAll(t, cloud.SCF, half)
	}
}

// TestEveryKindIsTried reads from the stand-ins what kinds there are.
func TestEveryKindIsTried(t *testing.T) {
	for provider, trials := range map[string][]trial{cloud.Lambda: lambdaTrials, cloud.SCF: scfTrials} {
		err := newSite(t, "any", provider, 1).cloud.Inject(cloud.Fault{Kind: "?"})
		_, kinds, ok := strings.Cut(fmt.Sprint(err), "allowed: ")
		if !ok {
			t.Fatalf("the stand-in does not say its kinds: %v", err)
		}
		for _, kind := range strings.Fields(kinds) {
			if !slices.ContainsFunc(trials, func(tr trial) bool { return string(tr.fault.Kind) == kind }) {
				t.Errorf("%s: the fault %q is not tried", provider, kind)
			}
		}
	}
}

// tryAll has a pool for each trial, as every breaker is a pool's own.
func tryAll(t *testing.T, provider string, trials []trial) {
	var sites []*site
	var functions []function
	for i, tr := range trials {
		s := newSite(t, fmt.Sprintf("cloud%d", i), provider, uint64(i))
		must(t, s.cloud.Inject(tr.fault))
		s.together(2 * each)
		sites = append(sites, s)
		functions = append(functions, function{fmt.Sprintf("may%d", i), "never", "Hybrid", []string{s.pool, "onprem"}},
			function{fmt.Sprintf("must%d", i), "never", "CloudOnly", []string{s.pool}})
	}
	w := newWorld(t, 6, sites, functions)
	replies := make([][]reply, len(trials))
	var all sync.WaitGroup
	for i := range trials {
		try := func() { replies[i] = w.atOnce(each, functions[2*i].name, functions[2*i+1].name) }
		if kind := trials[i].fault.Kind; kind == cloud.Stall || kind == cloud.StallAfter {
			all.Go(try) // these wait for nothing but time
		} else {
			try()
		}
	}
	all.Wait()
	for i, tr := range trials {
		tr.checkBreaker(t, w, sites[i])
	}
	w.stop()
	b := w.books()
	b.check(t)
	for i, tr := range trials {
		tr.check(t, sites[i], b, replies[i])
		b.checkMoney(t, sites[i])
	}
}

func (tr trial) String() string {
	return strings.TrimSpace(string(tr.fault.Kind) + " " + tr.fault.Reason)
}

func (tr trial) checkBreaker(t *testing.T, w *world, s *site) {
	t.Helper()
	if open := w.breakerOpen(s.pool); open != tr.breaker {
		t.Errorf("%s %s: the breaker is open: %t, want %t", s.provider, tr, open, tr.breaker)
	}
}

// check holds the answers, the cloud and the ledger against what must be.
func (tr trial) check(t *testing.T, s *site, b *books, replies []reply) {
	t.Helper()
	sent, ran := s.seen()
	if len(sent) != 2*each || len(ran) != 0 != tr.runs || tr.runs && len(ran) != 2*each {
		t.Errorf("%s %s: %d attempts were sent and %d ran, want %d, and that they run: %t", s.provider, tr, len(sent), len(ran), 2*each, tr.runs)
	}
	for key := range sent {
		if sent[key] != 1 || ran[key] > 1 || key.invocation == "" {
			t.Errorf("%s %s: %v was sent %d times and ran %d times", s.provider, tr, key, sent[key], ran[key])
		}
	}
	want := map[spillway.OutcomeClass]billing.Kind{none: billing.KindVoid, lost: billing.KindEstimate, done: billing.KindCharge}[tr.class]
	for i, r := range replies {
		first := attempt{r.invocation, 1}
		elsewhere := tr.class == none && i%2 == 0 // it may go on-prem
		if lines := b.lines[first]; sent[first] != 1 || lines[want].Kind != want || lines[want].Pool != s.pool {
			t.Errorf("%s %s: sent %d times, no %s of %s: %v", s.provider, tr, sent[first], want, r, lines)
		}
		if want, got := tr.ending(i), r.ending; got != want || got == refused && r.status != tr.status {
			t.Errorf("%s %s: want %s %d, got %s", s.provider, tr, want, tr.status, r)
		}
		if again := b.onPrem[attempt{r.invocation, 2}]; elsewhere != (again == 1) || elsewhere && (r.pool != "onprem" || r.reason != "replaced") {
			t.Errorf("%s %s: ran %d times on-prem: %s", s.provider, tr, again, r)
		}
	}
}

// ending is what the client of the trial's i-th call must be told.
func (tr trial) ending(i int) ending {
	switch {
	case tr.class == lost:
		return unknown
	case tr.class == none && i%2 != 0:
		return refused
	}
	return succeeded
}
