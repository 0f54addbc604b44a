package rego

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/tester"
)

// caseLimit bounds one test rule.
const caseLimit = 5 * time.Second

// Outcomes of a Case.
const (
	Passed  = "PASS"
	Failed  = "FAIL"
	Errored = "ERROR" // it did not come to a result
	Skipped = "SKIP"  // its name begins with todo_
)

// Case is the result of one test rule.
type Case struct {
	Name     string        `json:"name"` // package and rule
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Outcome  string        `json:"outcome"`
	Error    string        `json:"error,omitempty"`
	Output   string        `json:"output,omitempty"` // of print
	Duration time.Duration `json:"durationNanos"`
}

// Results are all cases, by position, and how many had each outcome.
type Results struct {
	Cases   []Case `json:"cases"`
	Passed  int    `json:"passed"`
	Failed  int    `json:"failed"` // errors too
	Skipped int    `json:"skipped"`
}

// OK reports that at least one case passed and none failed.
func (r *Results) OK() bool { return r.Passed > 0 && r.Failed == 0 }

// Test runs the *_test.rego in dir against the policy in dir (the default one if
// it has none) and writes a line a case and a summary to out. Tests see no pools
// but those they set: `with data.spillway.pools as lib.example_pools`. As in a
// decision, an error in a builtin is an error of the test. The error returned is
// a *LoadError, a file error, that of out, or that ctx ended.
func Test(ctx context.Context, dir string, out io.Writer) (*Results, error) {
	content, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	if _, err := build(content, dir); err != nil {
		return nil, err
	}
	results, err := runTests(ctx, content.withLibrary(), content, dir, nil)
	if err != nil {
		return nil, err
	}
	return results, results.write(out)
}

// runTests compiles sources with the tests of content and runs them, one after
// the other.
func runTests(ctx context.Context, sources []file, content files, dir string, coverage *cover.Cover) (*Results, error) {
	var faults LoadError
	modules := parse(append(slices.Clone(sources), content.tests...), &faults)
	data := parseData(content.data, &faults)
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	runner := tester.NewRunner().
		SetCompiler(newCompiler(data).WithEnablePrintStatements(true)).
		SetStore(store(data, nil)).
		SetModules(modules).
		CapturePrintOutput(true).
		RaiseBuiltinErrors(true).
		SetParallel(1).
		SetTimeout(caseLimit)
	if coverage != nil {
		runner.SetCoverageQueryTracer(coverage)
	}
	found, err := runner.RunTests(ctx, nil)
	if err != nil {
		faults.addOPA(dir, err)
		return nil, faults.orNil()
	}
	results := &Results{Cases: []Case{}}
	for result := range found {
		results.add(result)
	}
	slices.SortFunc(results.Cases, func(a, b Case) int {
		return strings.Compare(fmt.Sprintf("%s\x00%08d", a.File, a.Line), fmt.Sprintf("%s\x00%08d", b.File, b.Line))
	})
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("running the policy tests in %s: %w", dir, err)
	}
	return results, nil
}

func (r *Results) add(result *tester.Result) {
	c := Case{
		Name:     strings.TrimPrefix(result.Package, "data.") + "." + result.Name,
		File:     result.Location.File,
		Line:     result.Location.Row,
		Output:   string(result.Output),
		Duration: result.Duration,
	}
	switch {
	case result.Skip:
		c.Outcome = Skipped
		r.Skipped++
	case result.Error != nil:
		c.Outcome, c.Error = Errored, result.Error.Error()
		r.Failed++
	case result.Fail:
		c.Outcome = Failed
		r.Failed++
	default:
		c.Outcome = Passed
		r.Passed++
	}
	r.Cases = append(r.Cases, c)
}

func (r *Results) write(out io.Writer) error {
	var b strings.Builder
	for _, c := range r.Cases {
		fmt.Fprintf(&b, "%-5s %s (%s)\n", c.Outcome, c.Name, c.Duration.Round(10*time.Microsecond))
		if c.Outcome == Failed || c.Outcome == Errored {
			fmt.Fprintf(&b, "      at %s:%d\n", c.File, c.Line)
		}
		for line := range strings.Lines(c.Error + "\n" + c.Output) {
			if line = strings.TrimRight(line, "\n"); line != "" {
				fmt.Fprintf(&b, "      %s\n", line)
			}
		}
	}
	if len(r.Cases) == 0 {
		b.WriteString("no tests: write rules named test_… in *_test.rego\n")
	}
	fmt.Fprintf(&b, "%d passed, %d failed, %d skipped\n", r.Passed, r.Failed, r.Skipped)
	_, err := io.WriteString(out, b.String())
	return err
}
