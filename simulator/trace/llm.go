package trace

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"
)

// What a request of the LLM trace is taken to last: about a 70-billion-parameter
// model on one machine with eight accelerators. The trace has no durations.
const (
	perContextToken   = 60 * time.Microsecond
	perGeneratedToken = 30 * time.Millisecond
)

// maxTokens of one request.
const maxTokens = 100_000_000

// readLLM reads arrivals of inference requests. A file is one function, named
// after it.
func readLLM(f file, n *names) (rowReader, error) {
	places, err := where(f, columnsLLM...)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(filepath.Base(f.path), ".")
	number, _ := n.number([]byte("llm"), []byte("llm"), []byte(name), nil)
	var stamp []byte
	return func(l *lines, fields [][]byte) (row, string, error) {
		stamp = append(stamp[:0], bytes.TrimSpace(fields[places[0]])...)
		at, ok := parseStamp(stamp)
		if !ok {
			return row{}, "", l.fail(fmt.Sprintf("TIMESTAMP %q is not a time such as 2023-11-16 18:17:03.979", fields[places[0]]), "mend the time")
		}
		var tokens [2]int64
		for i, place := range places[1:] {
			if tokens[i], ok = parseInt(fields[place], maxTokens); !ok {
				return row{}, "", l.fail(fmt.Sprintf("%s %q is not a whole number from 0", columnsLLM[i+1], fields[place]), "mend the number")
			}
		}
		duration := time.Duration(tokens[0])*perContextToken + time.Duration(tokens[1])*perGeneratedToken
		return row{at: at, duration: duration, init: -1, function: number}, "", nil
	}, nil
}

// parseStamp reads a date and time, in UTC unless it names a zone. It overwrites b.
func parseStamp(b []byte) (int64, bool) {
	if len(b) < len("2006-01-02 15:04:05") || len(b) > 64 {
		return 0, false
	}
	if b[10] == ' ' {
		b[10] = 'T'
	}
	if !bytes.ContainsAny(b[11:], "Zz+-") {
		b = append(b, 'Z')
	}
	var t time.Time
	if err := t.UnmarshalText(b); err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return 0, false
	}
	n := t.UnixNano()
	return n, n <= math.MaxInt64/2+math.MaxInt64/4
}
