package planner

import (
	"cmp"
	"slices"
)

const (
	maxCandidates = 1_000_000  // count vectors
	maxPrices     = 50_000_000 // count vectors × package sets × months
)

// candidate is one way to own nodes. Capacities are cut at the peak: more serves
// nothing.
type candidate struct {
	index    int64 // of the count vector, the last type counting fastest
	cost     int64 // of the nodes, nano
	mib, cpu int64 // in a step
}

// candidates returns the count vectors that no other dominates, that is, that have
// more memory or more CPU than all that cost no more.
func (m *model) candidates() ([]candidate, error) {
	total := int64(1)
	for i := range m.Nodes {
		choices := m.most[i] - m.Nodes[i].Min + 1
		if choices > maxCandidates || total*choices > maxCandidates {
			return nil, &TooLargeError{What: "combinations of nodes", Limit: maxCandidates, Advice: "set max and min of the node types, or plan fewer types or larger nodes"}
		}
		total *= choices
	}
	if total*int64(len(m.sets))*int64(len(m.windows)) > maxPrices {
		return nil, &TooLargeError{What: "combinations of nodes, packages and months", Limit: maxPrices, Advice: "set max of the node types or lower most of the packages"}
	}
	peakMiB, peakCPU := m.Series.peak()
	all := make([]candidate, total)
	for i := range all {
		counts := m.counts(int64(i))
		mib, cpu, err := m.capacity(counts)
		if err != nil {
			return nil, err
		}
		cost, _, err := m.nodeCost(counts)
		if err != nil {
			return nil, err
		}
		all[i] = candidate{int64(i), int64(cost), min(mib, peakMiB), min(cpu, peakCPU)}
	}
	return undominated(all), nil
}

// counts returns the count vector of an index.
func (m *model) counts(index int64) []int64 {
	counts := make([]int64, len(m.Nodes))
	for i := len(m.Nodes) - 1; i >= 0; i-- {
		choices := m.most[i] - m.Nodes[i].Min + 1
		counts[i] = m.Nodes[i].Min + index%choices
		index /= choices
	}
	return counts
}

// undominated sorts by cost and keeps what offers more of something than all that
// is before it. The staircase of best offers has falling memory and rising CPU.
func undominated(all []candidate) []candidate {
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(b.mib, a.mib), cmp.Compare(b.cpu, a.cpu), cmp.Compare(a.index, b.index))
	})
	kept, stairs := all[:0], []candidate{}
	for _, c := range all {
		// at is the first stair with less memory than c; the one before it has the
		// most CPU of those with as much memory.
		at, _ := slices.BinarySearchFunc(stairs, c, func(s, c candidate) int {
			if s.mib >= c.mib {
				return -1
			}
			return 1
		})
		if at > 0 && stairs[at-1].cpu >= c.cpu {
			continue
		}
		// c makes useless the stairs after it with no more CPU, and an equal one.
		from, to := at, at
		for to < len(stairs) && stairs[to].cpu <= c.cpu {
			to++
		}
		if from > 0 && stairs[from-1].mib == c.mib {
			from--
		}
		stairs = slices.Replace(stairs, from, to, c)
		kept = append(kept, c)
	}
	return kept
}
