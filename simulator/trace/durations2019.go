package trace

import (
	"fmt"
	"math"
	"slices"
	"time"
)

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
	least, most := min(q.micros[0], add.micros[0]), max(q.micros[quantileCount-1], add.micros[quantileCount-1])
	for i := range q.micros {
		have, more := float64(q.micros[i]), float64(add.micros[i])
		q.micros[i] = float32(have + float64((more-have)*(w/(before+w))))
	}
	q.micros[0], q.micros[quantileCount-1] = least, most
	for i := 1; i < quantileCount; i++ {
		q.micros[i] = max(q.micros[i], q.micros[i-1]) // rounding
	}
}
