package scenario

import (
	"cmp"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
)

// maxSteps bounds how often the capacity of a pool changes: each is a reload.
const maxSteps = 100_000

// over is the model of a pool for a trace, as written over what it is by default.
func (m *Model) over(p *spillway.Pool, start time.Time, length time.Duration) simulator.PoolModel {
	m.checkKind(p)
	all := DefaultModel(p)
	all.Cold = m.cold(all.Cold)
	if m.Stop != nil {
		all.Stop = simulator.ColdStep{Name: "stop", P50: time.Duration(*m.Stop.P50), P99: time.Duration(*m.Stop.P99)}
	}
	if m.Added != nil {
		all.Added = time.Duration(*m.Added)
	}
	if m.IdleFor != nil {
		all.IdleFor = time.Duration(*m.IdleFor)
	}
	if m.InitBilled != nil {
		all.InitBilled = *m.InitBilled
	}
	if !p.Kind.Cloud() {
		all.Capacity = m.steps(p.Capacity, p.Kind == spillway.PoolOffline, start, length)
		return all
	}
	for _, a := range m.Away {
		all.Away = append(all.Away, simulator.Away{From: time.Duration(a.From), To: time.Duration(a.To), Throttle: a.Throttle})
	}
	return all
}

// cold is the steps that are written, with those of the default that are of a side of
// the initialisation of which none is.
func (m *Model) cold(otherwise []simulator.ColdStep) []simulator.ColdStep {
	if m.ColdStart == nil {
		return otherwise
	}
	var all []simulator.ColdStep
	for _, outside := range []bool{true, false} {
		written := len(m.ColdStart) == 0
		for _, s := range m.ColdStart {
			if s.Outside == outside {
				written = true
				all = append(all, simulator.ColdStep{Name: s.Name, P50: time.Duration(*s.P50), P99: time.Duration(*s.P99), Outside: outside})
			}
		}
		for _, s := range otherwise {
			if !written && s.Outside == outside {
				all = append(all, s)
			}
		}
	}
	return all
}

// part is something that changes what a pool has.
type part uint8

const (
	byCapacity part = iota
	byHour
	byOutage
	bySpot
)

// change is what one part is from a time on.
type change struct {
	at    time.Duration
	part  part
	value int64 // an index of Capacity, a Share, 1 for an outage, machines that come or go
}

// steps is what an owned pool has over the trace: all its changes together.
func (m *Model) steps(configured spillway.Resources, offline bool, start time.Time, length time.Duration) []simulator.CapacityStep {
	changes := m.changes(start, length)
	if len(changes) > maxSteps {
		m.fault("", fmt.Sprintf("the capacity would change %d times", len(changes)), fmt.Sprintf("up to %d times in a trace", maxSteps))
		return nil
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.at, b.at) })
	var all []simulator.CapacityStep
	now, has := configured, configured
	if offline {
		now, has = spillway.Resources{}, spillway.Resources{} // nothing is idle that nobody says is
	}
	share, up, machines, away := wholeShare, int64(1), int64(1), false
	if m.Spot != nil {
		up, machines = m.Spot.Machines, m.Spot.Machines
	}
	for i, c := range changes {
		switch c.part {
		case byCapacity:
			now = m.Capacity[c.value].of(configured)
		case byHour:
			share = Share(c.value)
		case byOutage:
			away = c.value == 1
		case bySpot:
			up += c.value
		}
		if i+1 < len(changes) && changes[i+1].at <= max(c.at, 0) {
			continue // more at the same time
		}
		next := spillway.Resources{}
		if !away {
			next = scaled(scaled(now, int64(share), int64(wholeShare)), up, machines)
		}
		if next != has {
			has = next
			all = append(all, simulator.CapacityStep{At: max(c.at, 0), Capacity: next})
		}
	}
	return all
}

// of is what the step leaves of what is configured.
func (c *CapacityStep) of(configured spillway.Resources) spillway.Resources {
	if c.CPU != nil {
		configured.MilliCPU = int64(*c.CPU)
	}
	if c.Memory != nil {
		configured.MiB = int64(*c.Memory) / mib
	}
	if c.Slots != nil {
		configured.Slots = *c.Slots
	}
	return configured
}

// scaled is part of whole of r, rounded down; what is not limited stays so unless
// nothing is left.
func scaled(r spillway.Resources, part, whole int64) spillway.Resources {
	scale := func(n int64) int64 {
		if n == spillway.Unlimited && part > 0 {
			return n
		}
		hi, lo := bits.Mul64(uint64(n), uint64(part))
		q, _ := bits.Div64(hi, lo, uint64(whole))
		return int64(q)
	}
	return spillway.Resources{Slots: scale(r.Slots), MilliCPU: scale(r.MilliCPU), MiB: scale(r.MiB)}
}

// changes are those of all parts; the hour that holds at the start may lie before it.
func (m *Model) changes(start time.Time, length time.Duration) []change {
	var all []change
	for i, c := range m.Capacity {
		if at := time.Duration(c.At); at < length {
			all = append(all, change{at, byCapacity, int64(i)})
		}
	}
	for _, a := range m.Away {
		if from := time.Duration(a.From); from < length {
			all = append(all, change{from, byOutage, 1}, change{time.Duration(a.To), byOutage, 0})
		}
	}
	all = append(all, m.hours(start, length)...)
	if m.Spot != nil {
		all = append(all, m.Spot.changes(length)...)
	}
	return all
}

// hours are the daily shares, from the one that holds at the start on.
func (m *Model) hours(start time.Time, length time.Duration) []change {
	zone, err := m.zone()
	if err != nil || len(m.Daily) == 0 {
		return nil // said before
	}
	var all []change
	first := start.In(zone)
	for day := -1; len(all) <= maxSteps; day++ {
		for _, d := range m.Daily {
			at := time.Date(first.Year(), first.Month(), first.Day()+day, int(d.Hour), 0, 0, 0, zone).Sub(start)
			if at >= length {
				return all
			}
			all = append(all, change{at, byHour, int64(*d.Share)})
		}
	}
	return all
}

// changes are when machines go and come back, each by a random source of its own.
func (s *Spot) changes(length time.Duration) []change {
	var all []change
	hours := 1 / s.perHour()
	for i := range s.Machines {
		random := rand.New(rand.NewPCG(uint64(s.Seed), uint64(i)))
		for at := time.Duration(0); len(all) <= maxSteps; {
			gap := min(random.ExpFloat64()*hours*float64(time.Hour), float64(length))
			if at += time.Duration(gap); at >= length {
				break
			}
			back := at + time.Duration(s.BackAfter)
			all = append(all, change{at, bySpot, -1}, change{back, bySpot, 1})
			at = back
		}
	}
	return all
}
