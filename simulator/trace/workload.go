package trace

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Preset names a kind of synthetic workload.
type Preset string

const (
	Online     Preset = "online"     // server-side rendering and back ends of front ends: daily season, short calls
	Nearline   Preset = "nearline"   // data work that may wait: batches, long calls
	Inspection Preset = "inspection" // timed, every 1 to 60 minutes, each run a fan of calls
	Settlement Preset = "settlement" // bills: every night, and twenty times that at the end of a month
	Mixed      Preset = "mixed"      // all of these, each with its own tenants
)

// Presets returns all presets.
func Presets() []Preset { return []Preset{Online, Nearline, Inspection, Settlement, Mixed} }

// Workload describes a synthetic trace. Zero fields take the preset's defaults.
type Workload struct {
	Preset      Preset
	Seed        uint64
	Spread      Spread
	Start       time.Time // a full hour, in UTC; default Monday 2026-01-05
	Days        int       // 1 to 3660
	Functions   int       // at least one for each preset in it
	Tenants     int
	CallsPerDay int64 // about, on the mean of weeks without month ends and bursts
	// Progress, if set, is told by Generate now and then how far it is.
	Progress func(at time.Duration)
}

// maxGenerated bounds functions, so that a slip does not fill the memory.
const maxGenerated = 10_000_000

// New makes a trace without files: calls are made as they are read. Its memory is
// bounded by functions and one hour's counts.
func New(w Workload) (*Trace, error) {
	s, err := newSynthetic(w)
	if err != nil {
		return nil, err
	}
	t := &Trace{format: Synthetic, functions: s.functions, start: s.start, length: time.Duration(s.hours) * time.Hour, calls: -1}
	t.count(s, time.Minute, Options{Seed: w.Seed, Spread: w.Spread})
	return t, nil
}

// synthetic makes counts per minute, an hour and function at a time: each
// such block depends on the seed, the function and the hour alone.
type synthetic struct {
	seed      uint64
	start     time.Time
	hours     int
	functions []Function
	profiles  []profile

	hour    int // the next to be made
	minute  int // of the hour made last
	minutes [60][]cell
}

func newSynthetic(w Workload) (*synthetic, error) {
	if err := w.check(); err != nil {
		return nil, fmt.Errorf("make a workload: %w", err)
	}
	if w.Start.IsZero() {
		w.Start = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	}
	s := &synthetic{seed: w.Seed, start: w.Start.UTC(), hours: 24 * w.Days, minute: 60}
	var shapes []*shape
	for i := range shapesOf {
		if w.Preset == Mixed || w.Preset == shapesOf[i].preset {
			shapes = append(shapes, &shapesOf[i])
		}
	}
	var all Workload // defaults of the shapes together
	for _, h := range shapes {
		all.Functions += h.functions
		all.Tenants += h.tenants
		all.CallsPerDay += h.calls
	}
	for _, h := range shapes {
		functions, tenants := share(w.Functions, h.functions, all.Functions), share(w.Tenants, h.tenants, all.Tenants)
		if tenants > functions && w.Tenants > 0 {
			return nil, fmt.Errorf("make a workload: %d tenants are %d of %s, which has %d functions; allowed: at most one tenant for each, so fewer tenants or more functions", w.Tenants, tenants, h.preset, functions)
		}
		s.add(h, functions, min(tenants, functions), callShare(w.CallsPerDay, h.calls, all.CallsPerDay))
	}
	return s, nil
}

func (w *Workload) check() error {
	switch {
	case !slices.Contains(Presets(), w.Preset):
		return fmt.Errorf("preset %q is not known; allowed: %v", w.Preset, Presets())
	case w.Days < 1 || w.Days > 3660:
		return fmt.Errorf("%d days; allowed: 1 to 3660", w.Days)
	case w.Functions < 0 || w.Functions > maxGenerated:
		return fmt.Errorf("%d functions; allowed: 1 to %d, or 0 for the preset's", w.Functions, maxGenerated)
	case w.Tenants < 0 || w.Tenants > maxGenerated || w.Functions > 0 && w.Tenants > w.Functions:
		return fmt.Errorf("%d tenants; allowed: 1 to the number of functions, or 0 for the preset's", w.Tenants)
	case w.CallsPerDay < 0 || w.CallsPerDay > 1e12:
		return fmt.Errorf("%d calls a day; allowed: 1 to 1e12, or 0 for the preset's", w.CallsPerDay)
	case !w.Start.IsZero() && (w.Start.Year() < 1970 || w.Start.Year() > 2150):
		return errors.New("the start is not between 1970 and 2150")
	case !w.Start.Equal(w.Start.Truncate(time.Hour)):
		return fmt.Errorf("start %s is not a full hour", w.Start.Format(time.RFC3339Nano))
	}
	return nil
}

// share divides a number wanted as the defaults are divided, at least 1.
func share(want, part, all int) int {
	if want == 0 {
		return part
	}
	return max(1, want*part/all)
}

