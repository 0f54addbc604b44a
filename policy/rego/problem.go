package rego

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Problem is one fault in a policy file. Line and Col count from 1; zero means
// that the problem is of the whole file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Col     int    `json:"col"`
	Message string `json:"message"`
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: policy: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: policy: %s", p.File, p.Line, p.Col, p.Message)
}

// LoadError says why a policy directory was refused: all problems, in the order
// of their position.
type LoadError struct{ Problems []Problem }

// Error writes one problem a line.
func (e *LoadError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (e *LoadError) orNil() error {
	if len(e.Problems) == 0 {
		return nil
	}
	slices.SortStableFunc(e.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	e.Problems = slices.CompactFunc(e.Problems, repeats)
	return e
}

// repeats reports that two problems have one place and one says what the other
// does; the parser often finds a fault twice.
func repeats(a, b Problem) bool {
	return a.File == b.File && a.Line == b.Line && a.Col == b.Col &&
		(strings.HasPrefix(b.Message, a.Message) || strings.HasPrefix(a.Message, b.Message))
}

func (e *LoadError) add(file string, line, col int, format string, args ...any) {
	e.Problems = append(e.Problems, Problem{file, line, col, fmt.Sprintf(format, args...)})
}

func (e *LoadError) at(loc *ast.Location, format string, args ...any) {
	e.add(loc.File, loc.Row, loc.Col, format, args...)
}

// addOPA adds what OPA's parser or compiler reported; file stands in where an
// error has no position.
func (e *LoadError) addOPA(file string, err error) {
	var list ast.Errors
	var one *ast.Error
	switch {
	case errors.As(err, &list):
	case errors.As(err, &one):
		list = ast.Errors{one}
	default:
		e.add(file, 0, 0, "%v", err)
		return
	}
	for _, fault := range list {
		if fault.Location == nil || fault.Location.File == "" {
			e.add(file, 0, 0, "%s", explain(fault))
			continue
		}
		e.at(fault.Location, "%s", explain(fault))
	}
}

// explain rewrites a fault of OPA into what the author should know and do.
func explain(fault *ast.Error) string {
	message := strings.Join(strings.Fields(fault.Message), " ")
	if name, ok := strings.CutPrefix(message, "undefined function "); ok {
		if why := refusal(name); why != "" {
			return fmt.Sprintf("%s is not available to policies: %s", name, why)
		}
	}
	if needsRegoV1(message) {
		return message + "; policies are Rego v1: write `name if { … }`, `name contains x if { … }` (`opa fmt --v0-v1` rewrites old files)"
	}
	if message == "empty module" {
		return "the file is empty; it needs `package spillway.placement`"
	}
	if detail, ok := fault.Details.(*ast.RefErrInvalidDetail); ok && len(detail.OneOf) > 0 {
		return message + "; allowed: " + values(detail.OneOf)
	}
	return message
}

func needsRegoV1(message string) bool {
	return strings.Contains(message, "`if` keyword is required") ||
		strings.Contains(message, "`contains` keyword is required") ||
		strings.Contains(message, "must not be used as rule name")
}

func values(list []ast.Value) string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = strings.Trim(v.String(), `"`)
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}
