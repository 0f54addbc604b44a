package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// The document that JSON writes. Names carry units; amounts are exact decimals in
// the platform's currency.
type (
	document struct {
		Run         runJSON          `json:"run"`
		Calls       callsJSON        `json:"calls"`
		Reasons     []reasonJSON     `json:"reasons"`
		Waits       spreadJSON       `json:"waits"`
		Latency     spreadJSON       `json:"latency"`
		ColdStarts  spreadJSON       `json:"coldStarts"`
		Cost        costJSON         `json:"cost"`
		Pools       []poolJSON       `json:"pools"`
		Departments []departmentJSON `json:"departments"`
		Tenants     []tenantJSON     `json:"tenants"`
		Functions   []functionJSON   `json:"functions,omitempty"`
		Optimum     *optimumJSON     `json:"optimum,omitempty"`
		Series      seriesJSON       `json:"series"`
		Notes       []string         `json:"notes,omitempty"`
		Warnings    []string         `json:"warnings,omitempty"`
	}
	runJSON struct {
		Version       string         `json:"version,omitempty"`
		Command       string         `json:"command,omitempty"`
		Trace         string         `json:"trace,omitempty"`
		Summary       *trace.Summary `json:"traceSummary,omitempty"`
		Skipped       []skipJSON     `json:"traceRowsSkipped"`
		Start         time.Time      `json:"start"`
		LengthMicros  int64          `json:"lengthMicros"`
		EndedMicros   int64          `json:"endedMicros"`
		Platform      string         `json:"platform,omitempty"`
		Configuration string         `json:"configuration,omitempty"`
		PricesAt      *time.Time     `json:"pricesAt,omitempty"`
		Seed          uint64         `json:"seed"`
		Warm          bool           `json:"warm"`
		Models        []modelJSON    `json:"poolModels,omitempty"`
	}
	skipJSON struct {
		Reason string `json:"reason"`
		File   string `json:"firstFile,omitempty"`
		Line   int64  `json:"firstLine,omitempty"`
		Rows   int64  `json:"rows"`
		Calls  int64  `json:"calls"`
	}
	modelJSON struct {
		Pool            string     `json:"pool"`
		Cold            []stepJSON `json:"coldStart"`
		AddedMicros     int64      `json:"addedMicros"`
		IdleForMicros   int64      `json:"idleForMicros"`
		InitBilled      bool       `json:"initBilled"`
		Outages         int        `json:"outages"`
		CapacityChanges int        `json:"capacityChanges"`
	}
	stepJSON struct {
		Name      string `json:"name"`
		P50Micros int64  `json:"p50Micros"`
		P99Micros int64  `json:"p99Micros"`
	}
	callsJSON struct {
		All     int64 `json:"all"`
		Placed  int64 `json:"placed"`
		Refused int64 `json:"refused"`
		Skipped int64 `json:"skipped"`
		// SkippedBecause is the one reason why calls are skipped.
		SkippedBecause string `json:"skippedBecause,omitempty"`
	}
	reasonJSON struct {
		Reason  spillway.Reason `json:"reason"`
		Refusal bool            `json:"refusal"`
		Calls   int64           `json:"calls"`
	}
	spreadJSON struct {
		Count      int64 `json:"count"`
		MeanMicros int64 `json:"meanMicros"`
		P50Micros  int64 `json:"p50Micros"`
		P95Micros  int64 `json:"p95Micros"`
		P99Micros  int64 `json:"p99Micros"`
		MaxMicros  int64 `json:"maxMicros"`
	}
	costJSON struct {
		Currency string  `json:"currency"`
		Owned    decimal `json:"owned"`
		Cloud    decimal `json:"cloud"`
		Total    decimal `json:"total"`
	}
	usageJSON struct {
		Executed       int64   `json:"executed"`
		Cold           int64   `json:"coldStarts"`
		TimedOut       int64   `json:"timedOut"`
		Throttled      int64   `json:"throttled"`
		Lost           int64   `json:"unanswered"`
		Reclaimed      int64   `json:"reclaimed"`
		BilledMillis   int64   `json:"billedMs"`
		DurationMicros int64   `json:"durationMicros"`
		InitMicros     int64   `json:"coldStartMicros"`
		GiBSeconds     decimal `json:"gibSeconds"`
		Cost           decimal `json:"cost"`
	}
	placeJSON struct {
		Pool string `json:"pool"`
		usageJSON
	}
	poolJSON struct {
		Pool         string         `json:"pool"`
		Kind         string         `json:"kind"`
		Region       string         `json:"region,omitempty"`
		PriceVersion string         `json:"priceVersion,omitempty"`
		Usage        usageJSON      `json:"usage"`
		Peak         resourcesJSON  `json:"peak"`
		Instances    *instancesJSON `json:"instances,omitempty"`
		Owned        *decimal       `json:"ownedCost,omitempty"`
	}
	resourcesJSON struct {
		Slots    int64 `json:"slots"`
		MilliCPU int64 `json:"milliCPU"`
		MiB      int64 `json:"mib"`
	}
	instancesJSON struct {
		Started         int64   `json:"started"`
		HeldGiBHours    float64 `json:"heldGibHours"`
		BusyGiBHours    float64 `json:"busyGibHours"`
		ReclaimedMicros int64   `json:"reclaimedMicros"`
	}
	departmentJSON struct {
		Department string     `json:"department"`
		Namespaces int        `json:"namespaces"`
		Calls      int64      `json:"calls"`
		Refused    int64      `json:"refused"`
		Overflowed int64      `json:"overflowed"`
		InCloud    int64      `json:"executedInCloud"`
		Waits      spreadJSON `json:"waits"`
		OnPrem     decimal    `json:"onPremCost"`
		Cloud      decimal    `json:"cloudCost"`
		Cost       decimal    `json:"cost"`
	}
	tenantJSON struct {
		Namespace  string       `json:"namespace"`
		Department string       `json:"department,omitempty"`
		Calls      int64        `json:"calls"`
		Refused    int64        `json:"refused"`
		Reasons    []reasonJSON `json:"reasons"`
		Waits      spreadJSON   `json:"waits"`
		Pools      []placeJSON  `json:"pools"`
		Cost       decimal      `json:"cost"`
	}
	functionJSON struct {
		Namespace string      `json:"namespace"`
		Function  string      `json:"function"`
		Revision  string      `json:"revision,omitempty"`
		Calls     int64       `json:"calls"`
		Refused   int64       `json:"refused"`
		Pools     []placeJSON `json:"pools"`
	}
	optimumJSON struct {
		GiB   float64 `json:"gib"`
		Label string  `json:"label"`
	}
	// seriesJSON divides time from the start in steps. Sums over the time of a step,
	// divided by StepMicros, are means.
	seriesJSON struct {
		StepMicros int64       `json:"stepMicros"`
		Points     []pointJSON `json:"points"`
	}
	pointJSON struct {
		Arrivals      int64         `json:"arrivals"`
		Refused       int64         `json:"refused"`
		Cold          int64         `json:"coldStarts"`
		WaitingMicros int64         `json:"waitingCallMicros"`
		OnPrem        resourcesJSON `json:"onPremMicros"` // each times microseconds
		Cloud         resourcesJSON `json:"cloudMicros"`
		Settled       decimal       `json:"settled"`
	}
)

