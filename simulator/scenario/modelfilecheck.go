package scenario

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Bounds of what is believed.
const (
	longestStep     = v1alpha1.Duration(24 * time.Hour)
	longestTrace    = v1alpha1.Duration(100 * 365 * 24 * time.Hour)
	maxSpotMachines = 10_000
	maxSpotPerHour  = 3600
)

// check notes what cannot be, whatever the kind of the pool.
func (m *Model) check() {
	for i, s := range m.ColdStart {
		at := fmt.Sprintf("coldStart[%d]", i)
		if s.Name == "" {
			m.fault(at+".name", "a step needs a name", "text such as init")
		}
		m.checkStep(at, s.P50, s.P99)
	}
	if m.Stop != nil {
		m.checkStep("stop", m.Stop.P50, m.Stop.P99)
	}
	m.within("added", m.Added, longestStep)
	m.within("idleFor", m.IdleFor, longestTrace)
	m.checkAway()
	m.checkCapacity()
	m.checkDaily()
	m.checkSpot()
}

func (m *Model) checkStep(at string, median, most *v1alpha1.Duration) {
	if median == nil || most == nil {
		m.fault(at, "does not say how long it takes", "p50 and p99")
		return
	}
	switch p50, p99 := *median, *most; {
	case p50 < 0 || p50 > longestStep:
		m.fault(at+".p50", "is "+p50.String(), "0s to 24h")
	case p99 < p50 || p99 > longestStep:
		m.fault(at+".p99", "is "+p99.String(), "p50 to 24h; as long as p50 if it is always the same")
	case p50 == 0 && p99 > 0:
		m.fault(at+".p50", "is 0s where p99 is not", "the median, more than 0s")
	}
}

func (m *Model) within(at string, d *v1alpha1.Duration, most v1alpha1.Duration) {
	if d != nil && (*d < 0 || *d > most) {
		m.fault(at, "is "+d.String(), "0s to "+most.String())
	}
}

func (m *Model) checkAway() {
	var until v1alpha1.Duration
	for i, a := range m.Away {
		at := fmt.Sprintf("away[%d]", i)
		switch {
		case a.From < until:
			m.fault(at+".from", "is "+a.From.String(), "0s or more, and not before the one before it ends")
		case a.To <= a.From || a.To > longestTrace:
			m.fault(at+".to", "is "+a.To.String(), "a time after from, within 100 years")
		}
		until = max(until, a.To)
	}
}

func (m *Model) checkCapacity() {
	last := v1alpha1.Duration(-1)
	for i, c := range m.Capacity {
		at := fmt.Sprintf("capacity[%d]", i)
		switch {
		case c.At <= last || c.At > longestTrace:
			m.fault(at+".at", "is "+c.At.String(), "0s or more, after the step before it, within 100 years")
		case c.CPU == nil && c.Memory == nil && c.Slots == nil:
			m.fault(at, "changes nothing", "one or more of cpu, memory, slots")
		case c.Slots != nil && *c.Slots < 0:
			m.fault(at+".slots", "is "+strconv.FormatInt(*c.Slots, 10), "0 or more")
		}
		last = max(last, c.At)
	}
}

func (m *Model) checkDaily() {
	last := int64(-1)
	for i, d := range m.Daily {
		if d.Hour <= last || d.Hour > 23 {
			m.fault(fmt.Sprintf("daily[%d].hour", i), "is "+strconv.FormatInt(d.Hour, 10), "0 to 23, after the hour before it")
		}
		if d.Share == nil {
			m.fault(fmt.Sprintf("daily[%d]", i), "has no share", "hour and share")
		}
		if d.Hour <= 23 {
			last = max(last, d.Hour)
		}
	}
	if m.TimeZone == "" {
		return
	}
	if _, err := m.zone(); err != nil {
		m.fault("timeZone", "unknown time zone", "an IANA name such as UTC or Asia/Shanghai")
	} else if len(m.Daily) == 0 {
		m.fault("timeZone", "there are no daily hours that it could be for", "daily, or no timeZone")
	}
}

func (m *Model) checkSpot() {
	s := m.Spot
	if s == nil {
		return
	}
	if s.Machines < 1 || s.Machines > maxSpotMachines {
		m.fault("spot.machines", "is "+strconv.FormatInt(s.Machines, 10), "1 to 10000")
	}
	if rate := s.perHour(); !(rate > 0 && rate <= maxSpotPerHour) {
		m.fault("spot.revokedPerHour", "is "+strconv.Quote(string(s.RevokedPerHour)), "more than 0 and at most 3600")
	}
	if s.BackAfter <= 0 || s.BackAfter > longestTrace {
		m.fault("spot.backAfter", "is "+s.BackAfter.String(), "more than 0s, within 100 years")
	}
	if s.Seed < 0 {
		m.fault("spot.seed", "is "+strconv.FormatInt(s.Seed, 10), "0 or more")
	}
}

func (s *Spot) perHour() float64 {
	rate, err := strconv.ParseFloat(string(s.RevokedPerHour), 64)
	if err != nil {
		return 0
	}
	return rate
}

// checkKind notes what means nothing for a pool of its kind.
func (m *Model) checkKind(p *spillway.Pool) {
	refuse := func(field string, written bool) {
		if written {
			m.fault(field, fmt.Sprintf("means nothing for pool %s, which is of kind %s", p.Name, p.Kind), "no such line")
		}
	}
	if p.Kind.Cloud() {
		refuse("stop", m.Stop != nil)
		refuse("capacity", m.Capacity != nil)
		refuse("daily", m.Daily != nil)
		refuse("spot", m.Spot != nil)
		return
	}
	refuse("idleFor", m.IdleFor != nil)
	refuse("initBilled", m.InitBilled != nil)
	for i, a := range m.Away {
		refuse(fmt.Sprintf("away[%d].throttle", i), a.Throttle)
	}
}
