package idle

import (
	"slices"
	"time"

	"github.com/spillway-dev/spillway"
)

// bucketCount is how many parts a forecast's window has. Each keeps the most of its
// samples, so that what is remembered does not depend on how often one looks.
const bucketCount = 60

// Usage is what everything on a node but its guests uses, at one time.
type Usage struct {
	At       spillway.Instant
	MilliCPU int64
	MiB      int64
}

// peaks remembers the most that was used in each part of the window.
type peaks struct {
	newest  Usage
	buckets [bucketCount]bucket
}

type bucket struct {
	number        int64 // since the epoch; zero for an empty one
	milliCPU, mib int64
}

func (p *peaks) add(u Usage, width time.Duration) {
	number := int64(u.At) / int64(width)
	b := &p.buckets[number%bucketCount]
	switch {
	case number < b.number:
		return // later ones have its place
	case number > b.number:
		*b = bucket{number: number}
	}
	b.milliCPU, b.mib = max(b.milliCPU, u.MilliCPU), max(b.mib, u.MiB)
	if u.At >= p.newest.At {
		p.newest = u
	}
}

// expected returns what will be used: a percentile of the peaks and a safety part,
// never less than the newest sample. It is false while the history is too short.
func (p *peaks) expected(now spillway.Instant, f *Forecast, width time.Duration) (milliCPU, mib int64, known bool) {
	var cpu, mem [bucketCount]int64
	n, current := 0, int64(now)/int64(width)
	oldest := current
	for i := range p.buckets {
		if b := &p.buckets[i]; b.number > current-bucketCount && b.number != 0 {
			cpu[n], mem[n] = b.milliCPU, b.mib
			oldest = min(oldest, b.number)
			n++
		}
	}
	if n == 0 || time.Duration((current-oldest)*int64(width)) < f.Warm-width {
		return 0, 0, false
	}
	safe := func(values []int64, percentile int64) int64 {
		slices.Sort(values)
		rank := (percentile*int64(len(values)) + 99) / 100
		return ceilPercent(values[rank-1], 100+f.SafetyPercent)
	}
	return max(safe(cpu[:n], f.CPUPercentile), p.newest.MilliCPU), max(safe(mem[:n], f.MemoryPercentile), p.newest.MiB), true
}
