package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one mistake in the configuration.
type Fault struct {
	File    string // as reached from the directory that was loaded
	Line    int    // from 1; 0 if the fault has no place in a file
	Col     int    // from 1, in characters
	Field   string // spec.budgets[0].amount; empty if it concerns the whole file
	Problem string // what is wrong, and with which other object or file
	Allowed string // what would be right; may be empty

	missing bool
}

// PackageMissing reports that nothing is wrong but that a package was not uploaded.
func (f Fault) PackageMissing() bool { return f.missing }

// String returns file:line:col: field: problem; allowed: what is allowed.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", f.Line, f.Col)
	}
	if f.Field != "" {
		b.WriteString(": " + f.Field)
	}
	b.WriteString(": " + f.Problem)
	if f.Allowed != "" {
		b.WriteString("; allowed: " + f.Allowed)
	}
	return b.String()
}

// Faults is why a configuration was refused: every mistake found, in the order
// of the files. It is the error of Load for wrong input.
type Faults []Fault

// maxListed bounds the lines of Error; the slice holds all faults.
const maxListed = 200

// Error returns one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, 0, min(len(f), maxListed)+1)
	for i, fault := range f {
		if i == maxListed {
			lines = append(lines, fmt.Sprintf("and %d more", len(f)-maxListed))
			break
		}
		lines = append(lines, fault.String())
	}
	return strings.Join(lines, "\n")
}

func sortFaults(f []Fault) {
	slices.SortStableFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
			cmp.Compare(a.Field, b.Field), cmp.Compare(a.Problem, b.Problem))
	})
}

// quoteShort quotes s for a message, cutting what is too long to help.
func quoteShort(s string) string {
	const limit = 64
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// suggest returns `, did you mean "x"?` for the candidate nearest to name, or "".
func suggest(name string, candidates []string) string {
	best, distance := "", len(name)/3+1
	for _, c := range candidates {
		if d := edits(strings.ToLower(name), strings.ToLower(c), distance); d <= distance && (best == "" || d < distance) {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// suggest is the function of that name, for the first faults only: comparing
// thousands of names with thousands takes longer than anybody reads.
func (s *source) suggest(name string, candidates []string) string {
	if len(*s.faults) > maxListed {
		return ""
	}
	return suggest(name, candidates)
}

// edits returns the Levenshtein distance of a and b, or limit+1 if it is larger
// than limit.
func edits(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, diagonal+1, row[j]+1)
		}
	}
	return min(row[len(b)], limit+1)
}

// alternatives joins names for "allowed:", cutting long lists.
func alternatives(names []string) string {
	const limit = 20
	if len(names) > limit {
		return strings.Join(names[:limit], ", ") + fmt.Sprintf(" and %d more", len(names)-limit)
	}
	return strings.Join(names, ", ")
}
