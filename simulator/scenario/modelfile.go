package scenario

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/config"
)

// Models say how pools behave, by name. In a file:
//
//	pools:
//	  lambda:
//	    coldStart:                  # steps, one after the other; [] for none
//	      - {name: environment, p50: 120ms, p99: 400ms, outside: true}
//	      - {name: init, p50: 180ms, p99: 900ms}
//	    added: 5ms                  # to each call: network and the provider
//	    idleFor: 10m                # how long an idle environment is kept
//	    initBilled: true
//	    away: [{from: 1h, to: 1h10m, throttle: true}]
//	  offline:
//	    stop: {p50: 50ms, p99: 1s}  # what the end of an idle instance takes
//	    capacity: [{at: 6h, cpu: 16, memory: 64Gi, slots: 200}]
//	    daily: [{hour: 0, share: 1}, {hour: 9, share: 0.25}, {hour: 22, share: 1}]
//	    timeZone: Asia/Shanghai     # of daily; UTC if not written
//	    spot: {machines: 20, revokedPerHour: 0.05, backAfter: 15m, seed: 1}
//
// Whatever is not written is as DefaultModel has it. A step of a cold start that is
// outside comes before the function's own initialisation: no provider bills it, and
// recorded cold starts are without it. Where steps are written but none of them is
// outside, the default's that are outside stay, since a ledger does not know them; so
// do its others where all are outside. Times without a date count from the start of
// the trace. idleFor, initBilled and throttle are for clouds; stop, capacity, daily and
// spot for owned pools, for which away means that they have nothing.
//
// What an owned pool has at a time is the latest step of capacity, or what the
// configuration says, times the share of the hour, times the share of spot machines
// that are there, rounded down. An offline pool has nothing before its first step: that
// is what is idle, and nobody else says it.
type Models map[string]Model

// Model is how one pool behaves, where that differs from DefaultModel.
type Model struct {
	ColdStart  []ColdStep         `json:"coldStart,omitzero"`
	Stop       *StopTime          `json:"stop,omitempty"`
	Added      *v1alpha1.Duration `json:"added,omitempty"`
	IdleFor    *v1alpha1.Duration `json:"idleFor,omitempty"`
	InitBilled *bool              `json:"initBilled,omitempty"`
	Away       []Away             `json:"away,omitempty"`
	Capacity   []CapacityStep     `json:"capacity,omitempty"`
	Daily      []HourShare        `json:"daily,omitempty"`
	TimeZone   string             `json:"timeZone,omitempty"` // IANA name
	Spot       *Spot              `json:"spot,omitempty"`
	// Observed is what figures from a ledger rest on.
	Observed *Observed `json:"observed,omitempty"`

	written *config.Written // nil: no file
	path    string          // in the file
	faults  config.Faults
}

// ColdStep is one part of a cold start, log-normal through its quantiles.
type ColdStep struct {
	Name    string             `json:"name"`
	P50     *v1alpha1.Duration `json:"p50"` // never nil once checked
	P99     *v1alpha1.Duration `json:"p99"` // never nil once checked
	Outside bool               `json:"outside,omitempty"`
}

// StopTime is what the end of an instance takes.
type StopTime struct {
	P50 *v1alpha1.Duration `json:"p50"` // never nil once checked
	P99 *v1alpha1.Duration `json:"p99"` // never nil once checked
}

// Away is a time [From, To) since the start of the trace.
type Away struct {
	From     v1alpha1.Duration `json:"from"`
	To       v1alpha1.Duration `json:"to"`
	Throttle bool              `json:"throttle,omitempty"` // a cloud answers 429; else it cannot be reached
}

// CapacityStep is what an owned pool has from At on; what is nil is as configured.
type CapacityStep struct {
	At     v1alpha1.Duration  `json:"at"`
	CPU    *v1alpha1.MilliCPU `json:"cpu,omitempty"`
	Memory *v1alpha1.Bytes    `json:"memory,omitempty"`
	Slots  *int64             `json:"slots,omitempty"`
}

// HourShare is the share of its capacity that a pool has from an hour of the day on.
type HourShare struct {
	Hour  int64  `json:"hour"`  // 0 to 23
	Share *Share `json:"share"` // never nil once checked
}

