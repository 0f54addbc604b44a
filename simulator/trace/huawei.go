package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"
)

// Huawei's measures have the same columns and lie in folders named after them.
// Durations are taken to be milliseconds and memory that of one instance, in MB; the
// publisher's description leaves both open.
var (
	huaweiRequests  = []string{"requests_second", "requests_minute"}
	huaweiDurations = []string{"function_delay_minute", "function_delay_second"}
	huaweiMemory    = []string{"memory_limit_minute"}
)

// startHuawei is what day 0 is taken to be, a Monday: the data set hides its dates.
var startHuawei = time.Date(2023, 1, 2, 0, 0, 0, 0, time.UTC)

// huawei streams counts from files with a row per bin.
type huawei struct {
	files []file
	names *names
	width time.Duration
	first time.Duration // time of the first row

	opened  int
	lines   *lines
	columns []int32 // function of each column from the third
	last    time.Duration
	any     bool
}

func openHuawei(ctx context.Context, t *Trace, files []file, o Options) error {
	measures := map[string][]file{}
	for _, f := range files {
		name := filepath.Base(filepath.Dir(f.path))
		measures[name] = append(measures[name], f)
	}
	h := &huawei{names: newNames(o)}
	take := func(names []string) []file {
		for _, name := range names {
			if found := measures[name]; found != nil {
				delete(measures, name)
				return found
			}
		}
		return nil
	}
	h.files = take(huaweiRequests)
	if h.files == nil && len(measures) == 1 {
		h.files, measures = files, nil
	}
	if h.files == nil {
		return &Error{File: files[0].path, Problem: "no folder of requests among several of day and time columns", Remedy: "keep the data set's folders: requests_minute or requests_second, function_delay_minute …"}
	}
	delays, memory := take(huaweiDurations), take(huaweiMemory)
	for _, f := range files {
		if measures[filepath.Base(filepath.Dir(f.path))] != nil {
			t.skipped.add(f.path, 0, "a measure that is not used", 0, 0)
		}
	}
	if err := h.survey(ctx, t); err != nil {
		return err
	}
	if err := h.measure(ctx, t, delays, memory); err != nil {
		return err
	}
	t.functions = h.names.functions
	t.count(h, h.width, o)
	return h.rewind()
}

// survey reads all counts once.
func (h *huawei) survey(ctx context.Context, t *Trace) error {
	for i, f := range h.files {
		if filepath.Dir(f.path) != filepath.Dir(h.files[0].path) {
			return &Error{File: f.path, Problem: "requests in several folders, first " + filepath.Dir(h.files[0].path), Remedy: "name one of them"}
		}
		if i == 0 {
			if err := h.findWidth(f); err != nil {
				return err
			}
		}
	}
	t.calls = 0
	var cells []cell
	for {
		at, found, err := h.next(cells[:0])
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		cells = found
		t.length = at + h.width
		for _, c := range cells {
			t.calls += c.count
		}
	}
	t.start = startHuawei.Add(h.first)
	return nil
}

// findWidth takes the distance of the first two rows for the width of all bins.
func (h *huawei) findWidth(f file) error {
	var times []time.Duration
	err := rowsOf(f, func(l *lines, fields [][]byte) error {
		at, err := huaweiTime(l, fields)
		if times = append(times, at); err == nil && len(times) == 2 {
			err = io.EOF
		}
		return err
	})
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(times) == 0 {
		return &Error{File: f.path, Problem: "no row in it", Remedy: "the file may be cut off"}
	}
	h.first, h.width = times[0], time.Minute
	if len(times) == 2 {
		h.width = times[1] - times[0]
	}
	if h.width < time.Second || h.width > maxWidth {
		return &Error{File: f.path, Line: 3, Problem: fmt.Sprintf("rows are %s apart", h.width), Remedy: "times must rise by 1 to 60 seconds"}
	}
	return nil
}

func huaweiTime(l *lines, fields [][]byte) (time.Duration, error) {
	at, ok := parseScaled(fields[1], time.Second)
	if !ok || at < 0 {
		return 0, l.fail(fmt.Sprintf("time %q is not a number of seconds from 0", fields[1]), "mend the number")
	}
	return at, nil
}

