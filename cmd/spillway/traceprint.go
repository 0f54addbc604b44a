package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/internal/safetext"
	"github.com/spillway-dev/spillway/simulator/trace"
)

// inspected is a trace as it is printed. Lists of quantiles are least, 1 %, 25 %,
// median, 75 %, 99 % and most.
type inspected struct {
	Path     string       `json:"path"`
	Format   trace.Format `json:"format"`
	Verified bool         `json:"verified"` // the format was read from real files of its publisher
	Start    time.Time    `json:"start"`
	Seconds  float64      `json:"lengthSeconds"`

	Functions   int     `json:"functions"`
	NeverCalled int     `json:"functionsNeverCalled"`
	RareShare   float64 `json:"rareShare"` // of functions, called less than once a minute on average
	Tenants     int     `json:"tenants"`
	Calls       int64   `json:"calls"`

	PerMinute       float64 `json:"callsPerMinute"` // mean
	PeakPerMinute   int64   `json:"peakCallsPerMinute"`
	PeakMinute      int64   `json:"peakMinute"`      // since the start
	PeakConcurrency int64   `json:"peakConcurrency"` // calls that execute at once, without cold starts and waiting
	PeakAtSeconds   float64 `json:"peakConcurrencyAtSeconds"`

	DurationMicros     trace.Quantiles `json:"durationMicros"`
	MeanDurationMicros int64           `json:"meanDurationMicros"`
	DefaultMicros      trace.Quantiles `json:"defaultDurationMicros"` // of functions that the trace knows no durations of
	ByDefault          int             `json:"functionsByDefaultDuration"`

	MemoryMiB          [7]int64 `json:"memoryMiB"` // over functions whose memory is known
	FunctionsMemory    int      `json:"functionsWithMemory"`
	GiBSeconds         float64  `json:"gibSeconds"` // of executions, where memory is known
	CallsWithoutMemory int64    `json:"callsWithoutMemory"`
	CallsWithInit      int64    `json:"callsThatSayColdStart"` // also that there was none
	ColdStarts         int64    `json:"coldStarts"`

	Skipped []skippedRows `json:"skipped"`
}

type skippedRows struct {
	File   string `json:"file"`           // first place
	Line   int64  `json:"line,omitempty"` // none: the whole file
	Reason string `json:"reason"`
	Rows   int64  `json:"rows"`
	Calls  int64  `json:"calls"` // of those rows, where they say
}

func inspectedOf(path string, s *trace.Summary) *inspected {
	v := &inspected{
		Path: path, Format: s.Format, Verified: s.Verified, Start: s.Start, Seconds: s.Length.Seconds(),
		Functions: s.Functions, NeverCalled: s.NeverCalled, RareShare: s.RareShare, Tenants: s.Tenants, Calls: s.Calls,
		PerMinute: s.MeanPerMinute, PeakPerMinute: s.PeakPerMinute, PeakMinute: int64(s.PeakMinute / time.Minute),
		PeakConcurrency: s.PeakConcurrency, PeakAtSeconds: s.PeakConcurrencyAt.Seconds(),
		DurationMicros: s.Duration, MeanDurationMicros: s.MeanDuration.Microseconds(), DefaultMicros: s.DefaultDuration, ByDefault: s.FunctionsByDefault,
		MemoryMiB: s.MemoryMiB, FunctionsMemory: s.FunctionsMemory, GiBSeconds: s.GiBSeconds, CallsWithoutMemory: s.CallsWithoutMemory,
		CallsWithInit: s.CallsWithInit, ColdStarts: s.RecordedColdStarts, Skipped: []skippedRows{},
	}
	for _, k := range s.Skipped {
		v.Skipped = append(v.Skipped, skippedRows(k))
	}
	return v
}

// print writes it for people, in 80 columns but for names of files.
func (v *inspected) print(w io.Writer) error {
	format := string(v.Format)
	if !v.Verified {
		format += " (unverified: read from its documentation, never tried on real files)"
	}
	if err := table(w, [][]string{
		{"format", format},
		{"start", v.Start.UTC().Format(time.RFC3339)},
		{"length", lasting(v.Seconds)},
		{"functions", fmt.Sprintf("%s of %s", thousands(int64(v.Functions)), several(v.Tenants, "tenant"))},
		{"", fmt.Sprintf("%.1f %% are called less than once a minute, %s never", 100*v.RareShare, thousands(int64(v.NeverCalled)))},
		{"calls", thousands(v.Calls)},
		{"a minute", fmt.Sprintf("%s on the mean, %s in the busiest, %s after the start", tenths(v.PerMinute), thousands(v.PeakPerMinute), lasting(float64(v.PeakMinute*60)))},
		{"at once", fmt.Sprintf("%s execute at the peak, %s after the start", thousands(v.PeakConcurrency), lasting(v.PeakAtSeconds))},
		{"", "without cold starts and waiting"},
		{"memory time", v.memoryTime()},
		{"cold starts", v.coldStarts()},
	}); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := table(w, v.distributions()); err != nil {
		return err
	}
	return v.printSkipped(w)
}

