package main

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/planning"
	"github.com/spillway-dev/spillway/simulator/report"
	"github.com/spillway-dev/spillway/simulator/scenario"
)

type planFlags struct {
	traceFlags
	config                   string
	nodeFiles, nodeTypeTexts []string
	cloud, terms             string
	step                     time.Duration
	split, teams, maxRefused string
	utilisation              string
	maxWait                  time.Duration
	unverified               bool

	aim       planner.Aim
	usable    int64 // thousandths
	teamCount int   // −1: all, 0: none
	teamName  string
}

const planLong = `Say what to own and what to burst, for the demand of a trace: how many nodes of
which type, what the bursts will cost, and how that compares with owning nothing,
with owning the peak, and with the lower bound that no plan can beat because it
knows the future. Every count of nodes is tried, with every prepaid package. The
answer is then replayed on the Engine that serves live calls, and teams are given
the smallest quota that keeps their refusals and waits.

A node is the built-in example-node or, with --config, the first on-prem pool as a
whole; --node-type or a --node file says what yours are. Prices of bursts are those
of the first cloud pool that the trace's functions may use, or of --cloud.

A --node file is one of these or a list of them; cost, in place of hourly, takes
what a PriceBook takes below owned.node (purchase, lifeMonths, powerKW, ...):
  name: big        # also: min, max, owned, avoidable (per hour, of owned ones)
  cpu: "62"
  memory: 250Gi
  hourly: "0.45"
A --cloud-terms file has what the flat price leaves out:
  freeCalls: 1000000                                  # a month
  tiers: [{fromGiBSeconds: 0, perGiBSecond: "0.0000166667"}]
  packages: [{name: s, fee: "100", calls: 5000000, giBSeconds: 1000000, most: 1}]
  stack: false                                        # packages at once
  penaltyPerCall: "0"                                 # service, beside money

Bursts over steps of --step are counted; shorter peaks are only seen by the replay.
Exit codes: 0 planned, 1 failed, 2 wrong input.`

func newPlan(s streams) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan --trace PATH",
		Short: "Say how many nodes to own, what bursts will cost and what quotas teams need",
		Long:  planLong,
		Example: `  spillway plan --trace usage.csv.zst --config examples/platform
  spillway plan --trace azure2019/ --node-type cpu=62,memory=250Gi,hourly=0.45
  spillway plan --trace week.csv.zst --teams shop --max-wait-p95 20ms
  spillway plan --trace week.csv.zst -o html > plan.html`,
		Args: cobra.NoArgs,
	}
	f.add(cmd.Flags())
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "configuration `directory`; the default platform if not given")
	flags.StringArrayVar(&f.nodeFiles, "node", nil, "`file` of node types; may be repeated")
	flags.StringArrayVar(&f.nodeTypeTexts, "node-type", nil, "a `type` of node, such as cpu=62,memory=250Gi,hourly=0.45; may be repeated")
	flags.StringVar(&f.cloud, "cloud", "", "cloud pool or price plan by `name` that bursts are planned with")
	flags.StringVar(&f.terms, "cloud-terms", "", "`file` of tiers, free calls and packages of the cloud account")
	flags.DurationVar(&f.step, "step", time.Minute, "`length` of the steps of demand: no longer than calls may wait is exact, minutes are usual")
	flags.StringVar(&f.split, "split", "auto", "fit on one half and judge on the other: `half`, none, or auto: half from two days on")
	flags.StringVar(&f.teams, "teams", "5", "whose quotas to find: the largest `N`, all, none, or the name of one")
	flags.StringVar(&f.maxRefused, "max-refused", "0.1%", "`share` of a team's calls that its quota may refuse")
	flags.DurationVar(&f.maxWait, "max-wait-p95", 100*time.Millisecond, "95th percentile of waits that a quota may cause, as a `duration`")
	flags.BoolVar(&f.unverified, "no-simulation", false, "plan only: do not replay the answer")
	flags.StringVar(&f.utilisation, "utilisation", "100%", "`share` of a node that calls can fill; less makes room for packing and short peaks")
	flags.MarkHidden("nodes") //nolint:errcheck // it is there
	output := formatFlag(cmd, "table", "json", "html")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.parse(output.value); err != nil {
			return err
		}
		return f.run(cmd.Context(), s, output)
	}
	return cmd
}

// parse checks what does not need the trace.
func (f *planFlags) parse(form string) error {
	refused, err := shareOf("--max-refused", f.maxRefused)
	if err != nil {
		return err
	}
	usable, err := shareOf("--utilisation", f.utilisation)
	if err != nil {
		return err
	}
	if f.usable = int64(math.Round(usable * 1000)); f.usable < 1 {
		return wrongInput("--utilisation: %q; allowed: 0.1%% to 100%%", f.utilisation)
	}
	if f.nodes != 0 {
		return wrongInput("--nodes is what a plan finds out; bound it with min= and max= in --node-type")
	}
	f.nodes = 1 // what is planned takes its place
	if f.config != "" {
		f.nodes = 0
	}
	if f.maxWait < 0 {
		return wrongInput("--max-wait-p95: %s is negative; allowed: 0 or longer", f.maxWait)
	}
	if f.step < time.Millisecond || f.step > 24*time.Hour || f.step%time.Millisecond != 0 {
		return wrongInput("--step: %s; allowed: whole milliseconds up to 24h", f.step)
	}
	if f.split != "auto" && f.split != "half" && f.split != "none" {
		return wrongInput("--split: %q; allowed: auto, half, none", f.split)
	}
	if form == "html" && f.unverified {
		return wrongInput("-o html shows the replay of the plan; leave --no-simulation out")
	}
	f.aim = planner.Aim{RefusedShare: refused, P95WaitMicros: f.maxWait.Microseconds()}
	return f.parseTeams()
}

