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

// Pool is one pool's times.
type Pool struct {
	Calls int `json:"calls"`
	// Beyond is what a call took between its placement and its answer beyond its
	// execution and cold start, in microseconds: quantiles of all calls.
	Beyond Quantiles `json:"beyondMicros"`
	Cold   Quantiles `json:"coldMicros"` // cold starts, of calls that met one

	beyond, cold []int64
}

// Quantiles are in microseconds; zero of nothing.
type Quantiles struct {
	Count int   `json:"count"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
}

// NewTimes returns times without a call.
func NewTimes(at time.Time) *Times { return &Times{Recorded: at, Pools: map[string]*Pool{}} }

// Add takes the times of one call; whole is from its admission to its answer.
func (t *Times) Add(r *trace.UsageRow, whole time.Duration) {
	if r.Pool == "" || r.Duration < 0 {
		return
	}
	p := t.Pools[r.Pool]
	if p == nil {
		p = &Pool{}
		t.Pools[r.Pool] = p
	}
	p.Calls++
	beyond := whole - r.Waited - r.Duration
	if r.Init > 0 {
		p.cold = append(p.cold, r.Init.Microseconds())
	}
	p.beyond = append(p.beyond, beyond.Microseconds())
}

// Save writes the times to a file.
func (t *Times) Save(path string) error {
	for _, p := range t.Pools {
		p.Beyond, p.Cold = quantiles(p.beyond), quantiles(p.cold)
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
	m.Added = time.Duration(p.Beyond.P50) * time.Microsecond
	if p.Cold.Count > 0 {
		m.Cold = []simulator.ColdStep{{Name: "recorded", P50: time.Duration(p.Cold.P50) * time.Microsecond, P99: time.Duration(p.Cold.P99) * time.Microsecond}}
	}
	return m
}

func quantiles(all []int64) Quantiles {
	if len(all) == 0 {
		return Quantiles{}
	}
	slices.Sort(all)
	at := func(percent int) int64 { return all[max((len(all)*percent+99)/100, 1)-1] }
	return Quantiles{len(all), at(50), at(90), at(99)}
}
