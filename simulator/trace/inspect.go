package trace

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// Summary is what Inspect finds.
type Summary struct {
	Format    Format
	Verified  bool // the format was read from real files of its publisher
	Start     time.Time
	Length    time.Duration
	Functions int
	Tenants   int
	Calls     int64

	MeanPerMinute float64 // calls, over the whole length, at least a minute
	PeakPerMinute int64   // most calls of one minute, counted from Start
	PeakMinute    time.Duration

	Duration     Quantiles     // over calls, to an eighth; exact at both ends
	MeanDuration time.Duration // exact to the float
	// DefaultDuration is what functions without durations of their own take, if calls carry none.
	DefaultDuration    Quantiles
	FunctionsByDefault int                  // whose calls' durations come from it
	FunctionsMemory    int                  // whose memory is known
	MemoryMiB          [quantileCount]int64 // over those functions, at QuantileFractions
	RareShare          float64              // of functions, called less than once a minute on average
	NeverCalled        int                  // functions
	PeakConcurrency    int64                // most calls executing at once, without cold starts or waiting
	PeakConcurrencyAt  time.Duration
	GiBSeconds         float64 // of executions, where memory is known
	CallsWithoutMemory int64
	CallsWithInit      int64 // with a recorded cold start time, also none
	RecordedColdStarts int64 // of those, longer than none
	Skipped            []Skip
}

// Inspect reads all calls of t, from the first, and rewinds it. It takes a fraction
// of a second for millions of calls, and memory bounded by functions and by calls executing at once.
func Inspect(ctx context.Context, t *Trace) (*Summary, error) {
	if err := t.Rewind(); err != nil {
		return nil, err
	}
	s := newInspection(t)
	calls := make([]Call, 4096)
	for {
		n, err := t.Next(calls)
		s.take(calls[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
	}
	return s.summary(), t.Rewind()
}

type inspection struct {
	t         *Trace
	sum       Summary
	durations histogram
	of        []int64 // calls of each function
	minute    int64
	inMinute  int64
	busy      busy
}

func newInspection(t *Trace) *inspection {
	return &inspection{t: t, of: make([]int64, len(t.functions))}
}

func (s *inspection) take(calls []Call) {
	for i := range calls {
		c := &calls[i]
		s.durations.add(c.Duration)
		s.of[c.Function]++
		s.perMinute(c.At)
		s.concurrency(c)
		if mib := s.t.functions[c.Function].MiB; mib > 0 {
			s.sum.GiBSeconds += float64(c.Duration.Seconds() * (float64(mib) / 1024)) // rounded before the sum, as on every machine
		} else {
			s.sum.CallsWithoutMemory++
		}
		if c.Init >= 0 {
			s.sum.CallsWithInit++
		}
		if c.Init > 0 {
			s.sum.RecordedColdStarts++
		}
	}
}

func (s *inspection) perMinute(at time.Duration) {
	if minute := int64(at / time.Minute); minute != s.minute {
		s.minute, s.inMinute = minute, 0
	}
	if s.inMinute++; s.inMinute > s.sum.PeakPerMinute {
		s.sum.PeakPerMinute, s.sum.PeakMinute = s.inMinute, time.Duration(s.minute)*time.Minute
	}
}

// concurrency counts a call until its end, the end not included.
func (s *inspection) concurrency(c *Call) {
	if n := s.busy.start(c.At, c.Duration); n > s.sum.PeakConcurrency {
		s.sum.PeakConcurrency, s.sum.PeakConcurrencyAt = n, c.At
	}
}

func (s *inspection) summary() *Summary {
	t, sum := s.t, &s.sum
	minutes := max(1, t.length.Minutes())
	sum.Format, sum.Verified, sum.Start, sum.Length = t.format, t.format.Verified(), t.start, t.length
	sum.Functions, sum.Skipped, sum.DefaultDuration = len(t.functions), t.Skipped(), t.defaulted
	sum.Calls = int64(s.durations.count)
	if sum.Calls > 0 {
		sum.Duration = s.durations.quantiles()
		sum.MeanDuration = time.Duration(s.durations.sum / float64(sum.Calls))
		sum.MeanPerMinute = float64(sum.Calls) / minutes
	}
	tenants := map[string]struct{}{}
	var memory []int64
	rare := 0
	for i := range t.functions {
		f := &t.functions[i]
		tenants[f.Tenant] = struct{}{}
		if f.MiB > 0 {
			memory = append(memory, f.MiB)
		}
		if !f.Duration.known && t.drawn(int32(i)) {
			sum.FunctionsByDefault++
		}
		if s.of[i] == 0 {
			sum.NeverCalled++
		}
		if float64(s.of[i]) < minutes {
			rare++
		}
	}
	sum.Tenants, sum.FunctionsMemory = len(tenants), len(memory)
	sum.RareShare = float64(rare) / float64(max(1, len(t.functions)))
	slices.Sort(memory)
	for i, fraction := range QuantileFractions() {
		if len(memory) > 0 {
			sum.MemoryMiB[i] = memory[int(fraction*float64(len(memory)-1))]
		}
	}
	return sum
}
