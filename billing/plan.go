package billing

import "time"

// PlanKind says what a price plan prices.
type PlanKind string

const (
	PlanLambda PlanKind = "lambda" // paid per request and GiB-second
	PlanSCF    PlanKind = "scf"    // the same, at Tencent
	PlanOwned  PlanKind = "owned"  // machines that are paid for whether used or not
)

// PlanSpec is one dated entry of the price book as people write it. Amounts are
// decimal strings ("0.0000166667") in Currency, never floats. NewBook validates.
type PlanSpec struct {
	Plan     string // what pools refer to
	Version  string // names this entry among those of the plan; on every ledger line
	Kind     PlanKind
	Currency string // ISO 4217
	Source   string // where the price was published

	// The entry holds in [ValidFrom, ValidTo); a zero ValidTo is open. Entries of
	// one plan must not overlap.
	ValidFrom, ValidTo time.Time

	// Of PlanLambda and PlanSCF. Each price must be a whole number of femto (1e-15).
	PerRequest      string
	PerGiBSecond    string
	IncrementMillis int64 // billed time is rounded up to this; zero means 1
	MinimumMillis   int64 // billed time is at least this

	Owned *OwnedSpec // of PlanOwned
}

// OwnedSpec prices machines that the company owns. Unit prices are derived:
//
//	cpu    = hourly · wc / (wc·cores + wm·GiB) / targetUtilisation
//	memory = hourly · wm / (wc·cores + wm·GiB) / targetUtilisation
//
// with cores and GiB allocatable. They are rounded up to the femto per second.
type OwnedSpec struct {
	Hourly string    // cost of all of it per hour; or
	Node   *NodeSpec // what it is computed from. Exactly one of the two.

	AllocatableMilliCPU int64
	AllocatableMiB      int64

	CPUWeight    string // price of a core relative to a GiB of memory; empty: 7.46
	MemoryWeight string // empty: 1

	// TargetUtilisation is the share of the capacity, in (0, 1], that is expected
	// to be sold; unit prices recover the whole cost at it. Empty: 1.
	TargetUtilisation string
}

// NodeSpec is the cost of one machine, amortised as finance does:
//
//	hourly = ((purchase − salvage)/lifeMonths + powerKW·pue·tariff·730 + rack
//	          + maintenance%·purchase/100/12 + other) / 730
//
// 730 is the number of hours in a month. Empty amounts are zero, an empty PUE is 1.
type NodeSpec struct {
	Count                     int64 // machines of this kind; zero means 1
	Purchase                  string
	Salvage                   string // worth at the end of its life
	LifeMonths                int64
	PowerKW                   string // average draw
	PUE                       string // ≥ 1
	TariffPerKWh              string
	RackPerMonth              string
	MaintenancePercentPerYear string // of the purchase price
	OtherPerMonth             string // licences, network, staff
}

// ExchangeRate says that in [ValidFrom, ValidTo) one From is worth Rate To.
type ExchangeRate struct {
	From, To           string // ISO 4217
	Rate               string // decimal > 0
	ValidFrom, ValidTo time.Time
	Source             string
}