// Spot is a pool of machines that are taken away one by one: each at exponential
// intervals of which there are RevokedPerHour on the mean while it is there, and back
// after BackAfter. The same seed takes the same machines at the same times.
type Spot struct {
	Machines       int64             `json:"machines"`
	RevokedPerHour v1alpha1.Decimal  `json:"revokedPerHour"`
	BackAfter      v1alpha1.Duration `json:"backAfter"`
	Seed           int64             `json:"seed"`
}

// Observed counts what figures rest on.
type Observed struct {
	Calls      int64 `json:"calls"`                // of the pool
	ColdStarts int64 `json:"coldStarts"`           // with a recorded time
	Warm       int64 `json:"warmGaps,omitempty"`   // environments used again after idling: idleFor is longer
	Gone       int64 `json:"goneGaps,omitempty"`   // environments that were gone: idleFor is shorter
	Against    int64 `json:"againstGap,omitempty"` // of both, those that idleFor contradicts
	Billed     int64 `json:"initsBilled,omitempty"`
	Unbilled   int64 `json:"initsUnbilled,omitempty"`
}

// Share is a part between 0 and 1, in millionths.
type Share int64

const wholeShare Share = 1_000_000

// UnmarshalText reads a decimal from 0 to 1.
func (s *Share) UnmarshalText(text []byte) error {
	var nano v1alpha1.Amount
	switch err := nano.UnmarshalText(text); {
	case err != nil:
		return err
	case nano > 1_000_000_000:
		return errors.New("more than 1")
	case nano%1000 != 0:
		return errors.New("more than 6 decimals")
	}
	*s = Share(nano / 1000)
	return nil
}

// MarshalText writes it as it is read.
func (s Share) MarshalText() ([]byte, error) { return []byte(v1alpha1.Amount(s * 1000).String()), nil }

// Syntax says how a share is written.
func (Share) Syntax() string { return "a share from 0 to 1 such as 0.25, at most 6 decimals" }

type modelFile struct {
	Pools map[string]Model `json:"pools"`
}

// MarshalJSON writes the file that ReadModels reads; JSON is YAML.
func (m Models) MarshalJSON() ([]byte, error) { return json.Marshal(modelFile{m}) }

// maxModelFile bounds what is read; more is refused by config.Decode.
const maxModelFile = 1<<20 + 1

// ReadModels reads a file of models. All its mistakes are returned as config.Faults.
func ReadModels(path string) (Models, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, config.Faults{{File: path, Problem: "there is no such file", Allowed: "a file of models; 'spillway simulate fit' writes one"}}
	}
	if err != nil {
		return nil, fmt.Errorf("read models: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxModelFile))
	if err != nil {
		return nil, fmt.Errorf("read models: %w", err)
	}
	return decodeModels(path, text)
}

func decodeModels(path string, text []byte) (Models, error) {
	var file modelFile
	w, faults := config.Decode(path, text, &file)
	if len(file.Pools) == 0 && len(faults) == 0 {
		faults = append(faults, w.At("pools", "no pool is named", "a mapping of names of pools to what is known of them"))
	}
	wrong := map[string]bool{}
	for _, f := range faults {
		wrong[f.Field] = true
	}
	models := Models{}
	for _, name := range slices.Sorted(maps.Keys(file.Pools)) {
		m := file.Pools[name]
		m.written, m.path = w, "pools."+name
		m.check()
		for _, f := range m.faults {
			if !wrong[f.Field] { // what could not be read is wrong only once
				faults = append(faults, f)
			}
		}
		models[name] = m
	}
	if len(faults) > 0 {
		slices.SortStableFunc(faults, func(a, b config.Fault) int { return cmp.Or(a.Line-b.Line, a.Col-b.Col) })
		return nil, faults
	}
	return models, nil
}

// begin prepares a model to note faults, also one that nobody wrote.
func (m *Model) begin(name string) {
	m.faults = nil
	if m.written == nil {
		m.written, _ = config.Decode("models", nil, &modelFile{}) // there is nothing to be wrong
		m.path = "pools." + name
	}
}

// fault notes what is wrong at a field of the model.
func (m *Model) fault(field, problem, allowed string) {
	if field != "" {
		field = "." + field
	}
	m.faults = append(m.faults, m.written.At(m.path+field, problem, allowed))
}

// zone is that of Daily.
func (m *Model) zone() (*time.Location, error) {
	switch m.TimeZone {
	case "":
		return time.UTC, nil
	case "Local":
		return nil, errors.New("it would depend on the machine")
	}
	return time.LoadLocation(m.TimeZone)
}
