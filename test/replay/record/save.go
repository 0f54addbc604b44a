package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/billing/ledger"
	"github.com/spillway-dev/spillway/billing/sqlite"
	"github.com/spillway-dev/spillway/dispatcher"
	"github.com/spillway-dev/spillway/simulator/trace"
	"github.com/spillway-dev/spillway/test/replay/recording"
)

// told is one call as the server explains it.
type told struct {
	answer
	dispatcher.Explanation
}

// explain asks the server of every call: refused ones are in no ledger.
func (w *world) explain(ctx context.Context, all []answer) ([]told, error) {
	out := make([]told, len(all))
	for i, a := range all {
		out[i].answer = a
		if a.err != nil {
			return nil, a.err
		}
		if err := ask(ctx, w.admin+"/v1/explain/"+a.id, &out[i].Explanation); err != nil {
			return nil, err
		}
		if out[i].Answered == nil || out[i].Note != "" {
			return nil, fmt.Errorf("call %s: the record is not whole: %s", a.id, out[i].Note)
		}
	}
	slices.SortStableFunc(out, func(a, b told) int { return a.Admitted.Compare(b.Admitted) })
	return out, nil
}

func ask(ctx context.Context, url string, into any) error {
	text, err := read(ctx, url)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func read(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// ahead is the mean of what the starts of on-prem instances took before INIT.
func (w *world) ahead(ctx context.Context) (time.Duration, error) {
	text, err := read(ctx, w.admin+"/metrics")
	if err != nil {
		return 0, err
	}
	sum, starts := 0.0, 0.0
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue
		}
		const family = "spillway_pool_cold_start_step_duration_seconds_"
		switch name {
		case family + `sum{pool="onprem",step="unpack"}`, family + `sum{pool="onprem",step="start"}`:
			sum += n
		case family + `count{pool="onprem",step="start"}`:
			starts = n
		}
	}
	if starts == 0 {
		return 0, errors.New("the metrics know of no start of an instance")
	}
	return time.Duration(sum / starts * float64(time.Second)), nil
}

// charges are the ledger's charges by invocation.
func (s *stage) charges(ctx context.Context) (all map[string]billing.Entry, err error) {
	store, err := ledger.OpenReadOnly(ctx, s.data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	all = map[string]billing.Entry{}
	for e, err := range store.Lines(ctx, sqlite.Filter{}) {
		if err != nil {
			return nil, err
		}
		if e.Kind == billing.KindCharge {
			all[e.Invocation] = e
		}
	}
	return all, nil
}

// save writes the recording.
func (s *stage) save(ctx context.Context, l load, calls []told, ahead time.Duration, out string) error {
	charges, err := s.charges(ctx)
	if err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(out, l.name+".csv.zst"))
	if err != nil {
		return err
	}
	packed, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return err
	}
	rows := trace.NewUsageWriter(packed)
	times := recording.NewTimes(time.Now().UTC().Truncate(time.Second))
	times.Ahead("onprem", ahead)
	for i := range calls {
		row := rowOf(&calls[i], charges)
		if err := rows.Write(&row); err != nil {
			return err
		}
		times.Add(&row, calls[i].Answered.Sub(calls[i].Admitted), row.Pool == "lambda" || row.Pool == "scf")
	}
	return errors.Join(rows.Flush(), packed.Close(), file.Close(), times.Save(filepath.Join(out, l.name+".json")))
}

func rowOf(c *told, charges map[string]billing.Entry) trace.UsageRow {
	r := trace.UsageRow{
		Admitted: c.Admitted, Namespace: c.namespace, Function: c.function, Revision: c.Revision, Department: c.Department,
		Pool: c.Pool, Reason: c.Reason, Outcome: spillway.NotExecuted, Duration: -1, Init: -1, Currency: c.Currency,
		Waited: time.Duration(c.WaitedMs*1e3+0.5) * time.Microsecond,
	}
	e, executed := charges[c.id]
	switch {
	case executed:
		r.Outcome, r.Pool, r.Reason = e.Outcome, e.Pool, e.Reason
		r.Duration, r.Init = time.Duration(e.Usage.DurationMicros)*time.Microsecond, time.Duration(e.Usage.InitMicros)*time.Microsecond
		r.MemoryMiB, r.MilliCPU, r.BilledMillis, r.Amount = e.Resources.MiB, e.Resources.MilliCPU, e.BilledMillis, e.Amount
	case c.Outcome == "refused":
		r.Pool = ""
	default:
		r.Outcome = spillway.Unknown
	}
	return r
}
