package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/requested"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/report"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

const (
	defaultTraceDays = 7
	maxTraceDays     = 90
	// quotaSimulationWithin bounds both replays; the server goes on serving meanwhile.
	quotaSimulationWithin = 2 * time.Minute
	quotaSeed             = 1
	pulseEvery            = 200 * time.Millisecond
)

// quotaPulse is one line of the answer to a simulation: how far it is, and last what
// came of it.
type quotaPulse struct {
	Share   float64           `json:"share,omitempty"`
	Doing   string            `json:"doing,omitempty"`
	Request *quotaRequestView `json:"request,omitempty"`
	Error   string            `json:"error,omitempty"`
	Status  int               `json:"status,omitempty"` // with Error, as if it was the status of the answer
}

// quotaTrial is one simulation of a request.
type quotaTrial struct {
	app        *app
	request    *v1alpha1.QuotaRequest
	platforms  [2]*config.Loaded // present, asked
	namespaces []string
	days       int
	file       string // the calls
	brought    bool   // by whoever asks, and not from the ledger
	from, to   time.Time
	said       func(quotaPulse)
	last       time.Time
}

// simulateQuota answers with lines of quotaPulse as JSON.
func (a *app) simulateQuota(w http.ResponseWriter, r *http.Request) {
	who, err := a.who.Authenticate(r, nil, time.Now())
	var t *quotaTrial
	if err == nil {
		t, err = a.quotaTrial(w, r, who.Name)
	}
	if t != nil {
		defer func() { _ = os.Remove(t.file) }() // what stays is removed at the next start
	}
	if err == nil && !a.simulating.TryLock() { // it has its calls by now, so nothing slow is left
		err = errBusy
	}
	if errors.Is(err, errBusy) {
		answerJSON(w, http.StatusConflict, map[string]any{"error": map[string]string{"message": err.Error()}})
		return
	}
	if err != nil {
		a.sayQuotaProblem(w, err)
		return
	}
	defer a.simulating.Unlock()
	ctx, cancel := context.WithTimeout(r.Context(), quotaSimulationWithin)
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	t.said = func(p quotaPulse) {
		if text, err := json.Marshal(p); err == nil {
			_, _ = w.Write(append(text, '\n')) // the end of the connection ends ctx
			_ = out.Flush()
		}
	}
	request, err := t.run(ctx, who.Name)
	if err != nil {
		a.log.Warn("quota request not simulated", "request", t.request.Metadata.Name, "error", err)
		t.said(quotaPulse{Error: quotaMessage(t.timely(ctx, err)), Status: cmp.Or(quotaStatus(err), http.StatusInternalServerError)})
		return
	}
	a.log.Info("quota request simulated", "request", request.Metadata.Name, "summary", request.Status.Simulation.Summary)
	t.said(quotaPulse{Request: request})
}

// timely says what to do about a simulation that takes too long.
func (t *quotaTrial) timely(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the simulation was ended after %s; use fewer days, or bring a shorter trace", quotaSimulationWithin)
	}
	return err
}

var errBusy = errors.New("other quota requests are being simulated; try again")

// quotaTrial reads what is to be simulated, and keeps a trace that the request brings.
func (a *app) quotaTrial(w http.ResponseWriter, r *http.Request, by string) (t *quotaTrial, err error) {
	t = &quotaTrial{app: a, days: defaultTraceDays}
	if days := r.URL.Query().Get("days"); days != "" {
		if t.days, err = strconv.Atoi(days); err != nil || t.days < 1 || t.days > maxTraceDays {
			return t, requested.Problem(fmt.Sprintf("days: %.40q is not a number of days; allowed: 1 to %d", days, maxTraceDays))
		}
	}
	if err := t.load(r.PathValue("name"), by); err != nil {
		return t, err
	}
	file, err := a.requested.NewTrace()
	if err != nil {
		return t, err
	}
	t.file = file.Name()
	if r.ContentLength != 0 {
		err = t.receive(w, r, file)
	}
	return t, errors.Join(err, file.Close())
}

