package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Prices of a rented node an hour, in dollars: 6.2 cores and 25 GiB at the default
// rates of OpenCost (core 0.031611 and 0.006655 as spot, GiB 0.004237 and 0.000892).
const (
	rented     = 6.2*0.031611 + 25*0.004237
	rentedSpot = 6.2*0.006655 + 25*0.000892
)

const (
	week        = 7 * 24 * time.Hour
	hoursInWeek = 168
	revoked     = 0.05 // of hours, in which half of the spot nodes go
	missingFor  = 10 * time.Minute
)

// later leaves out the calls of the first week.
type later struct{ *trace.Trace }

func (s later) Next(into []trace.Call) (int, error) {
	for {
		n, err := s.Trace.Next(into)
		kept := into[:0]
		for _, c := range into[:n] {
			if c.At >= week {
				kept = append(kept, c)
			}
		}
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}

func spot(l *lab) error {
	t, err := trace.New(trace.Workload{Preset: trace.Nearline, Seed: 1, Spread: trace.SpreadRandom, Days: 14, CallsPerDay: 300_000})
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }() // it was only read
	need, err := l.hourlyNeed(t)
	if err != nil {
		return err
	}
	l.say(`The claim (a guide to building FaaS): bidding for spot instances, with an LSTM that forecasts demand, saves 60 to 70 %% of compute cost.

Method: two weeks of the near-line workload, data work that may run twice (seed 1, about 300,000 calls a day of some seconds). The second is judged, the first is what a forecast may know. Rented nodes of 6.2 cores and 25 GiB come and go at full hours; what does not fit overflows to Lambda at list price. A rented node costs $%.4f an hour on demand and $%.4f as spot, the default rates of OpenCost. Spot nodes are revoked: in %.0f %% of the hours half of them go at a random minute and are back after %s; calls that ran there run again elsewhere (seed 1). An hour's need is the largest mean of five minutes in it.

The forecast is the need of the same hour a week before. In place of an LSTM there is an oracle, which knows each hour's need.
`, rented, rentedSpot, 100*revoked, missingFor)
	l.head("nodes", "on demand $", "with spot $", "of it Lambda, spot $", "calls in Lambda with spot, %", "runs cut short", "saved by spot alone, %", "saved against the first line, %")
	peak := int64(1)
	for _, n := range need[:hoursInWeek] {
		peak = max(peak, n)
	}
	reference := 0.0
	var lines []spotLine
	for _, v := range []struct {
		name  string
		nodes func(hour int) int64
	}{
		{"the first week's peak, always", func(int) int64 { return peak }},
		{"what the hour before needed", func(h int) int64 { return need[h-1] }},
		{"forecast", func(h int) int64 { return need[h-hoursInWeek] }},
		{"oracle", func(h int) int64 { return need[h] }},
	} {
		line, err := l.spotRun(t, v.name, v.nodes)
		if err != nil {
			return err
		}
		if reference == 0 {
			reference = line.demand
		}
		lines = append(lines, line)
		l.row(v.name, fmt.Sprintf("%.2f", line.demand), fmt.Sprintf("%.2f", line.spot), fmt.Sprintf("%.2f", line.lambda), fmt.Sprintf("%.2f", line.share), line.cut,
			fmt.Sprintf("%.1f", 100*(1-line.spot/line.demand)), fmt.Sprintf("%.1f on demand, %.1f spot", 100*(1-line.demand/reference), 100*(1-line.spot/reference)))
	}
	all, err := l.simulate(t, setup{mode: "CloudOnly", source: later{t}})
	if err != nil {
		return err
	}
	l.say(`
The same week all in Lambda: $%.2f.

## What holds

- 60 to 70 %% is what spot saves on nodes that follow the load: %.0f %% with the last hour as the forecast, %.0f %% with last week's. It is a discount of %.0f %% on the nodes, less the overflow that revocations and misses leave to Lambda. Spot is the claim, not the forecast.
- The forecast adds nothing here: renting what the hour before needed is as good as the same hour of last week, because near-line work comes in batches that keep no calendar. The oracle is %.0f %% below the former on demand and %.0f %% on spot: no LSTM that forecasts the need for this rule can add more.
- Against nodes for the peak, always on, all of these save more than the claim says (85 %% and up), and so does Lambda alone: a peak that lasts minutes is the dearest thing to own or rent.
- Revocation costs little because work that is cut short runs again and the overflow has somewhere to go. Both need functions that may run twice; for others spot is no choice.
- Not counted: that spot is scarce when many want it (revocations here do not depend on the load), time to boot, and warm instances that go with a node. A load with a strong daily season would let a forecast do better against the hour before.
`, amount(&all.CloudCost), 100*(1-lines[1].spot/lines[1].demand), 100*(1-lines[2].spot/lines[2].demand), 100*(1-rentedSpot/rented),
		100*(1-lines[3].demand/lines[1].demand), 100*(1-lines[3].spot/lines[1].spot))
	return nil
}

// hourlyNeed is how many nodes each hour of the trace needs.
func (l *lab) hourlyNeed(t *trace.Trace) ([]int64, error) {
	const steps = 12
	r, err := l.simulate(t, setup{boundless: true, mode: "OnPremOnly", step: time.Hour / steps})
	if err != nil {
		return nil, err
	}
	need := make([]int64, 2*hoursInWeek)
	for i := range r.Series {
		u := r.Series[i].Use[spillway.ClassOnPrem]
		micros := float64(r.Step.Microseconds())
		if h := i / steps; h < len(need) {
			need[h] = max(need[h], nodesFor(float64(u.MilliCPU)/micros, float64(u.MiB)/micros))
		}
	}
	return need, nil
}

type spotLine struct {
	demand, spot, lambda float64 // dollars for the week
	share                float64
	cut                  int64
}

func (l *lab) spotRun(t *trace.Trace, name string, nodes func(hour int) int64) (line spotLine, err error) {
	for _, withSpot := range []bool{false, true} {
		steps, hours := capacities(nodes, withSpot)
		r, err := l.simulate(t, setup{nodes: nodes(hoursInWeek), source: later{t}, model: func(m *simulator.PoolModel) { m.Capacity = steps }})
		if err != nil {
			return line, fmt.Errorf("%s: %w", name, err)
		}
		cloud := amount(&r.CloudCost)
		if !withSpot {
			line.demand = hours*rented + cloud
			continue
		}
		own, _ := onPrem(r)
		line.spot, line.lambda, line.cut = hours*rentedSpot+cloud, cloud, own.Reclaimed
		line.share = 100 * float64(pool(r, "lambda").Executed) / float64(r.Placed)
	}
	return line, nil
}

// capacities are those of the second week, and how many hours of nodes they are.
func capacities(nodes func(hour int) int64, withSpot bool) (steps []simulator.CapacityStep, hours float64) {
	random := rand.New(rand.NewPCG(1, 0x5907))
	at := func(when time.Duration, n int64) {
		steps = append(steps, simulator.CapacityStep{At: when, Capacity: spillway.Resources{Slots: n * 10_000, MilliCPU: n * nodeMilliCPU, MiB: n * nodeMiB}})
	}
	for h := hoursInWeek; h < 2*hoursInWeek; h++ {
		n, begin := nodes(h), time.Duration(h)*time.Hour
		at(begin, n)
		hours += float64(n)
		goes, when := random.Float64() < revoked, time.Duration(random.Int64N(int64(time.Hour-missingFor)))
		if gone := (n + 1) / 2; withSpot && goes {
			at(begin+when, n-gone)
			at(begin+when+missingFor, n)
			hours -= float64(gone) * missingFor.Hours()
		}
	}
	return steps, hours
}
