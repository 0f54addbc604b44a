package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spillway-dev/spillway/simulator/trace"
)

// keeping is one policy and what it did.
type keeping struct {
	name   string
	window time.Duration
	yaml   string
	calls  int64
	cold   int64   // calls that met a start
	starts int64   // of instances, ahead of calls too
	wasted float64 // GiB·h of instances that ran nothing
}

var fixedWindows = []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, time.Hour, 4 * time.Hour}

var otherPolicies = []keeping{
	{name: "hybrid", window: 10 * time.Minute, yaml: "{kind: hybrid}"},
	{name: "forecast, worth 10 min", window: 10 * time.Minute, yaml: "{kind: forecast, worth: 10m}"},
	{name: "forecast, worth 30 min", window: 10 * time.Minute, yaml: "{kind: forecast, worth: 30m}"},
	{name: "forecast, worth 60 min", window: 10 * time.Minute, yaml: "{kind: forecast, worth: 60m}"},
	{name: "forecast, worth 2 h", window: 10 * time.Minute, yaml: "{kind: forecast, worth: 2h}"},
	{name: "provisioned 10 %, then 2 min", window: 2 * time.Minute, yaml: "{kind: provisioned, share: 10}"},
	{name: "provisioned 50 %, then 2 min", window: 2 * time.Minute, yaml: "{kind: provisioned, share: 50}"},
	{name: "windows, then 2 min", window: 2 * time.Minute, yaml: "{kind: windows}"},
	{name: "windows, then 10 min", window: 10 * time.Minute, yaml: "{kind: windows}"},
	{name: "windows at 100 %, then 10 min", window: 10 * time.Minute, yaml: "{kind: windows, target: 100}"},
}

func keepAlive(l *lab) error {
	l.say(`The claim (an introduction to FaaS): after a call an instance is kept for one to two minutes, then reclaimed.

Method: every call runs on-prem with as much room as anybody wants, so that only the policy decides. Cold starts are calls that met one; wasted memory is what instances held that ran nothing, while starting too. The last columns compare with the fixed window of ten minutes, and with a fixed window that wastes as much (by linear interpolation between those here): a negative number there means that the policy lies below the curve of all fixed windows.
`)
	t, err := trace.New(trace.Workload{Preset: trace.Mixed, Seed: 1, Spread: trace.SpreadRandom, Days: 4, Functions: 600, CallsPerDay: 1_000_000})
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // it was only read
	l.say("\n## Synthetic: four days of the mixed workload, 600 functions, seed 1\n")
	if err := l.policies(t); err != nil {
		return err
	}
	if err := l.azure(); err != nil {
		return err
	}
	l.say("%s", keepAliveFindings)
	return nil
}

// azure judges the policies on a public trace, if it is there.
func (l *lab) azure() error {
	if l.traces == "" {
		return nil
	}
	t, err := trace.Open(l.ctx, filepath.Join(l.traces, "azure2019_1250"), trace.Options{Seed: 1})
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--trace-dir has no folder azure2019_1250: %w", err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // it was only read
	l.say("\n## Azure Functions 2019: 1,250 functions, one day, 18,279,781 calls\n\nShahrad et al., \"Serverless in the Wild\", USENIX ATC 2020 (Microsoft AzurePublicDataset, CC-BY 4.0); the sample of functions is that of Ustiugov et al., SESAME 2023 (vhive-serverless/invitro, MIT). Calls are spread evenly in their minute, durations drawn from the percentiles (seed 1).\n")
	return l.policies(t)
}

func (l *lab) policies(t *trace.Trace) error {
	var fixed []keeping
	for _, w := range fixedWindows {
		k := keeping{name: "fixed " + short(w), window: w}
		if err := l.keep(t, &k); err != nil {
			return err
		}
		fixed = append(fixed, k)
	}
	ten := fixed[3]
	l.head("policy", "cold starts", "of calls, %", "instances started", "wasted GiB·h", "cold starts against 10 min, %", "waste against 10 min, %", "cold starts against a fixed window of equal waste, %")
	for _, k := range fixed {
		l.keepRow(&k, &ten, "–")
	}
	for _, k := range otherPolicies {
		if err := l.keep(t, &k); err != nil {
			return err
		}
		equal := "–"
		if at, ok := interpolate(fixed, k.wasted); ok {
			equal = fmt.Sprintf("%+.0f", 100*(float64(k.cold)/at-1))
		}
		l.keepRow(&k, &ten, equal)
	}
	return nil
}