// load reads the request, and the configuration without and with it.
func (t *quotaTrial) load(name, by string) (err error) {
	a := t.app
	a.live.mu.Lock()
	defer a.live.mu.Unlock()
	if t.request, err = a.requested.Read(name); err != nil {
		return err
	}
	if err := requested.MaySimulate(a.live.loaded, t.request, by); err != nil {
		return err
	}
	all, err := a.requested.All()
	if err != nil {
		return err
	}
	overlays := requested.Overlays(all)
	if t.platforms[0], err = a.loadAside(overlays); err != nil {
		return err
	}
	asked := requested.Overlay(t.request, t.platforms[0].QuotaBase(t.request.Spec.Quota))
	if t.platforms[1], err = a.loadAside(append(overlays, asked)); err != nil {
		return err
	}
	if faults := t.platforms[1].Misfits[name]; faults != nil {
		return fmt.Errorf("the configuration would not be good with these limits:\n%w", faults)
	}
	if t.namespaces = below(t.platforms[0].Platform, t.request.Spec.Quota); len(t.namespaces) == 0 {
		return requested.Problem(fmt.Sprintf("no namespace belongs to Quota %s, so there is nothing to simulate; give it namespaces", t.request.Spec.Quota))
	}
	return nil
}

// run replays the calls on both configurations and keeps what it finds.
func (t *quotaTrial) run(ctx context.Context, by string) (*quotaRequestView, error) {
	t.pulse(0, "reading the calls")
	if !t.brought {
		if err := t.export(ctx); err != nil {
			return nil, err
		}
	}
	calls, err := trace.Open(ctx, t.file, trace.Options{Seed: quotaSeed, MaxFunctions: maxTrialFunctions})
	if err != nil {
		return nil, t.readProblem(err)
	}
	defer func() { _ = calls.Close() }() // it was only read
	var results [2]*simulator.Result
	for i, doing := range [2]string{"with the limits as they are", "with the limits asked for"} {
		if results[i], err = t.replay(ctx, calls, t.platforms[i], func(share float64) { t.pulse((float64(i)+share)/2, doing) }); err != nil {
			return nil, err
		}
	}
	found, text, err := t.found(calls, results)
	if err != nil {
		return nil, err
	}
	t.app.live.mu.Lock()
	defer t.app.live.mu.Unlock()
	kept, err := t.app.requested.Simulated(t.app.live.loaded, t.request.Metadata.Name, requested.Step{At: found.At, By: by}, found, text)
	if err != nil {
		return nil, err
	}
	view := viewOf(kept, t.app.live.loaded)
	return &view, nil
}

// readProblem is what is wrong with the calls, without the name of our own copy.
func (t *quotaTrial) readProblem(err error) error {
	var fault *trace.Error
	if !t.brought || !errors.As(err, &fault) {
		return fmt.Errorf("read the calls: %w", err)
	}
	return requested.Problem("the trace cannot be used: " + strings.ReplaceAll(err.Error(), t.file, "(trace)"))
}

func (t *quotaTrial) pulse(share float64, doing string) {
	if now := time.Now(); share == 0 || now.Sub(t.last) >= pulseEvery {
		t.last = now
		t.said(quotaPulse{Share: share, Doing: doing})
	}
}

