package planner

import (
	"fmt"

	"github.com/spillway-dev/spillway"
)

// NodeType is a kind of machine that can be owned. Nodes already owned cost their
// Avoidable part per hour when they are kept; the rest of Hourly is sunk, the same
// under every plan, and not part of Cost.Total.
type NodeType struct {
	Name      string
	MiB       int64         // allocatable, ≥ 1
	MilliCPU  int64         // allocatable; ignored when the series has no CPU
	Hourly    spillway.Nano // cost of a node per hour, used or not
	Min, Max  int64         // how many may be planned; Max zero: as many as the peak needs
	Owned     int64         // of them already paid for
	Avoidable spillway.Nano // per hour of an owned node; at most Hourly
}

func (n *NodeType) validate(path string) error {
	switch {
	case n.MiB < 1 || n.MilliCPU < 0:
		return &InputError{path, fmt.Sprintf("%d MiB and %d milliCPU are no node", n.MiB, n.MilliCPU)}
	case n.Hourly < 0 || n.Avoidable < 0 || n.Avoidable > n.Hourly:
		return &InputError{path, fmt.Sprintf("hourly %d with avoidable %d: allowed 0 ≤ avoidable ≤ hourly", n.Hourly, n.Avoidable)}
	case n.Min < 0 || n.Owned < 0 || n.Max < 0 || n.Max > 0 && n.Min > n.Max:
		return &InputError{path, fmt.Sprintf("counts min %d, max %d, owned %d: allowed 0 ≤ min ≤ max", n.Min, n.Max, n.Owned)}
	}
	return nil
}

// hourly returns what count nodes cost per hour, without what is sunk.
func (n *NodeType) hourly(count int64) (int64, error) {
	kept, err := product(min(count, n.Owned), int64(n.Avoidable))
	if err != nil {
		return 0, err
	}
	bought, err := product(max(0, count-n.Owned), int64(n.Hourly))
	if err != nil {
		return 0, err
	}
	return sum(kept, bought)
}

// most returns the count beyond which more nodes of the type serve nothing: enough
// alone for the peak of what it has.
func (n *NodeType) most(peakMiB, peakCPU, stepMillis int64) int64 {
	need := ceilDiv(peakMiB, n.MiB*stepMillis)
	if n.MilliCPU > 0 {
		need = max(need, ceilDiv(peakCPU, n.MilliCPU*stepMillis))
	}
	if n.Max > 0 {
		need = min(need, n.Max)
	}
	return max(need, n.Min)
}

func ceilDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 {
		q++
	}
	return q
}