// JSON writes everything, all tenants among it, as one indented object.
func JSON(w io.Writer, v *View) error {
	s, err := newSheet(v)
	if err != nil {
		return err
	}
	doc, err := s.document()
	if err != nil {
		return err
	}
	return writeJSON(w, doc)
}

func writeJSON(w io.Writer, value any) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return fmt.Errorf("write report as JSON: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write report as JSON: %w", err)
	}
	return nil
}

func spreadOf(h *simulator.Histogram) spreadJSON {
	if h == nil {
		return spreadJSON{}
	}
	return spreadJSON{h.Count(), h.Mean().Microseconds(), h.Quantile(0.5).Microseconds(), h.Quantile(0.95).Microseconds(), h.Quantile(0.99).Microseconds(), h.Max().Microseconds()}
}

func usageOf(u *simulator.Usage) usageJSON {
	return usageJSON{u.Executed, u.Cold, u.TimedOut, u.Throttled, u.Lost, u.Reclaimed, u.BilledMillis, u.DurationMicros, u.InitMicros, amount(&u.GiBSeconds), amount(&u.Cost)}
}

// amount cuts what decimals beyond those of a ledger a division left.
func amount(d *apd.Decimal) decimal {
	if x, err := stored(d); err == nil {
		x.Reduce(&x)
		return decimal{x}
	}
	return decimal{*d}
}

func resourcesOf(r spillway.Resources) resourcesJSON {
	return resourcesJSON{r.Slots, r.MilliCPU, r.MiB}
}