// shareOf reads 0.1% or 0.001.
func shareOf(flag, text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	x, err := strconv.ParseFloat(number, 64)
	if percent {
		x /= 100
	}
	if err != nil || !(x >= 0 && x <= 1) {
		return 0, wrongInput("%s: %q is no share; allowed: 0%% to 100%%, such as 0.1%%", flag, text)
	}
	return x, nil
}

func (f *planFlags) parseTeams() error {
	n, err := strconv.Atoi(f.teams)
	switch {
	case err == nil && n >= 0:
		f.teamCount = n
	case f.teams == "all":
		f.teamCount = -1
	case f.teams == "none":
		f.teamCount = 0
	case f.teams == "" || err == nil:
		return wrongInput("--teams: %q; allowed: a number, all, none, or the name of a namespace", f.teams)
	default:
		f.teamCount, f.teamName = 1, f.teams
	}
	return nil
}

func (f *planFlags) run(ctx context.Context, s streams, output *format) error {
	t, err := f.open(ctx, f.config != "")
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // it was only read
	sc, err := f.scenario(t, f.config)
	if err != nil {
		return err
	}
	p, err := f.plan(ctx, s, t, sc)
	if err != nil {
		return planError(err)
	}
	doc, err := p.Document()
	if err != nil {
		return err
	}
	if output.value == "html" {
		v := &report.View{Result: p.Result, Meta: f.meta(t, sc, f.config), Optimum: p.Optimum(), Preface: doc.Preface()}
		v.Meta.Platform = doc.Sentence()
		return report.HTML(s.out, v)
	}
	return output.print(s.out, doc, func(w io.Writer) error { return planning.Table(w, doc) })
}

// planError makes faults of what was asked wrong input.
func planError(err error) error {
	var input *planner.InputError
	var large *planner.TooLargeError
	if errors.As(err, &input) || errors.As(err, &large) || errors.Is(err, planning.ErrNoDemand) || errors.Is(err, planning.ErrNoPrice) {
		return wrongInput("%w", err)
	}
	return traceError(err)
}

func (f *planFlags) plan(ctx context.Context, s streams, t *opened, sc *scenario.Scenario) (*planning.Findings, error) {
	c := &planning.Case{Run: sc.Config, Trace: t.Trace, Calls: t.summary.Calls}
	q, err := f.question(c, t)
	if err != nil {
		return nil, err
	}
	said := &planSteps{w: s.err}
	defer said.end()
	c.Progress = said.at
	p := &planning.Findings{Case: c, Nodes: q.Nodes, Version: thisBuild().Version, Path: f.trace, Summary: t.summary, Seed: f.seed, Terms: f.terms,
		Whole: f.config != "" && len(f.nodeFiles)+len(f.nodeTypeTexts) == 0}
	if p.Demand, err = planning.MeasureDemand(ctx, c, f.step); err != nil {
		return nil, err
	}
	teams, err := f.chosen(p.Demand, c)
	if err != nil {
		return nil, err
	}
	said.at(0, "planning")
	if p.Answer, err = planning.Solve(ctx, p.Demand, *q); err != nil {
		return nil, err
	}
	if !f.unverified {
		owned, err := p.Owned()
		if err != nil {
			return nil, err
		}
		if p.Result, err = c.Verify(ctx, owned, p.Demand.Length()); err != nil {
			return nil, err
		}
	}
	if f.teamCount == 0 {
		return p, nil
	}
	p.Aim = &f.aim
	p.Quotas, err = c.Quotas(ctx, p.Demand, teams, f.aim)
	return p, err
}

// question is what is asked, with the prices that hold.
func (f *planFlags) question(c *planning.Case, t *opened) (*planning.Question, error) {
	q := &planning.Question{Seed: f.seed, Usable: f.usable, Split: f.split == "half" || f.split == "auto" && t.Length() >= 48*time.Hour}
	if !slices.ContainsFunc(c.Run.Functions, func(i int) bool { return i >= 0 }) {
		return nil, wrongInput("the configuration has none of the trace's %s; name a Quota to take them in with --adopt", counted(len(c.Run.Functions), "function"))
	}
	var err error
	if c.Cloud, err = f.cloudFor(c, t.prices); err != nil {
		return nil, err
	}
	if q.Burst, err = f.burst(c.Cloud.Rate); err != nil {
		return nil, err
	}
	q.Nodes, err = f.nodeTypes(c.Run.Platform)
	return q, err
}

// chosen are the teams whose quotas are asked for.
func (f *planFlags) chosen(d *planning.Demand, c *planning.Case) ([]planning.TeamDemand, error) {
	if f.teamName == "" {
		return d.TeamsLargest(f.teamCount), nil
	}
	return d.TeamsNamed(c.Run.Platform, f.teamName)
}

// planSteps shows progress of one piece of work after the other.
type planSteps struct {
	w     io.Writer
	doing string
	now   *progress
}

func (s *planSteps) at(share float64, doing string) {
	if s.now == nil || s.doing != doing {
		s.end()
		s.doing, s.now = doing, newProgress(s.w, doing)
	}
	s.now.at(share, "")
}

func (s *planSteps) end() {
	if s.now != nil {
		s.now.end()
	}
}
