package planning

import (
	"math"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/planner"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// Findings are all that was found out.
type Findings struct {
	Case   *Case
	Demand *Demand
	Answer *Answer
	Result *simulator.Result // of Verify; nil: the plan was not simulated
	Quotas []TeamQuota

	// What was asked.
	Version string // of the program
	Path    string // of the trace, as given
	Summary *trace.Summary
	Seed    uint64
	Nodes   []planner.NodeType // as they are
	Terms   string             // file of the cloud account's terms; empty: flat prices
	Aim     *planner.Aim       // of Quotas; nil: no quotas were asked for
	// Whole is set where the first on-prem pool as a whole stands for a node.
	Whole bool
}

// amount is money in JSON: an exact decimal in the plan's currency.
type amount spillway.Nano

// MarshalText writes nine decimals.
func (a amount) MarshalText() ([]byte, error) { return []byte(spillway.Nano(a).String()), nil }

// Document is a plan as JSON has it, and what the table shows. Ratios and shares are for
// display; null is where one is without bounds.
type Document struct {
	Version   string           `json:"version"`
	Trace     traceSheet       `json:"trace"`
	Platform  string           `json:"configuration"` // revision
	Currency  string           `json:"currency"`
	Seed      uint64           `json:"seed"`
	Cloud     cloudSheet       `json:"cloud"`
	NodeTypes []nodeSheet      `json:"nodeTypes"`
	Demand    demandSheet      `json:"demand"`
	Plan      pointSheet       `json:"plan"`
	AllCloud  pointSheet       `json:"allCloud"`
	PeakOwned *pointSheet      `json:"ownedForThePeak"` // null: bounds of counts do not allow it
	Bound     boundSheet       `json:"bound"`
	Quantile  *quantileSheet   `json:"quantile"` // P(D > K*) = c/p; null unless there is one type of node at one price
	BreakEven []breakEvenSheet `json:"breakEven"`
	Changes   []changeSheet    `json:"sensitivity"`
	Curve     []pointSheet     `json:"curve"` // the cheapest by owned memory
	Halves    *halvesSheet     `json:"halves"`
	Months    *monthsSheet     `json:"months"`
	NoMonths  string           `json:"noMonths,omitempty"`
	Simulated *simulatedSheet  `json:"simulated"`
	Quotas    *quotasSheet     `json:"quotas"`
	Notes     []string         `json:"notes"`
}

type traceSheet struct {
	Path         string    `json:"path"`
	Format       string    `json:"format"`
	Start        time.Time `json:"start"`
	LengthMicros int64     `json:"lengthMicros"`
	Calls        int64     `json:"calls"`
	Functions    int       `json:"functions"`
	Tenants      int       `json:"tenants"`
}

type cloudSheet struct {
	Name         string `json:"name"`
	PerRequest   string `json:"perRequest"`
	PerGiBSecond string `json:"perGiBSecond"`
	Terms        string `json:"terms,omitempty"` // file
}

type nodeSheet struct {
	Name      string `json:"name"`
	MilliCPU  int64  `json:"milliCPU"`
	MiB       int64  `json:"mib"`
	Hourly    amount `json:"hourly"`
	Min       int64  `json:"min"`
	UsableMiB int64  `json:"usableMiB"` // that was planned with
	UsableCPU int64  `json:"usableMilliCPU"`
	Max       int64  `json:"max"` // 0: as many as the peak needs
	Owned     int64  `json:"owned"`
	Avoidable amount `json:"avoidable"`
}

type demandSheet struct {
	StepMicros   int64   `json:"stepMicros"`
	Steps        int     `json:"steps"`
	Calls        int64   `json:"calls"`
	Skipped      int64   `json:"skipped"`      // of functions that the configuration does not have
	CloudOnly    int64   `json:"cloudOnly"`    // of functions that may not run on-prem
	Pinned       int64   `json:"pinned"`       // of functions that no cloud may run
	PinnedMemory float64 `json:"pinnedMemory"` // their share of memory-time
	Cut          int64   `json:"cut"`          // at their function's timeout
	MeanMiB      float64 `json:"meanMiB"`
	MeanMilliCPU float64 `json:"meanMilliCPU"`
	PeakMiB      int64   `json:"peakMiB"` // of a step's mean
	PeakMilliCPU int64   `json:"peakMilliCPU"`
}

type countSheet struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

type pointSheet struct {
	Nodes    []countSheet `json:"nodes"`
	Packages []countSheet `json:"packages,omitempty"`
	OwnedMiB int64        `json:"ownedMiB"` // usable
	costSheet
}

// costSheet is over the trace's length. Total = NodeCost + Fees + Memory + Requests +
// Penalty; Sunk is beside it.
type costSheet struct {
	Total      amount  `json:"total"`
	NodeCost   amount  `json:"nodeCost"`
	Burst      amount  `json:"burst"` // paid to the cloud
	Fees       amount  `json:"packageFees"`
	Memory     amount  `json:"memory"`
	Requests   amount  `json:"requests"`
	Penalty    amount  `json:"penalty"`
	Sunk       amount  `json:"sunk"`
	BurstCalls int64   `json:"burstCalls"`
	BurstGiBs  float64 `json:"burstGiBSeconds"`
	BurstSteps int     `json:"burstSteps"`
}

type boundSheet struct {
	Total  amount    `json:"total"`
	Ratio  *float64  `json:"ratio"` // of the plan to it
	Aim    float64   `json:"aim"`
	Missed bool      `json:"missed"`
	Nodes  []float64 `json:"nodes"` // fractions at which it was found
}

type quantileSheet struct {
	Ratio  float64 `json:"ratio"`  // c/p
	Level  float64 `json:"level"`  // K*, in nodes
	Exceed float64 `json:"exceed"` // share of steps with D > K*
	Agrees bool    `json:"agrees"`
}

type breakEvenSheet struct {
	Type        string   `json:"type"`
	Utilisation *float64 `json:"utilisation"`
	DailyCalls  *int64   `json:"dailyCalls"`
	FullCalls   int64    `json:"fullNodeDailyCalls"`
}

type changeSheet struct {
	What   string     `json:"what"`
	Factor float64    `json:"factor"`
	Best   pointSheet `json:"best"`
	Kept   costSheet  `json:"kept"`
	Regret amount     `json:"regret"`
	Moves  bool       `json:"moves"`
}

type halvesSheet struct {
	FittedDays float64    `json:"fittedDays"`
	Plan       pointSheet `json:"plan"`
	Judged     costSheet  `json:"judged"`
	Bound      boundSheet `json:"bound"`
}

type monthsSheet struct {
	HistoryDays int         `json:"historyDays"`
	Next        spendSheet  `json:"next"`
	Present     *spendSheet `json:"present"` // in which the trace ends
	Draws       int         `json:"draws"`
}

type spendSheet struct {
	Month    string `json:"month"`
	ToDate   amount `json:"toDate"`
	P5       amount `json:"p5"`
	P50      amount `json:"p50"`
	P95      amount `json:"p95"`
	Mean     amount `json:"mean"`
	DaysLeft int    `json:"daysLeft"`
}

type simulatedSheet struct {
	Calls      int64    `json:"calls"`
	Placed     int64    `json:"placed"`
	Refused    int64    `json:"refused"`
	Skipped    int64    `json:"skipped"`
	Burst      int64    `json:"burstCalls"`
	NodeCost   string   `json:"nodeCost"`
	BurstCost  string   `json:"burst"`
	Total      string   `json:"total"`
	Against    *float64 `json:"againstPlan"`  // total, as a ratio
	Bound      *float64 `json:"againstBound"` // total, as a ratio; it is what the plan really is worth
	WaitP50    int64    `json:"waitP50Micros"`
	WaitP95    int64    `json:"waitP95Micros"`
	WaitP99    int64    `json:"waitP99Micros"`
	WaitMax    int64    `json:"waitMaxMicros"`
	ColdStarts int64    `json:"coldStarts"`
	Warm       bool     `json:"warm"`
}

type quotasSheet struct {
	MaxRefused    float64     `json:"maxRefused"`
	MaxWaitMicros int64       `json:"maxWaitP95Micros"`
	Teams         []teamSheet `json:"teams"`
	Others        int         `json:"teamsNotTried"`
}

type teamSheet struct {
	Team        string       `json:"team"`
	Calls       int64        `json:"calls"`
	Tried       int64        `json:"callsTried"`
	FromMicros  int64        `json:"windowFromMicros"`
	UntilMicros int64        `json:"windowUntilMicros"` // 0: all calls
	Peak        int64        `json:"peak"`
	Quota       *int64       `json:"slots"` // null: Fault says why
	Refused     float64      `json:"refused"`
	WaitMicros  int64        `json:"waitP95Micros"`
	Monotone    bool         `json:"monotone"`
	Trials      []trialSheet `json:"trials"`
	Fault       string       `json:"fault,omitempty"`
}

type trialSheet struct {
	Slots      int64   `json:"slots"`
	Refused    float64 `json:"refused"`
	WaitMicros int64   `json:"waitP95Micros"`
	Meets      bool    `json:"meets"`
}

// bounded is nil for what is without bounds.
func bounded(x float64) *float64 {
	if x == math.MaxFloat64 || math.IsInf(x, 0) || math.IsNaN(x) {
		return nil
	}
	return &x
}