// export writes the team's calls of the last days from the ledger.
func (t *quotaTrial) export(ctx context.Context) error {
	t.to = time.Now().UTC()
	t.from = t.to.AddDate(0, 0, -t.days)
	out, err := os.OpenFile(t.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	var calls atomic.Int64
	room, err := t.room()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	err = exportUsage(ctx, &roomWriter{out, room}, t.app.ledger, sqlite.Filter{From: t.from, To: t.to, Namespaces: t.namespaces}, &calls)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	if calls.Load() == 0 {
		return requested.Problem(fmt.Sprintf("the ledger has no calls of %s in the last %d days; use more --days, or bring a --trace FILE", counted(len(t.namespaces), "namespace"), t.days))
	}
	return nil
}

// length is the time that the calls are of. A ledger that is younger than the days
// asked for counts from the first call.
func (t *quotaTrial) length(ctx context.Context, calls *trace.Trace) (time.Duration, error) {
	if t.brought {
		return calls.Length(), nil
	}
	for _, err := range t.app.ledger.Lines(ctx, sqlite.Filter{From: t.from, To: t.from.Add(24 * time.Hour)}) {
		return t.to.Sub(t.from), err
	}
	return t.to.Sub(calls.Start()), nil
}

// replay runs the team's calls; those of others in a trace are left out.
func (t *quotaTrial) replay(ctx context.Context, calls *trace.Trace, l *config.Loaded, done func(share float64)) (*simulator.Result, error) {
	if err := calls.Rewind(); err != nil {
		return nil, t.readProblem(err)
	}
	sc, err := scenario.Of(calls, l, scenario.Options{Seed: quotaSeed})
	if err != nil {
		return nil, err
	}
	ours := 0
	for i, f := range sc.Functions {
		if f >= 0 && !slices.Contains(t.namespaces, l.Platform.Functions[f].FunctionKey.Namespace) {
			sc.Functions[i] = -1
		} else if f >= 0 {
			ours++
		}
	}
	if ours == 0 {
		return nil, requested.Problem(fmt.Sprintf("no function of the trace is one of Quota %s: its columns of namespace and function must be as 'spillway list' shows them", t.request.Spec.Quota))
	}
	sc.Progress = func(at time.Duration, _ int64) {
		if length := calls.Length(); length > 0 {
			done(min(float64(at)/float64(length), 1))
		}
	}
	return simulator.Run(ctx, sc.Config)
}

// found sums up both replays, and writes the report of them.
func (t *quotaTrial) found(calls *trace.Trace, results [2]*simulator.Result) (*v1alpha1.QuotaSimulation, []byte, error) {
	length, err := t.length(context.Background(), calls)
	if err != nil {
		return nil, nil, err
	}
	f := &v1alpha1.QuotaSimulation{
		At: time.Now().UTC(), Base: t.platforms[0].QuotaNow(t.request.Spec.Quota), Length: v1alpha1.Duration(length), Calls: results[0].Calls, Skipped: results[0].Skipped,
		Currency: results[0].Platform.Currency, Present: outcomeOfRun(results[0]), Asked: outcomeOfRun(results[1]),
		Trace: fmt.Sprintf("ledger, %s to %s", calls.Start().Format(time.RFC3339), t.to.Format(time.RFC3339)),
	}
	if t.brought {
		f.Trace = fmt.Sprintf("a %s trace of %s from %s", calls.Format(), calls.Length().Round(time.Second), calls.Start().Format(time.RFC3339))
	}
	if f.Summary, err = quotaSummary(f); err != nil {
		return nil, nil, err
	}
	text, err := quotaReport(f, calls, results)
	return f, text, err
}

func outcomeOfRun(r *simulator.Result) v1alpha1.QuotaOutcome {
	o := v1alpha1.QuotaOutcome{Placed: r.Placed, Refused: r.Refused, WaitP95: v1alpha1.Duration(r.Waits.Quantile(0.95)), BurstCost: v1alpha1.Decimal(r.CloudCost.Text('f'))}
	for i, p := range r.Platform.Pools {
		if p.Kind.Cloud() {
			o.Overflow += r.Pools[i].Executed
		}
	}
	for reason, n := range r.Reasons {
		if what := spillway.Reason(reason); n > 0 && what.Refusal() {
			if o.Reasons == nil {
				o.Reasons = map[string]int64{}
			}
			o.Reasons[what.String()] = n
		}
	}
	return o
}

// quotaReport is both runs in full, as JSON.
func quotaReport(f *v1alpha1.QuotaSimulation, calls *trace.Trace, results [2]*simulator.Result) ([]byte, error) {
	var runs [2]json.RawMessage
	for i, r := range results {
		var text bytes.Buffer
		v := &report.View{Result: r, Functions: true, Meta: report.Meta{Version: thisBuild().Version, Trace: f.Trace, Skipped: calls.Skipped(), Seed: quotaSeed}}
		if err := report.JSON(&text, v); err != nil {
			return nil, fmt.Errorf("write the report of the simulation: %w", err)
		}
		runs[i] = text.Bytes()
	}
	return json.Marshal(struct {
		Summary string          `json:"summary"`
		Present json.RawMessage `json:"present"`
		Asked   json.RawMessage `json:"asked"`
	}{f.Summary, runs[0], runs[1]})
}
