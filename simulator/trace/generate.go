package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spillway-dev/spillway"
)

// Generate writes a synthetic trace: as Usage to a file, packed by gzip if its
// name ends in .gz and by zstd if in .zst; or as Azure2019 to a new directory, with a gzip file
// of counts for each day, which begins on the data set's first day, 2019-07-15. The same
// Workload gives the same bytes. Nothing is left at path if it fails.
func Generate(ctx context.Context, path string, format Format, w Workload) error {
	switch format {
	case Usage:
		return generateUsage(ctx, path, w)
	case Azure2019:
		return generateAzure(ctx, path, w)
	}
	return fmt.Errorf("generate a trace: format %q cannot be written; allowed: %s, %s", format, Usage, Azure2019)
}

func generateUsage(ctx context.Context, path string, w Workload) error {
	t, err := New(w)
	if err != nil {
		return err
	}
	return writeFile(path, func(out io.Writer) error {
		rows := NewUsageWriter(out)
		calls := make([]Call, 4096)
		for {
			n, err := t.Next(calls)
			if errors.Is(err, io.EOF) {
				return rows.Flush()
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			if err := writeCalls(rows, t, calls[:n]); err != nil {
				return err
			}
			w.reached(calls[n-1].At)
		}
	})
}

func writeCalls(rows *UsageWriter, t *Trace, calls []Call) error {
	for i := range calls {
		c := &calls[i]
		f := &t.functions[c.Function]
		row := UsageRow{Admitted: t.start.Add(c.At), Namespace: f.App, Function: f.Name, Department: f.Tenant, Outcome: spillway.Executed,
			Duration: c.Duration, Init: -1, MemoryMiB: f.MiB, BilledMillis: int64((c.Duration + time.Millisecond - 1) / time.Millisecond)}
		if err := rows.Write(&row); err != nil {
			return err
		}
	}
	return nil
}

func generateAzure(ctx context.Context, path string, w Workload) error {
	if w.Start.IsZero() {
		w.Start = firstDay2019
	}
	if !w.Start.Equal(firstDay2019) {
		return fmt.Errorf("generate a trace: format %s has no dates, it begins on %s; leave the start out or write %s", Azure2019, firstDay2019.Format(time.DateOnly), Usage)
	}
	s, err := newSynthetic(w)
	if err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o777); err != nil {
		return fmt.Errorf("generate a trace: %w", err)
	}
	if err := s.writeAzure(ctx, path, &w); err != nil {
		os.RemoveAll(path)
		return err
	}
	return nil
}

func (w *Workload) reached(at time.Duration) {
	if w.Progress != nil {
		w.Progress(at)
	}
}

func (s *synthetic) writeAzure(ctx context.Context, path string, w *Workload) error {
	for day := range s.hours / 24 {
		w.reached(time.Duration(day) * 24 * time.Hour)
		name := fmt.Sprintf("invocations_per_function.d%02d.csv.gz", day+1)
		if err := writeFile(filepath.Join(path, name), func(out io.Writer) error { return s.writeDay(ctx, out, day) }); err != nil {
			return err
		}
	}
	if err := writeFile(filepath.Join(path, "function_durations.csv.gz"), s.writeDurations); err != nil {
		return err
	}
	return writeFile(filepath.Join(path, "app_memory.csv.gz"), s.writeMemory)
}

func (s *synthetic) writeDay(ctx context.Context, out io.Writer, day int) error {
	line := append([]byte(strings.Join(columns2019, ",")), ",Trigger"...)
	for minute := range 1440 {
		line = strconv.AppendInt(append(line, ','), int64(minute+1), 10)
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return err
	}
	var hours [24]when
	for h := range hours {
		hours[h] = s.when(24*day + h)
	}
	for f := range s.functions {
		line = append(append(s.identify(line[:0], f), ','), s.functions[f].Trigger...)
		for h := range hours {
			var counts [60]int64
			s.counts(f, &hours[h], &counts)
			for _, n := range counts {
				line = strconv.AppendInt(append(line, ','), n, 10)
			}
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (s *synthetic) identify(line []byte, f int) []byte {
	fn := &s.functions[f]
	return append(append(append(append(append(line, fn.Tenant...), ','), fn.App...), ','), fn.Name...)
}

func (s *synthetic) writeDurations(out io.Writer) error {
	line := []byte(strings.Join(columns2019, ",") + ",Average," + strings.Join(columnsDuration[:], ",") + "\n")
	for f := range s.functions {
		q := &s.functions[f].Duration
		line = append(s.identify(line, f), ',')
		line = strconv.AppendFloat(line, milliseconds(q.Mean()), 'f', -1, 64)
		for _, p := range q.Points() {
			line = strconv.AppendFloat(append(line, ','), milliseconds(p), 'f', -1, 64)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
		line = line[:0]
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (s *synthetic) writeMemory(out io.Writer) error {
	line := []byte(strings.Join(columns2019[:2], ",") + "," + columnAllocated + "\n")
	for f := range s.functions {
		fn := &s.functions[f]
		line = append(append(append(append(line, fn.Tenant...), ','), fn.App...), ',')
		if _, err := out.Write(append(strconv.AppendInt(line, fn.MiB, 10), '\n')); err != nil {
			return err
		}
		line = line[:0]
	}
	return nil
}

// writeFile writes a file whole or not at all, packed by its suffix.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write trace %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write trace %s: %w", path, err)
		}
	}()
	packed, err := pack(f, path)
	if err != nil {
		return err
	}
	if err := write(packed); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func pack(f *os.File, path string) (io.WriteCloser, error) {
	switch filepath.Ext(path) {
	case ".gz":
		return gzip.NewWriter(f), nil
	case ".zst":
		return zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
	}
	return unpacked{f}, nil
}

// unpacked leaves closing to the file's owner.
type unpacked struct{ io.Writer }

func (unpacked) Close() error { return nil }
