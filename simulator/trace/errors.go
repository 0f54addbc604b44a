package trace

import (
	"fmt"
	"strings"
)

// Error says where a trace cannot be used, why, and what to do about it.
type Error struct {
	File    string
	Line    int64 // from 1; 0: the file as a whole
	Problem string
	Remedy  string
	Err     error // what lies below, or nil

	damaged bool // the file cannot be unpacked
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	fmt.Fprintf(&b, ": %s", e.Problem)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Remedy != "" {
		fmt.Fprintf(&b, "; %s", e.Remedy)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// Skip counts what was not taken for one reason.
type Skip struct {
	File   string // first place
	Line   int64  // of the first; 0: the file as a whole
	Reason string
	Rows   int64 // lines; 0 where whole files were left out unread
	Calls  int64 // calls of those rows, where they say
}

// skips collects them in the order of their first places.
type skips []Skip

func (s *skips) add(file string, line int64, reason string, rows, calls int64) {
	for i := range *s {
		if have := &(*s)[i]; have.Reason == reason {
			have.Rows += rows
			have.Calls += calls
			return
		}
	}
	*s = append(*s, Skip{file, line, reason, rows, calls})
}