func callShare(want, part, all int64) float64 {
	if want == 0 {
		return float64(part)
	}
	return float64(want) * (float64(part) / float64(all))
}

// add makes the functions of one shape: function i gets a share of the calls that
// falls with 1/(i+1), as popularity does.
func (s *synthetic) add(h *shape, functions, tenants int, callsPerDay float64) {
	var random rand.PCG
	random.Seed(s.seed^streamShape, uint64(len(s.functions)))
	harmonic := 0.0
	for i := range functions {
		harmonic += 1 / float64(i+1)
	}
	scale := h.scale()
	for i := range functions {
		name := fmt.Sprintf("%s-%04d", h.preset, i+1)
		median := h.medians[random.Uint64()%uint64(len(h.medians))]
		s.functions = append(s.functions, Function{
			Tenant: fmt.Sprintf("%s-team-%d", h.preset, i%tenants+1), App: name, Name: name, Trigger: h.trigger,
			MiB: h.mib[random.Uint64()%uint64(len(h.mib))], Duration: spreadAround(median)})
		p := profile{shape: h, perMinute: float64(callsPerDay/1440) * (1 / float64(i+1) / harmonic) * scale}
		if h.timed {
			p.time(&random)
		}
		s.profiles = append(s.profiles, p)
	}
}

// spreadAround makes a distribution with a long tail.
func spreadAround(median time.Duration) Quantiles {
	var points [quantileCount]time.Duration
	for i, percent := range [quantileCount]time.Duration{35, 40, 75, 100, 150, 500, 1200} {
		points[i] = median * percent / 100
	}
	q, _ := NewQuantiles(points)
	return q
}

// next returns the cells of the next minute.
func (s *synthetic) next(into []cell) (time.Duration, []cell, error) {
	if s.minute == len(s.minutes) {
		if s.hour == s.hours {
			return 0, into, io.EOF
		}
		s.fill()
	}
	at := time.Duration(s.hour-1)*time.Hour + time.Duration(s.minute)*time.Minute
	into = append(into, s.minutes[s.minute]...)
	s.minute++
	return at, into, nil
}

// fill makes the next hour.
func (s *synthetic) fill() {
	for i := range s.minutes {
		s.minutes[i] = s.minutes[i][:0]
	}
	var counts [60]int64
	when := s.when(s.hour)
	for f := range s.profiles {
		if !s.counts(f, &when, &counts) {
			continue
		}
		for m, n := range counts {
			if n > 0 {
				s.minutes[m] = append(s.minutes[m], cell{int32(f), n})
			}
		}
	}
	s.hour, s.minute = s.hour+1, 0
}

// counts makes one function's calls of one hour; false: none.
func (s *synthetic) counts(f int, when *when, into *[60]int64) (any bool) {
	p := &s.profiles[f]
	var random rand.PCG
	random.Seed(s.seed^streamCount, uint64(f)<<32|uint64(when.hour))
	if p.timed {
		return p.runs(when, &random, into)
	}
	from, to := p.weights(when)
	if from <= 0 && to <= 0 {
		return false
	}
	burst := s.burst(f, p.shape, when.hour)
	for m := range into {
		rate := p.perMinute * (from + float64((to-from)*(float64(m)/60)))
		for _, b := range burst {
			if at := when.hour*60 + m; at >= b.from && at < b.to {
				rate *= b.factor
			}
		}
		n := min(poisson(rate, &random), maxCount)
		into[m] = n
		any = any || n > 0
	}
	return any
}

func (s *synthetic) rewind() error {
	s.hour, s.minute = 0, len(s.minutes)
	return nil
}

func (s *synthetic) close() error { return nil }

// poisson draws a number with the given mean: by inversion if it is small, else by
// its normal approximation. It uses no function of math that differs between machines.
func poisson(mean float64, random *rand.PCG) int64 {
	if mean <= 0 {
		return 0
	}
	bits := random.Uint64()
	if mean >= inverted {
		// Four uniform numbers of 16 bits: mean 2 · 65535, variance (65536² − 1) / 3.
		sum := float64(bits&0xffff+bits>>16&0xffff+bits>>32&0xffff+bits>>48) - 2*65535
		return int64(max(0, mean+float64(math.Sqrt(mean)*(sum/37837.2))+0.5))
	}
	u := float64(bits>>11) / (1 << 53)
	p := expMinus(mean)
	sum, k := p, int64(0)
	for u >= sum && k < 100 {
		k++
		p = p * mean / float64(k)
		sum += p
	}
	return k
}

// inverted is the mean from which poisson approximates.
const inverted = 12

// powers holds e^(−i/64).
var powers = func() (p [64*inverted + 1]float64) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = p[i-1] * 0.98449643700540847 // e^(−1/64)
	}
	return p
}()

// expMinus returns e^−x for 0 ≤ x < inverted.
func expMinus(x float64) float64 {
	i := int(x * 64)
	r := x - float64(i)/64
	tail := 1 - float64(r*(1-float64(r*(0.5-float64(r*(1.0/6-r/24))))))
	return powers[i] * tail
}
