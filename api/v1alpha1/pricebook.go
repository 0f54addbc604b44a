package v1alpha1

// PriceBook adds dated prices to the built-in ones: AWS Lambda on demand as
// lambda-<x86|arm>-<region>, Tencent SCF pay as you go as scf-<region>, and
// example-node, an owned server. At most one.
type PriceBook struct {
	Header `json:",inline"`
	Spec   PriceBookSpec `json:"spec"`
}

// PriceBookSpec holds prices. Amounts are decimals, quoted or not; they are never
// rounded.
type PriceBookSpec struct {
	// ISO 4217 code in which everything is counted; it holds from a start to the next.
	// Default USD.
	Currency string `json:"currency,omitempty"`
	// Price plans; all entries of a plan replace the built-in plan of that name.
	//
	// +listType=map
	// +listMapKey=plan
	// +listMapKey=version
	Plans []Plan `json:"plans,omitempty"`
	// Rates for plans and budgets in other currencies. Nothing is sent to a cloud
	// whose plan has no rate; one that lapses closes the cloud until there is another.
	//
	// +listType=atomic
	ExchangeRates []ExchangeRate `json:"exchangeRates,omitempty"`
}

// Plan is one dated entry of a price plan.
type Plan struct {
	// What pools refer to. A DNS label. Required.
	Plan string `json:"plan"`
	// Names this entry; it is on every ledger line. Required.
	Version string `json:"version"`
	// lambda or scf (per request and GiB-second) or owned (machines that cost the
	// same whether used or not). Required.
	Kind string `json:"kind"`
	// ISO 4217 code. Default: the book's.
	Currency string `json:"currency,omitempty"`
	// Where the price was published. Required.
	Source string `json:"source"`
	// First day it holds. Default: always.
	ValidFrom *Date `json:"validFrom,omitempty"`
	// First day it holds no more. Default: open.
	ValidTo *Date `json:"validTo,omitempty"`
	// Price of one request; clouds only.
	PerRequest Decimal `json:"perRequest,omitempty"`
	// Price of a GiB of memory for a second; clouds only.
	PerGiBSecond Decimal `json:"perGiBSecond,omitempty"`
	// Billed time is rounded up to a multiple of this, in milliseconds; clouds
	// only. Default 1.
	IncrementMillis *int64 `json:"incrementMillis,omitempty"`
	// Billed time is at least this, in milliseconds; clouds only. Default 0.
	MinimumMillis *int64 `json:"minimumMillis,omitempty"`
	// What the machines cost; owned only.
	Owned *Owned `json:"owned,omitempty"`
}

// Owned prices machines that the company owns. Exactly one of hourly and node.
type Owned struct {
	// Cost of all of it per hour.
	Hourly Decimal `json:"hourly,omitempty"`
	// What the hourly cost is computed from.
	Node *Node `json:"node,omitempty"`
	// What functions can have of it. Required.
	Allocatable Allocatable `json:"allocatable"`
	// Price of a core relative to a GiB of memory. Default 7.46.
	CPUWeight Decimal `json:"cpuWeight,omitempty"`
	// Default 1.
	MemoryWeight Decimal `json:"memoryWeight,omitempty"`
	// Share of the capacity, above 0 and up to 1, that is expected to be used; unit
	// prices recover the whole cost at it. Default 1.
	TargetUtilisation Decimal `json:"targetUtilisation,omitempty"`
}

// Allocatable is the part of machines that functions can have.
type Allocatable struct {
	// Cores. Required.
	CPU *MilliCPU `json:"cpu"`
	// Memory, rounded down to whole MiB. Required.
	Memory *Bytes `json:"memory"`
}

// Node is the amortised cost of machines.
type Node struct {
	// How many machines. Default 1.
	Count *int64 `json:"count,omitempty"`
	// Price of one machine.
	Purchase Decimal `json:"purchase,omitempty"`
	// Its worth at the end of its life.
	Salvage Decimal `json:"salvage,omitempty"`
	// Life in months. Required with purchase.
	LifeMonths *int64 `json:"lifeMonths,omitempty"`
	// Average draw in kW.
	PowerKW Decimal `json:"powerKW,omitempty"`
	// Power usage effectiveness, at least 1. Default 1.
	PUE Decimal `json:"pue,omitempty"`
	// Price of a kWh.
	TariffPerKWh Decimal `json:"tariffPerKWh,omitempty"`
	// Rack space per month.
	RackPerMonth Decimal `json:"rackPerMonth,omitempty"`
	// Maintenance per year, in percent of the purchase price.
	MaintenancePercentPerYear Decimal `json:"maintenancePercentPerYear,omitempty"`
	// Licences, network and staff per month.
	OtherPerMonth Decimal `json:"otherPerMonth,omitempty"`
}

// ExchangeRate says what one unit of a currency is worth in another.
type ExchangeRate struct {
	// ISO 4217 code. Required.
	From string `json:"from"`
	// ISO 4217 code. Required.
	To string `json:"to"`
	// How many units of "to" one unit of "from" is worth. Required.
	Rate Decimal `json:"rate"`
	// First day it holds, YYYY-MM-DD. Required.
	Date *Date `json:"date"`
	// First day it holds no more. Default: open.
	Until *Date `json:"until,omitempty"`
	// Where the rate was published. Required.
	Source string `json:"source"`
}
