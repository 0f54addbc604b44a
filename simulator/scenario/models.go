package scenario

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
)

// DefaultModel is how a pool of a kind behaves unless a ledger says otherwise.
//
// On-prem: what the bench of this project measures for a Go function (about 10 ms to
// start a process, and its own initialisation). Lambda: INIT of a few hundred
// milliseconds and environments that live for some minutes (Shahrad et al. 2020 see
// 10 to 20; AWS says nothing), billed since August 2025. SCF starts slower and does
// not bill it.
func DefaultModel(p *spillway.Pool) simulator.PoolModel {
	m := simulator.PoolModel{Limits: p.Limits}
	switch p.Kind {
	case spillway.PoolLambda:
		m.Cold = []simulator.ColdStep{{Name: "environment", Outside: true, P50: 120 * time.Millisecond, P99: 400 * time.Millisecond}, {Name: "init", P50: 180 * time.Millisecond, P99: 900 * time.Millisecond}}
		m.Added, m.IdleFor, m.InitBilled = 5*time.Millisecond, 10*time.Minute, true
	case spillway.PoolSCF:
		m.Cold = []simulator.ColdStep{{Name: "environment", Outside: true, P50: 200 * time.Millisecond, P99: 800 * time.Millisecond}, {Name: "init", P50: 180 * time.Millisecond, P99: 900 * time.Millisecond}}
		m.Added, m.IdleFor = 8*time.Millisecond, 10*time.Minute
	default:
		m.Cold = []simulator.ColdStep{{Name: "process", Outside: true, P50: 12 * time.Millisecond, P99: 40 * time.Millisecond}, {Name: "init", P50: 150 * time.Millisecond, P99: 700 * time.Millisecond}}
	}
	return m
}

// forPools returns the models by pool index. Its mistakes are config.Faults.
func (m Models) forPools(p *spillway.Platform, start time.Time, length time.Duration) ([]simulator.PoolModel, error) {
	all := make([]simulator.PoolModel, len(p.Pools))
	index := map[string]int{}
	for i, pool := range p.Pools {
		index[pool.Name], all[i] = i, DefaultModel(pool)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		given := m[name]
		given.begin(name)
		if i, known := index[name]; known {
			all[i] = given.over(p.Pools[i], start, length)
		} else {
			given.fault("", "the configuration has no such pool", strings.Join(slices.Sorted(maps.Keys(index)), ", "))
		}
		if len(given.faults) > 0 {
			return nil, given.faults
		}
	}
	return all, nil
}
