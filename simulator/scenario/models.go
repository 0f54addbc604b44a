package scenario

import (
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
)

// Models say how pools behave, by name; a pool that is not named behaves as its kind
// does by default.
type Models map[string]simulator.PoolModel

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

// forPools returns the models by pool index.
func (m Models) forPools(p *spillway.Platform, length time.Duration) ([]simulator.PoolModel, error) {
	all := make([]simulator.PoolModel, len(p.Pools))
	known := map[string]bool{}
	for i, pool := range p.Pools {
		known[pool.Name] = true
		if given, ok := m[pool.Name]; ok {
			all[i] = given
		} else {
			all[i] = DefaultModel(pool)
		}
	}
	for name := range m {
		if !known[name] {
			return nil, fmt.Errorf("a model is for pool %q, which the configuration does not have", name)
		}
	}
	return all, nil
}
