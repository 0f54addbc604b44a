package trace

import (
	"math/rand/v2"
	"time"
)

// shape is what functions of one preset have in common.
type shape struct {
	preset    Preset
	functions int
	tenants   int
	calls     int64 // a day
	trigger   string
	medians   []time.Duration
	mib       []int64

	hours    [24]float64 // weight at the beginning of each hour, linear between
	week     [7]float64  // weight of each day, from Sunday
	timed    bool        // runs at fixed minutes, in place of the above
	monthEnd float64     // factor on a month's last day and the first after it; 0: as any

	burstShare  float64 // of a function's hours in which a burst begins
	burstFactor float64 // most
}

var shapesOf = [...]shape{
	{preset: Online, functions: 40, tenants: 4, calls: 2_000_000, trigger: "http",
		medians: []time.Duration{15 * time.Millisecond, 30 * time.Millisecond, 60 * time.Millisecond, 120 * time.Millisecond},
		mib:     []int64{128, 256, 512},
		hours: [24]float64{0.42, 0.28, 0.2, 0.16, 0.15, 0.18, 0.35, 0.65, 0.95, 1.2, 1.35, 1.4,
			1.45, 1.35, 1.25, 1.25, 1.3, 1.35, 1.4, 1.6, 1.75, 1.65, 1.25, 0.8},
		week: [7]float64{1.1, 0.95, 0.95, 0.95, 0.97, 1.03, 1.15}, burstShare: 0.01, burstFactor: 8},
	{preset: Nearline, functions: 30, tenants: 3, calls: 200_000, trigger: "queue",
		medians: []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second},
		mib:     []int64{512, 1024, 2048},
		hours: [24]float64{1.5, 1.8, 2, 1.8, 1.5, 1, 0.7, 0.6, 0.7, 0.9, 1, 1,
			0.9, 0.9, 1, 1, 0.9, 0.8, 0.7, 0.6, 0.6, 0.7, 0.9, 1.2},
		week: [7]float64{0.7, 1.1, 1.1, 1.1, 1.1, 1.1, 0.8}, burstShare: 0.08, burstFactor: 12},
	{preset: Inspection, functions: 60, tenants: 3, calls: 150_000, trigger: "timer", timed: true,
		medians: []time.Duration{500 * time.Millisecond, time.Second, 3 * time.Second},
		mib:     []int64{128, 256}},
	{preset: Settlement, functions: 12, tenants: 2, calls: 10_000, trigger: "timer",
		medians: []time.Duration{5 * time.Second, 20 * time.Second, 60 * time.Second},
		mib:     []int64{1024, 2048, 4096},
		hours:   [24]float64{0, 4, 8, 6, 3, 0.5}, week: [7]float64{1, 1, 1, 1, 1, 1, 1}, monthEnd: 20},
}

// scale makes the mean weight of hours and days 1.
func (h *shape) scale() float64 {
	hours, days := 0.0, 0.0
	for _, w := range h.hours {
		hours += w
	}
	for _, w := range h.week {
		days += w
	}
	if hours == 0 {
		return 1
	}
	return 24 / hours * (7 / days)
}

// profile is one function's share in its shape.
type profile struct {
	*shape
	perMinute     float64
	period, phase int     // of a timed function, minutes
	fan           float64 // calls of each run, on the mean
}

// time chooses how often a timed function runs.
func (p *profile) time(random *rand.PCG) {
	periods := [...]int{1, 5, 10, 15, 30, 60}
	p.period = periods[random.Uint64()%uint64(len(periods))]
	p.phase = int(random.Uint64() % uint64(p.period))
	p.fan = max(1, p.perMinute*float64(p.period))
}

// runs makes the calls of a timed function: the same fan every time, its fraction
// as one more call now and then.
func (p *profile) runs(when *when, random *rand.PCG, into *[60]int64) bool {
	any := false
	whole := int64(p.fan)
	for m := range into {
		into[m] = 0
		if (m-p.phase)%p.period != 0 || m < p.phase {
			continue
		}
		into[m] = min(whole, maxCount-1)
		if float64(random.Uint64()>>11)/(1<<53) < p.fan-float64(whole) {
			into[m]++
		}
		any = true
	}
	return any
}

// when is one hour of a workload.
type when struct {
	hour      int // since the beginning
	ofDay     int
	day, next time.Weekday // of this and the next hour
	end       [2]bool      // this and the next hour belong to a month's end
}

func (s *synthetic) when(hour int) when {
	now := s.start.Add(time.Duration(hour) * time.Hour)
	next := now.Add(time.Hour)
	return when{hour, now.Hour(), now.Weekday(), next.Weekday(), [2]bool{monthEnds(now), monthEnds(next)}}
}

// monthEnds reports whether a time is on the last day of a month or the first of the next.
func monthEnds(t time.Time) bool { return t.Day() == 1 || t.AddDate(0, 0, 1).Day() == 1 }

// weights returns the weight at the beginning and at the end of an hour.
func (p *profile) weights(when *when) (from, to float64) {
	from = p.hours[when.ofDay] * p.week[when.day]
	to = p.hours[(when.ofDay+1)%24] * p.week[when.next]
	if p.monthEnd > 0 && when.end[0] {
		from *= p.monthEnd
	}
	if p.monthEnd > 0 && when.end[1] {
		to *= p.monthEnd
	}
	return from, to
}

// burst is a time of more calls, in minutes since the beginning.
type burst struct {
	from, to int
	factor   float64
}

// burst returns the bursts that begin in this hour or the one before: the function's
// own.
func (s *synthetic) burst(f int, h *shape, hour int) (found [2]burst) {
	if h.burstShare == 0 {
		return found
	}
	for i, begins := range [...]int{hour - 1, hour} {
		var random rand.PCG
		random.Seed(s.seed^streamShape, uint64(f)<<32|uint64(uint32(begins)))
		if begins < 0 || float64(random.Uint64()>>11)/(1<<53) >= h.burstShare {
			continue
		}
		from := begins*60 + int(random.Uint64()%60)
		length := 5 + int(random.Uint64()%40)
		found[i] = burst{from, from + length, 2 + float64(float64(random.Uint64()>>11)/(1<<53)*(h.burstFactor-2))}
	}
	return found
}
