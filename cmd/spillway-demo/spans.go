package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// span is one execution as the function itself wrote it down.
type span struct {
	attempt
	from, to int64  // nanoseconds since the Unix epoch
	ended    bool   // false: killed before it could say so; to is just after from
	version  string // that the function was told it is
}

// readSpans reads an execution log that functions wrote.
func readSpans(path string) ([]span, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read what functions executed: %w", err)
	}
	defer file.Close()
	spans, err := parseSpans(file)
	if err != nil {
		return nil, fmt.Errorf("read what functions executed: %s: %w", path, err)
	}
	return spans, nil
}

// parseSpans pairs start and end lines. A second start of the same attempt is a
// span of its own, so that executing twice shows.
func parseSpans(r io.Reader) ([]span, error) {
	var spans []span
	open := map[attempt]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		var l struct {
			Invocation string
			Attempt    int
			Event      string
			Version    string
			At         int64
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		key := attempt{l.Invocation, l.Attempt}
		i, begun := open[key]
		switch {
		case l.Event == "start":
			open[key] = len(spans)
			spans = append(spans, span{attempt: key, from: l.At, to: l.At + 1, version: l.Version})
		case l.Event == "end" && begun:
			spans[i].to, spans[i].ended = max(l.At, spans[i].from+1), true
			delete(open, key)
		default:
			return nil, fmt.Errorf("line %d: %q of %s, attempt %d, does not follow a start", n, l.Event, l.Invocation, l.Attempt)
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return spans, nil
}
