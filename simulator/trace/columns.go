package trace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kind is what one file holds, by its columns.
type kind uint8

const (
	kindNone kind = iota
	kindCounts
	kindDurations
	kindMemory
	kindAzure2021
	kindLLM
	kindUsage
	kindHuawei
)

func (k kind) format() Format {
	return [...]Format{"", Azure2019, Azure2019, Azure2019, Azure2021, LLM, Usage, Huawei2023}[k]
}

const remedyColumns = "known are the columns of azure2019 (HashOwner, HashApp, HashFunction, 1 … 1440), azure2021 (app, func, end_timestamp, duration), " +
	"llm (TIMESTAMP, ContextTokens, GeneratedTokens), usage (admitted, namespace, function, …), huawei2023 (day, time, 0, 1 …)"

var (
	columns2019     = []string{"HashOwner", "HashApp", "HashFunction"}
	columns2021     = []string{"app", "func", "end_timestamp", "duration"}
	columnsLLM      = []string{"TIMESTAMP", "ContextTokens", "GeneratedTokens"}
	columnAllocated = "AverageAllocatedMb_pct99"
)

var columnsDuration = func() (all [quantileCount]string) {
	for i, percent := range quantilePercents {
		all[i] = "percentile_Average_" + strconv.Itoa(percent)
	}
	return all
}()

// classify recognises a file by its columns.
func classify(head []string) kind {
	has := func(names ...string) bool {
		for _, name := range names {
			if !slices.Contains(head, name) {
				return false
			}
		}
		return true
	}
	switch {
	case has(columnsUsage[:3]...):
		return kindUsage
	case has(columns2021...):
		return kindAzure2021
	case has(columnsLLM...):
		return kindLLM
	case has(columnAllocated) && has(columns2019[:2]...):
		return kindMemory
	case has(columnsDuration[:]...) && has(columns2019...):
		return kindDurations
	case has(columns2019...) && slices.ContainsFunc(head, func(name string) bool { return minuteOf(name) >= 0 }):
		return kindCounts
	case len(head) >= 3 && head[0] == "day" && head[1] == "time" && !slices.ContainsFunc(head[2:], notNumber):
		return kindHuawei
	}
	return kindNone
}

func notNumber(s string) bool {
	_, ok := parseInt([]byte(s), maxFunctions)
	return !ok
}

// minuteOf returns the number in a minute's column, "7" or "minute_7", or -1.
func minuteOf(name string) int {
	n, ok := parseInt([]byte(strings.TrimPrefix(name, "minute_")), 1<<24)
	if !ok {
		return -1
	}
	return int(n)
}

// where returns the places of columns, all of which must be there once.
func where(f file, names ...string) ([]int, error) {
	places := make([]int, len(names))
	for i, name := range names {
		places[i] = slices.Index(f.head, name)
		if places[i] < 0 {
			return nil, &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("column %q is missing from %s", name, shorten(f.head)), Remedy: "add it or export again"}
		}
		if slices.Contains(f.head[places[i]+1:], name) {
			return nil, &Error{File: f.path, Line: 1, Problem: fmt.Sprintf("column %q is there twice", name), Remedy: "remove one"}
		}
	}
	return places, nil
}

func shorten(head []string) string {
	const most = 8
	text := strings.Join(head[:min(len(head), most)], ", ")
	if len(text) > 200 {
		text = text[:200]
	}
	if len(head) > most {
		text += fmt.Sprintf(" … (%d columns)", len(head))
	}
	return strconv.Quote(text)
}

// rowsOf calls take with the fields of every row below the first line.
func rowsOf(f file, take func(l *lines, fields [][]byte) error) error {
	l, err := openLines(f.path)
	if err != nil {
		return err
	}
	defer l.close()
	if _, err := l.record(); err != nil {
		return err
	}
	for {
		fields, err := l.row(len(f.head))
		if err != nil || fields == nil {
			return err
		}
		if err := take(l, fields); err != nil {
			return err
		}
	}
}
