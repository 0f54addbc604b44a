// Package recording is what a live run leaves beside its usage export: how long
// things took that no row of it says.
package recording

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Times are measured in one run, by pool.
type Times struct {
	Recorded time.Time        `json:"recorded"` // UTC
	Pools    map[string]*Pool `json:"pools"`
}

// Pool is one pool's times, in microseconds.
type Pool struct {
	Calls int `json:"calls"`
	// Beyond is the mean of what calls took between their placement and their answer
	// beyond execution and cold start: so much longer they hold their place.
	Beyond int64 `json:"beyondMicros"`
	Cold   Cold  `json:"cold"`

	beyond, inits, stops []int64
}

// Cold is what cold starts took, of calls that met one.
type Cold struct {
	Count int   `json:"count"`
	Ahead int64 `json:"aheadMicros"` // mean before INIT: making room for a process and starting it
	P50   int64 `json:"initP50Micros"`
	P99   int64 `json:"initP99Micros"`
	// StopP50 and StopP99 are of what calls waited beyond both that waited for nothing
	// else: for the end of the instance whose place they took.
	StopP50 int64 `json:"stopP50Micros"`
	StopP99 int64 `json:"stopP99Micros"`
}

// unhindered is the namespace of the demo whose calls wait for their own start alone:
// its quota is never full, and where there is no room for a start they overflow at once.
const unhindered = "shop"

// NewTimes returns times without a call.
func NewTimes(at time.Time) *Times { return &Times{Recorded: at, Pools: map[string]*Pool{}} }

func (t *Times) pool(name string) *Pool {
	if t.Pools[name] == nil {
		t.Pools[name] = &Pool{}
	}
	return t.Pools[name]
}

// Add takes the times of one call: whole is from its admission to its answer, and
// cloud says that its cold start is in that and not in its wait.
func (t *Times) Add(r *trace.UsageRow, whole time.Duration, cloud bool) {
	if r.Pool == "" || r.Duration < 0 {
		return
	}
	p := t.pool(r.Pool)
	p.Calls++
	beyond := whole - r.Waited - r.Duration
	if cloud {
		beyond -= r.Init
	}
	p.beyond = append(p.beyond, beyond.Microseconds())
	if r.Init > 0 {
		p.inits = append(p.inits, r.Init.Microseconds())
	}
	if r.Namespace == unhindered && r.Init > 0 && r.Waited > r.Init && !cloud {
		p.stops = append(p.stops, (r.Waited - r.Init).Microseconds())
	}
}

// Ahead sets what starts of the pool took before INIT.
func (t *Times) Ahead(pool string, mean time.Duration) { t.pool(pool).Cold.Ahead = mean.Microseconds() }

// reduce makes figures of what was added.
func (p *Pool) reduce() {
	sum := int64(0)
	for _, n := range p.beyond {
		sum += n
	}
	p.Beyond = sum / int64(max(len(p.beyond), 1))
	p.Cold.Count, p.Cold.P50, p.Cold.P99 = len(p.inits), quantile(p.inits, 50), quantile(p.inits, 99)
	p.Cold.StopP50 = max(quantile(p.stops, 50)-p.Cold.Ahead, 0)
	p.Cold.StopP99 = max(quantile(p.stops, 99)-p.Cold.Ahead, 0)
}

// Save writes the times to a file.
func (t *Times) Save(path string) error {
	for _, p := range t.Pools {
		p.reduce()
	}
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encode times: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// Load reads what Save wrote.
func Load(path string) (*Times, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t := &Times{}
	if err := json.Unmarshal(text, t); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Fit gives the model of a pool these times.
func (p *Pool) Fit(m simulator.PoolModel) simulator.PoolModel {
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	m.Added = micros(p.Beyond)
	m.Stop = simulator.ColdStep{Name: "stop", P50: micros(p.Cold.StopP50), P99: micros(p.Cold.StopP99)}
	if p.Cold.Count > 0 {
		m.Cold = []simulator.ColdStep{{Name: "ahead", Outside: true, P50: micros(p.Cold.Ahead)}, {Name: "init", P50: micros(p.Cold.P50), P99: micros(p.Cold.P99)}}
	}
	return m
}

// quantile is the percent-th percentile by the nearest rank; zero of nothing.
func quantile(all []int64, percent int) int64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[max((len(all)*percent+99)/100, 1)-1]
}