func (v *inspected) memoryTime() string {
	text := tenths(v.GiBSeconds/3600) + " GiB·h"
	switch v.CallsWithoutMemory {
	case 0:
		return text
	case v.Calls:
		return "not known: the trace does not say memory"
	}
	return fmt.Sprintf("%s, without %s calls whose memory is not known", text, thousands(v.CallsWithoutMemory))
}

func (v *inspected) coldStarts() string {
	if v.CallsWithInit == 0 {
		return "not recorded"
	}
	return fmt.Sprintf("%s, recorded for %s calls", thousands(v.ColdStarts), thousands(v.CallsWithInit))
}

// distributions are the rows of least, quantiles, most and mean.
func (v *inspected) distributions() [][]string {
	rows := [][]string{{"", "LEAST", "1 %", "25 %", "MEDIAN", "75 %", "99 %", "MOST", "MEAN"}}
	if v.DurationMicros.Known() {
		rows = append(rows, append(durations("duration", v.DurationMicros), short(time.Duration(v.MeanDurationMicros)*time.Microsecond)))
	}
	if v.ByDefault > 0 {
		rows = append(rows, append(durations("by default", v.DefaultMicros), short(v.DefaultMicros.Mean())))
	}
	if v.FunctionsMemory > 0 {
		memory := []string{"memory MiB"}
		for _, m := range v.MemoryMiB {
			memory = append(memory, strconv.FormatInt(m, 10))
		}
		rows = append(rows, memory)
	}
	return rows
}

func durations(name string, q trace.Quantiles) []string {
	row := []string{name}
	for _, d := range q.Points() {
		row = append(row, short(d))
	}
	return row
}

func (v *inspected) printSkipped(w io.Writer) error {
	fmt.Fprintln(w)
	if v.ByDefault > 0 {
		fmt.Fprintf(w, "the trace has no durations of %s; they last as \"by default\"\n", several(v.ByDefault, "function"))
	}
	if v.FunctionsMemory > 0 && v.FunctionsMemory < v.Functions {
		fmt.Fprintf(w, "memory is of the %s functions that say it\n", thousands(int64(v.FunctionsMemory)))
	}
	if len(v.Skipped) == 0 {
		_, err := fmt.Fprintln(w, "nothing was skipped")
		return err
	}
	fmt.Fprintln(w, "skipped:")
	for _, k := range v.Skipped {
		at, what := k.File, "not read"
		if k.Line > 0 {
			at += ":" + strconv.FormatInt(k.Line, 10)
		}
		if k.Rows > 0 {
			what = fmt.Sprintf("%s rows, %s calls, first at", thousands(k.Rows), thousands(k.Calls))
		}
		fmt.Fprintf(w, "  %s\n    %s %s\n", safetext.Line(k.Reason), what, safetext.Line(at))
	}
	return nil
}

// thousands writes a count with commas.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, digit := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// several is a count and its noun.
func several(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(int64(n)) + " " + noun
}

func tenths(x float64) string {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(x, 'f', 1, 64), ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return whole // beyond what can be counted
	}
	return thousands(n) + "." + fraction
}

// lasting writes seconds as days, hours, minutes and seconds.
func lasting(seconds float64) string {
	d := time.Duration(min(seconds, 9e9) * float64(time.Second))
	if d < time.Minute {
		return short(d)
	}
	d = d.Round(time.Second)
	text := ""
	if days := d / (24 * time.Hour); days > 0 {
		text, d = strconv.FormatInt(int64(days), 10)+"d", d%(24*time.Hour)
	}
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if n := d / unit.of; n > 0 {
			text, d = text+strconv.FormatInt(int64(n), 10)+unit.name, d%unit.of
		}
	}
	return text
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	unit := time.Nanosecond
	for _, u := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= u {
			unit = u / 1000
			break
		}
	}
	for unit*1000 <= d {
		unit *= 10
	}
	return d.Round(unit).String()
}