func (l *lab) keep(t *trace.Trace, k *keeping) error {
	r, err := l.simulate(t, setup{boundless: true, mode: "OnPremOnly", keepAlive: k.window, policy: k.yaml, cold: true})
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	own, _ := onPrem(r)
	k.calls, k.cold, k.starts, k.wasted = r.Placed, own.Cold, own.Starts, own.HeldGiBHours-own.BusyGiBHours
	return nil
}

func (l *lab) keepRow(k, ten *keeping, equal string) {
	l.row(k.name, k.cold, fmt.Sprintf("%.3f", 100*float64(k.cold)/float64(k.calls)), k.starts, fmt.Sprintf("%.0f", k.wasted),
		fmt.Sprintf("%+.0f", 100*(float64(k.cold)/float64(ten.cold)-1)), fmt.Sprintf("%+.0f", 100*(k.wasted/ten.wasted-1)), equal)
}

// interpolate returns the cold starts of a fixed window that wastes so much.
func interpolate(fixed []keeping, wasted float64) (cold float64, ok bool) {
	for i := 1; i < len(fixed); i++ {
		a, b := &fixed[i-1], &fixed[i]
		if wasted >= a.wasted && wasted <= b.wasted {
			part := (wasted - a.wasted) / (b.wasted - a.wasted)
			return float64(a.cold) + part*float64(b.cold-a.cold), true
		}
	}
	return 0, false
}

func short(d time.Duration) string {
	if d >= time.Hour {
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d min", int(d.Minutes()))
}

const keepAliveFindings = `
## What holds

- One to two minutes is what providers choose for themselves: it wastes least and starts most. On Azure's day two minutes have 2.4 times the cold starts of ten (3.2 against 1.3 % of calls) for 41 % of the waste; on the synthetic days 3.8 times for 51 %. As a rule for a platform whose memory is owned anyway it does not hold.
- No fixed window is good: from ten minutes to four hours Azure's day gives up 38 % of cold starts and wastes 3.7 times as much.
- The forecast policy lies far below the curve of fixed windows: 56 % fewer cold starts than a fixed window of equal waste on Azure's day, 46 to 68 % on the synthetic ones. Against ten minutes it has less of both at once: −37 % cold starts and −26 % waste (worth 10 min), −52 % and −5 % (worth 30 min).
- Hybrid lies below the curve as well (−48 % on Azure's day), with fewer starts ahead, but wastes more than ten minutes do; on the synthetic days, with their even idle times, it is hardly better than a fixed window.
- Provisioned shares of a peak are worse than fixed windows of equal waste (+25 to +83 %) on a trace where most functions are called rarely, and better (−32 to −34 %) where all have a daily season.
- Windows of load scale by what runs, not by rhythm. At their default of 70 % they hold 43 % more than runs: where much runs for long, as on Azure's day, that is most of the waste, with 72 to 84 % more cold starts than a fixed window of equal waste. At 100 % they are as good as a fixed window there (−2 %), and better on the synthetic days (−19 %). They are for load that rises faster than instances start, which these traces, where a start takes some 160 ms, do not reward.
- The best published figures at once, −50 % of the 75th percentile of functions' cold-start rates and −56 % of wasted memory (SPES), are not reached: half of the cold starts, or a quarter of the waste, can be had here, and not both. They are measured against another policy and by another quantile, so this is no comparison of like with like.
- Starts ahead of calls are not free: the forecast policy starts about three times as many instances as ten minutes do. Their time is in the waste, their processor time is not.

The curve differs from others of the same trace: with first-in-first-out reuse, evenly spread mean durations and instances that start at once, ten minutes have 82,193 cold starts. Here the instance used last is used first, durations are drawn, so that more instances run at once, and a start takes some 160 ms, in which further calls start more.
`
