package trace

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"
)

// azure2019 collects the files of counts, durations and memory.
type azure2019 struct {
	ctx     context.Context
	names   *names
	days    countedDays
	calls   int64
	skipped *skips
	weights []float64 // of each function's durations so far
}

// firstDay2019 is the first day of the data set.
var firstDay2019 = time.Date(2019, 7, 15, 0, 0, 0, 0, time.UTC)

func openAzure2019(ctx context.Context, t *Trace, files []file, o Options) error {
	a := &azure2019{ctx: ctx, names: newNames(), skipped: &t.skipped}
	a.days.width = time.Minute
	first, err := a.readCounts(files)
	if err != nil {
		return err
	}
	if err := a.readDurations(files); err != nil {
		return err
	}
	perFunction, err := a.readMemory(files)
	if err != nil {
		return err
	}
	if perFunction {
		t.format = InVitro
	}
	last := &a.days.days[len(a.days.days)-1]
	t.functions, t.calls = a.names.functions, a.calls
	t.start = firstDay2019.Add(time.Duration(first-1) * time.Minute)
	t.length = last.at + time.Duration(len(last.ends))*time.Minute
	t.count(&a.days, a.days.width, o)
	return nil
}

// count sets the source of calls to counts.
func (t *Trace) count(b bins, width time.Duration, o Options) {
	t.defaulted = defaultDuration(t.functions)
	t.source = &counted{bins: b, functions: t.functions, defaulted: &t.defaulted, width: width, seed: o.Seed, spread: o.Spread}
}

func ofKind(files []file, k kind) []file {
	return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return f.kind != k })
}

// readCounts reads the days and returns the number of the first one's first minute.
func (a *azure2019) readCounts(files []file) (first int, err error) {
	days := ofKind(files, kindCounts)
	if len(days) == 0 {
		return 0, &Error{File: files[0].path, Problem: "durations or memory of Azure 2019 without counts of calls", Remedy: "name the folder that also holds the counts per minute"}
	}
	var seen []int32 // day + 1 in which each function was seen last
	for i, f := range days {
		if filepath.Dir(f.path) != filepath.Dir(days[0].path) {
			return 0, &Error{File: f.path, Problem: "counts in several folders, first " + filepath.Dir(days[0].path), Remedy: "name one of the folders: days of one trace lie together"}
		}
		minutes, from, err := minuteColumns(f, len(days) > 1)
		if err != nil {
			return 0, err
		}
		if i == 0 {
			first = from
		}
		at := time.Duration(i)*24*time.Hour + time.Duration(from-first)*time.Minute
		if seen, err = a.readDay(f, minutes, at, seen); err != nil {
			return 0, err
		}
	}
	if len(a.names.functions) == 0 {
		return 0, &Error{File: days[0].path, Problem: "no function in it", Remedy: "the file may be cut off"}
	}
	return first, nil
}

// minuteColumns returns the places of the minutes, which must follow each other.
func minuteColumns(f file, withinDay bool) (places []int, first int, err error) {
	first = -1
	for i, name := range f.head {
		minute := minuteOf(name)
		if minute < 0 {
			continue
		}
		if first < 0 {
			first = minute
		}
		if minute != first+len(places) {
			return nil, 0, &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("column %q where minute %d should follow", name, first+len(places)), Remedy: "put the minutes in order, without gaps"}
		}
		places = append(places, i)
	}
	if withinDay && first+len(places) > 1441 {
		return nil, 0, &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("minutes up to %d in one of several days", first+len(places)-1), Remedy: "a day has minutes 1 to 1440; name the file alone if it is a trace of its own"}
	}
	return places, first, nil
}

// readDay packs one file of counts.
func (a *azure2019) readDay(f file, minutes []int, at time.Duration, seen []int32) ([]int32, error) {
	id, err := where(f, columns2019...)
	if err != nil {
		return nil, err
	}
	trigger := slices.Index(f.head, "Trigger")
	packer := newDayPacker(len(minutes))
	var numbers []int32
	ordered, day := true, int32(len(a.days.days)+1)
	err = rowsOf(f, func(l *lines, fields [][]byte) error {
		var kind []byte
		if trigger >= 0 {
			kind = fields[trigger]
		}
		number, err := a.function(l, fields, id, kind)
		if err != nil {
			return err
		}
		seen = append(seen, make([]int32, len(a.names.functions)-len(seen))...)
		if seen[number] == day {
			return l.fail("a second row of function "+string(fields[id[2]]), "add the rows together or remove one")
		}
		seen[number] = day
		row := len(numbers)
		numbers = append(numbers, number)
		ordered = ordered && int(number) == row
		return a.readRow(l, packer, row, fields, minutes)
	})
	if err != nil {
		return nil, err
	}
	packed := packer.pack(at)
	if !ordered {
		packed.numbers = slices.Clip(numbers)
	}
	a.days.days = append(a.days.days, packed)
	return seen, nil
}

