package spillway

import "fmt"

// Resources is a vector of what one invocation holds, or what a pool or quota
// offers. In a limit, Unlimited in a dimension means that it is not limited.
type Resources struct {
	Slots    int64 // invocations at once
	MilliCPU int64
	MiB      int64
}

// Unlimited marks a dimension without a limit.
const Unlimited int64 = 1<<63 - 1

// Dimension names one component of Resources.
type Dimension uint8

const (
	DimNone Dimension = iota
	DimSlots
	DimMilliCPU
	DimMiB
)

func (d Dimension) String() string {
	return [...]string{"none", "slots", "milliCPU", "MiB"}[d]
}

// Of returns the component of r that d names.
func (r Resources) Of(d Dimension) int64 {
	switch d {
	case DimSlots:
		return r.Slots
	case DimMilliCPU:
		return r.MilliCPU
	case DimMiB:
		return r.MiB
	}
	return 0
}

// Add returns r+o. Both must be uses (never Unlimited).
func (r Resources) Add(o Resources) Resources {
	return Resources{r.Slots + o.Slots, r.MilliCPU + o.MilliCPU, r.MiB + o.MiB}
}

// Sub returns r-o. Both must be uses.
func (r Resources) Sub(o Resources) Resources {
	return Resources{r.Slots - o.Slots, r.MilliCPU - o.MilliCPU, r.MiB - o.MiB}
}

// Exceeds returns the first dimension in which used+add is over the limit, or
// DimNone when it fits r, a limit. It cannot be fooled by overflow.
func (r Resources) Exceeds(used, add Resources) Dimension {
	switch {
	case over(r.Slots, used.Slots, add.Slots):
		return DimSlots
	case over(r.MilliCPU, used.MilliCPU, add.MilliCPU):
		return DimMilliCPU
	case over(r.MiB, used.MiB, add.MiB):
		return DimMiB
	}
	return DimNone
}

func over(limit, used, add int64) bool {
	return limit != Unlimited && add > limit-used
}

func (r Resources) String() string {
	return fmt.Sprintf("%d slots, %dm cpu, %d MiB", r.Slots, r.MilliCPU, r.MiB)
}
