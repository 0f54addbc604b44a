package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/internal/safetext"
	"github.com/spillway-dev/spillway/simulator"
)

// CSV writes a row for each tenant: its calls by reason, its waits, and what each
// pool did for it. Amounts are exact. A text that a spreadsheet would take for a
// formula gets a leading apostrophe. What owned capacity costs idle and calls that are
// skipped are nobody's, and in no row; JSON has them.
func CSV(w io.Writer, v *View) error {
	s, err := newSheet(v)
	if err != nil {
		return err
	}
	head := []string{"namespace", "department", "calls", "placed", "refused"}
	for _, r := range spillway.Reasons() {
		head = append(head, r.String())
	}
	head = append(head, "wait_mean_us", "wait_p50_us", "wait_p95_us", "wait_p99_us", "wait_max_us", "cost_"+s.Platform.Currency)
	out := newSheetFile(w, append(head, s.usageHead()...))
	for i := range s.Tenants {
		t, n := &s.Tenants[i], &s.Platform.Namespaces[i]
		row := []string{safetext.Cell(n.Name), safetext.Cell(n.Department), number(t.Calls), number(t.Calls - t.Refused), number(t.Refused)}
		for _, r := range spillway.Reasons() {
			row = append(row, number(at(t.Reasons, int(r))))
		}
		x := spreadOf(t.Waits)
		row = append(row, number(x.MeanMicros), number(x.P50Micros), number(x.P95Micros), number(x.P99Micros), number(x.MaxMicros), amount(&t.Cost).text())
		out.row(append(row, usageCells(t.ByPool)...))
	}
	return out.end()
}

// FunctionsCSV writes a row for each function.
func FunctionsCSV(w io.Writer, v *View) error {
	s, err := newSheet(v)
	if err != nil {
		return err
	}
	out := newSheetFile(w, append([]string{"namespace", "function", "revision", "calls", "placed", "refused"}, s.usageHead()...))
	for i := range s.Functions {
		f, r := s.Platform.Functions[i], &s.Functions[i]
		row := []string{safetext.Cell(f.FunctionKey.Namespace), safetext.Cell(f.Name), safetext.Cell(f.Revision), number(r.Calls), number(r.Calls - r.Refused), number(r.Refused)}
		out.row(append(row, usageCells(r.ByPool)...))
	}
	return out.end()
}

// SeriesCSV writes a row for each step of time. What is in use and waits is the
// mean of the step.
func SeriesCSV(w io.Writer, v *View) error {
	s, err := newSheet(v)
	if err != nil {
		return err
	}
	out := newSheetFile(w, []string{"from", "arrivals", "refused", "cold_starts", "waiting_calls", "onprem_calls", "onprem_millicpu", "onprem_mib",
		"cloud_calls", "cloud_mib", "settled_" + s.Platform.Currency})
	for i := range s.Series {
		p := &s.Series[i]
		on, cloud, settled := p.Use[spillway.ClassOnPrem], p.Use[spillway.ClassCloud], billing.DecimalOf(p.Settled)
		out.row([]string{s.Start.Add(time.Duration(i) * s.Step).UTC().Format(time.RFC3339), number(p.Arrivals), number(p.Refused), number(p.Cold),
			s.mean(p.Waiting), s.mean(on.Slots), s.mean(on.MilliCPU), s.mean(on.MiB), s.mean(cloud.Slots), s.mean(cloud.MiB), amount(&settled).text()})
	}
	return out.end()
}

// mean divides a sum over a step by its length.
func (s *sheet) mean(sum int64) string {
	return strconv.FormatFloat(s.meanOf(sum), 'f', 3, 64)
}

func (s *sheet) meanOf(sum int64) float64 {
	if s.Step <= 0 {
		return 0
	}
	return float64(sum) / float64(s.Step.Microseconds())
}

func at(counts []int64, i int) int64 {
	if i < len(counts) {
		return counts[i]
	}
	return 0
}

// usageHead are the columns of each pool.
func (s *sheet) usageHead() []string {
	var head []string
	for _, p := range s.Platform.Pools {
		for _, name := range []string{"executed", "cold_starts", "unanswered", "throttled", "timed_out", "reclaimed", "gib_seconds", "cost"} {
			head = append(head, safetext.Cell(p.Name+"_"+name))
		}
	}
	return head
}

func usageCells(byPool []simulator.Usage) []string {
	var cells []string
	for i := range byPool {
		u := &byPool[i]
		cells = append(cells, number(u.Executed), number(u.Cold), number(u.Lost), number(u.Throttled), number(u.TimedOut), number(u.Reclaimed),
			amount(&u.GiBSeconds).text(), amount(&u.Cost).text())
	}
	return cells
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// sheetFile is a CSV in the making, as RFC 4180.
type sheetFile struct {
	out *csv.Writer
	err error
}

func newSheetFile(w io.Writer, head []string) *sheetFile {
	f := &sheetFile{out: csv.NewWriter(w)}
	f.row(head)
	return f
}

func (f *sheetFile) row(cells []string) {
	if f.err == nil {
		f.err = f.out.Write(cells)
	}
}

func (f *sheetFile) end() error {
	f.out.Flush()
	if f.err == nil {
		f.err = f.out.Error()
	}
	if f.err != nil {
		return fmt.Errorf("write report as CSV: %w", f.err)
	}
	return nil
}