func (a *azure2019) function(l *lines, fields [][]byte, id []int, trigger []byte) (int32, error) {
	if l.line&1023 == 0 && a.ctx.Err() != nil {
		return 0, a.ctx.Err()
	}
	owner, app, name := fields[id[0]], fields[id[1]], fields[id[2]]
	if len(owner) == 0 || len(app) == 0 || len(name) == 0 {
		return 0, l.fail("owner, application or function is empty", "name all three")
	}
	number, added := a.names.number(owner, app, name, trigger)
	if added && number >= maxFunctions {
		return 0, l.fail(fmt.Sprintf("more than %d functions", maxFunctions), "split the trace")
	}
	return number, nil
}

func (a *azure2019) readRow(l *lines, packer *dayPacker, row int, fields [][]byte, minutes []int) error {
	for bin, place := range minutes {
		field := fields[place]
		if len(field) == 1 && field[0] == '0' {
			continue
		}
		count, ok := parseCount(field)
		if !ok {
			return l.fail(fmt.Sprintf("count %q in column %d is not a whole number from 0 to %d", field, place+1, maxCount), "mend the count")
		}
		if count > 0 {
			packer.add(row, bin, count)
			a.calls += count
		}
	}
	return nil
}

// readDurations gives functions their percentiles: of several days the mean of
// each, weighted by the day's executions, and the extremes.
func (a *azure2019) readDurations(files []file) error {
	a.weights = make([]float64, len(a.names.functions))
	for _, f := range ofKind(files, kindDurations) {
		id, err := where(f, columns2019...)
		if err != nil {
			return err
		}
		points, err := where(f, columnsDuration[:]...)
		if err != nil {
			return err
		}
		weight := slices.Index(f.head, "Count")
		if err := rowsOf(f, func(l *lines, fields [][]byte) error { return a.duration(l, fields, id, points, weight) }); err != nil {
			return err
		}
	}
	return nil
}

func (a *azure2019) duration(l *lines, fields [][]byte, id, columns []int, weight int) error {
	var points [quantileCount]time.Duration
	for i, column := range columns {
		d, ok := parseScaled(fields[column], time.Millisecond)
		if !ok {
			return l.fail(fmt.Sprintf("duration %q in column %d is not a number of milliseconds", fields[column], column+1), "mend the number")
		}
		points[i] = d
	}
	q, ok := NewQuantiles(points)
	if !ok {
		a.skipped.add(l.name, l.line, "percentiles of durations that decrease or are negative: the function takes the default", 1, 0)
		return nil
	}
	w := 1.0
	if weight >= 0 {
		if n, ok := parseInt(fields[weight], math.MaxInt64); ok && n > 0 {
			w = float64(n)
		}
	}
	found := false
	a.names.each(fields[id[0]], fields[id[1]], fields[id[2]], func(number int32) bool {
		found = true
		a.names.functions[number].Duration.merge(q, w, a.weights[number])
		a.weights[number] += w
		return true
	})
	if !found {
		a.skipped.add(l.name, l.line, "durations of a function without counts", 1, 0)
	}
	return nil
}

// merge adds a distribution of weight w to q, of weight before.
func (q *Quantiles) merge(add Quantiles, w, before float64) {
	if !q.known {
		*q = add
		return
	}
	for i := range q.micros {
		have, more := float64(q.micros[i]), float64(add.micros[i])
		q.micros[i] = float32(have + float64((more-have)*(w/(before+w))))
	}
	q.micros[0] = min(q.micros[0], add.micros[0])
	q.micros[quantileCount-1] = max(q.micros[quantileCount-1], add.micros[quantileCount-1])
	for i := 1; i < quantileCount; i++ {
		q.micros[i] = max(q.micros[i], q.micros[i-1]) // rounding
	}
}
