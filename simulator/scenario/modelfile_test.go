package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/goccy/go-yaml"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/simulator"
)

// TestModelFiles reads files of models and resolves them for a pool named p. Commands:
//
//	read              what is wrong with the file, or the file as it is written again
//	pool kind= …      the model of a pool of 100 slots, 8 cores and 16 GiB, of what was read last
func TestModelFiles(t *testing.T) {
	datadriven.Walk(t, "testdata/models", func(t *testing.T, path string) {
		var models Models
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "read":
				var err error
				if models, err = decodeModels("m.yaml", []byte(d.Input)); err != nil {
					return faultsOf(t, err)
				}
				return writtenAgain(t, models)
			case "pool":
				return resolved(t, d, models)
			}
			return "unknown command"
		})
	})
}

func faultsOf(t *testing.T, err error) string {
	var faults config.Faults
	if !errors.As(err, &faults) {
		t.Fatalf("not faults: %v", err)
	}
	return faults.Error() + "\n"
}

func writtenAgain(t *testing.T, m Models) string {
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := decodeModels("again.yaml", text)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", err, text)
	}
	if second, err := json.Marshal(again); err != nil || string(second) != string(text) {
		t.Fatalf("written %s, then %s (%v)", text, second, err)
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		t.Fatal(err)
	}
	if _, err := decodeModels("again.yaml", text); err != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", err, text)
	}
	return string(text)
}

var kinds = map[string]spillway.PoolKind{"process": spillway.PoolProcess, "lambda": spillway.PoolLambda, "scf": spillway.PoolSCF}

func resolved(t *testing.T, d *datadriven.TestData, m Models) string {
	var kind, from, length string
	slots := int64(100)
	d.ScanArgs(t, "kind", &kind)
	d.MaybeScanArgs(t, "start", &from)
	d.MaybeScanArgs(t, "length", &length)
	d.MaybeScanArgs(t, "slots", &slots)
	start, err := time.Parse(time.RFC3339, from)
	if err != nil {
		start = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	}
	long, err := time.ParseDuration(length)
	if err != nil {
		long = 24 * time.Hour
	}
	p := &spillway.Platform{Pools: []*spillway.Pool{{Name: "p", Kind: kinds[kind], Capacity: spillway.Resources{Slots: slots, MilliCPU: 8000, MiB: 16384}}}}
	models, err := m.forPools(p, start, long)
	if err != nil {
		return faultsOf(t, err)
	}
	return describe(&models[0])
}

func describe(m *simulator.PoolModel) string {
	var b strings.Builder
	for _, s := range append(m.Cold, m.Stop) {
		if s.P99 > 0 {
			fmt.Fprintf(&b, "%s %v %v outside=%v\n", s.Name, s.P50, s.P99, s.Outside)
		}
	}
	fmt.Fprintf(&b, "added %v idle %v billed %v\n", m.Added, m.IdleFor, m.InitBilled)
	for _, a := range m.Away {
		fmt.Fprintf(&b, "away %v to %v throttle=%v\n", a.From, a.To, a.Throttle)
	}
	for _, c := range m.Capacity {
		fmt.Fprintf(&b, "%v: %d slots %dm %d MiB\n", c.At, c.Capacity.Slots, c.Capacity.MilliCPU, c.Capacity.MiB)
	}
	return b.String()
}

// FuzzModels reads any text: it ends with faults that have a place, or with models
// that can be written, read again and resolved for pools of all kinds, in bounds.
func FuzzModels(f *testing.F) {
	f.Add("pools:\n  p:\n    coldStart: [{name: init, p50: 1ms, p99: 2ms}]\n    idleFor: 10m\n    away: [{from: 1h, to: 2h}]\n")
	f.Add("pools: {p: {capacity: [{at: 1h, cpu: 2}], daily: [{hour: 3, share: 0.5}], timeZone: Asia/Shanghai}}")
	f.Add("pools: {p: {spot: {machines: 3, revokedPerHour: 3600, backAfter: 1ns, seed: 9}}}")
	f.Add("pools: &a {p: {stop: {p50: 1s, p99: 1s}, observed: {calls: 3, coldStarts: 1}}, q: {added: 1s}}")
	f.Fuzz(func(t *testing.T, text string) {
		models, err := decodeModels("m.yaml", []byte(text))
		if err != nil {
			var faults config.Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("not faults: %v", err)
			}
			return
		}
		writtenAgain(t, models)
		start := time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)
		for _, kind := range kinds {
			for _, pool := range models {
				all, err := Models{"p": pool}.forPools(&spillway.Platform{Pools: []*spillway.Pool{{Name: "p", Kind: kind, Capacity: spillway.Resources{Slots: spillway.Unlimited, MilliCPU: 9, MiB: 7}}}}, start, 48*time.Hour)
				if err != nil {
					continue
				}
				last := time.Duration(-1)
				for _, c := range all[0].Capacity {
					if c.At <= last || min(c.Capacity.Slots, c.Capacity.MilliCPU, c.Capacity.MiB) < 0 {
						t.Fatalf("step %+v after %v", c, last)
					}
					last = c.At
				}
			}
		}
	})
}