func (h *huawei) next(into []cell) (time.Duration, []cell, error) {
	for {
		if h.lines == nil {
			if h.opened == len(h.files) {
				return 0, into, io.EOF
			}
			if err := h.open(h.files[h.opened]); err != nil {
				return 0, into, err
			}
		}
		fields, err := h.lines.row(len(h.files[h.opened-1].head))
		if err != nil {
			return 0, into, err
		}
		if fields != nil {
			return h.row(fields, into)
		}
		h.lines.close()
		h.lines = nil
	}
}

func (h *huawei) open(f file) (err error) {
	if h.lines, err = openLines(f.path); err != nil {
		return err
	}
	h.opened++
	h.columns = h.columns[:0]
	seen := make(map[string]bool, len(f.head))
	for _, id := range f.head[2:] {
		number, _ := h.names.number([]byte(id), []byte(id), []byte(id), nil)
		if seen[id] {
			return &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("column %q is there twice", id), Remedy: "remove one"}
		}
		seen[id] = true
		h.columns = append(h.columns, number)
	}
	_, err = h.lines.record()
	return err
}

func (h *huawei) row(fields [][]byte, into []cell) (time.Duration, []cell, error) {
	at, err := huaweiTime(h.lines, fields)
	if err != nil {
		return 0, into, err
	}
	if h.any && at < h.last+h.width {
		return 0, into, h.lines.fail(fmt.Sprintf("time %s does not follow %s by %s or more", at, h.last, h.width), "put rows and the names of files in order of time")
	}
	h.last, h.any = at, true
	for i, field := range fields[2:] {
		count, ok := parseCount(field)
		if !ok {
			return 0, into, h.lines.fail(fmt.Sprintf("count %q in column %d is not a whole number from 0 to %d", field, i+3, maxCount), "mend the count")
		}
		if count > 0 {
			into = append(into, cell{h.columns[i], count})
		}
	}
	return at - h.first, into, nil
}

func (h *huawei) rewind() error {
	h.opened, h.any = 0, false
	return h.close()
}

func (h *huawei) close() error {
	if h.lines != nil {
		h.lines.close()
		h.lines = nil
	}
	return nil
}

// measure sets durations, the distribution of their means per bin, and the mean
// memory limit.
func (h *huawei) measure(ctx context.Context, t *Trace, delays, memory []file) error {
	n := len(h.names.functions)
	seen := durations{of: make([]histogram, n), missing: make([]bool, n), any: true}
	err := h.values(ctx, t, delays, time.Millisecond, func(number int32, delay time.Duration) { seen.of[number].add(delay) })
	if err != nil {
		return err
	}
	seen.fill(h.names.functions)
	sums, counts := make([]float64, n), make([]float64, n)
	err = h.values(ctx, t, memory, 1000, func(number int32, thousandths time.Duration) {
		sums[number] += float64(thousandths) / 1000
		counts[number]++
	})
	for i := range sums {
		if counts[i] > 0 {
			h.names.functions[i].MiB = max(1, int64(math.Ceil(sums[i]/counts[i])))
		}
	}
	return err
}

// values passes the positive values of a measure, times unit; of functions without
// requests they are skipped.
func (h *huawei) values(ctx context.Context, t *Trace, files []file, unit time.Duration, take func(int32, time.Duration)) error {
	for _, f := range files {
		columns := make([]int32, len(f.head))
		for i, id := range f.head[2:] {
			columns[i+2] = -1
			h.names.each([]byte(id), []byte(id), []byte(id), func(number int32) bool { columns[i+2] = number; return false })
			if columns[i+2] < 0 {
				t.skipped.add(f.path, 1, "a measure of a function without requests", 0, 0)
			}
		}
		err := rowsOf(f, func(l *lines, fields [][]byte) error {
			for i, field := range fields[2:] {
				if columns[i+2] < 0 || len(field) == 0 || string(field) == "NaN" {
					continue
				}
				value, ok := parseScaled(field, unit)
				if !ok || value < 0 {
					return l.fail(fmt.Sprintf("value %q in column %d is not a number from 0, or too large", field, i+3), "mend the number")
				}
				if value > 0 {
					take(columns[i+2], value)
				}
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
