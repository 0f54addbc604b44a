package rego

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/cover"

	"github.com/spillway-dev/spillway/policy/library"
)

// The library's own tests pass and reach every line of every rule.
func TestLibrary(t *testing.T) {
	sources := files{}.withLibrary()
	var tests []file
	for _, name := range []string{"lib_test.rego", "placement_test.rego"} {
		tests = append(tests, libraryFile(name))
	}
	coverage := cover.New()
	results, err := runTests(t.Context(), sources, files{tests: tests}, "library", coverage)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range results.Cases {
		if c.Outcome != Passed {
			t.Errorf("%s:%d: %s %s %s", c.File, c.Line, c.Outcome, c.Name, c.Error)
		}
	}
	if !results.OK() || results.Passed < 15 {
		t.Errorf("%d passed, %d failed", results.Passed, results.Failed)
	}
	var faults LoadError
	reports := coverage.Report(parse(sources, &faults)).Files
	for _, source := range sources {
		report := reports[source.path]
		if report == nil || len(report.Covered) == 0 {
			t.Errorf("%s: not covered at all", source.path)
			continue
		}
		for _, missing := range report.NotCovered {
			t.Errorf("%s:%d: no test reaches this line", source.path, missing.Start.Row)
		}
	}
}

// The readme for authors names every library rule, input field and no other file.
func TestReadmeIsComplete(t *testing.T) {
	readme, err := os.ReadFile("../library/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if !strings.Contains(string(readme), "`"+f.name+"`") {
			t.Errorf("the input field %s is not described", f.name)
		}
	}
	rules, err := library.Files.ReadFile(library.Rules)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rules)) {
		name := line[:len(line)-len(strings.TrimLeft(line, "abcdefghijklmnopqrstuvwxyz_"))]
		if name == "" || name == "package" || strings.HasPrefix(line, "minute") || name == "instant" {
			continue
		}
		if !strings.Contains(string(readme), "lib."+name) {
			t.Errorf("the library rule %s is not described", name)
		}
	}
}

// write makes a directory with the given files.
func write(t testing.TB, contents map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(contents[name]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTestReportsEveryOutcome(t *testing.T) {
	dir := write(t, map[string]string{
		"policy.rego": head + "permit := lib.premises_pools",
		"policy_test.rego": `package spillway.placement_test

import data.spillway.lib
import data.spillway.placement

test_stays if placement.permit == {"hall"} with data.spillway.pools as lib.example_pools

test_goes if {
	print("permit is", placement.permit)
	count(placement.permit) == 3
}

test_breaks if to_number("x") == 1

todo_test_later if true
`})
	var out bytes.Buffer
	results, err := Test(t.Context(), dir, &out)
	if err != nil {
		t.Fatal(err)
	}
	if results.OK() || results.Passed != 1 || results.Failed != 2 || results.Skipped != 1 {
		t.Errorf("results %+v", results)
	}
	for _, want := range []string{
		"PASS  spillway.placement_test.test_stays",
		"FAIL  spillway.placement_test.test_goes",
		fmt.Sprintf("      at %s:8\n      permit is set()\n", filepath.Join(dir, "policy_test.rego")),
		"ERROR spillway.placement_test.test_breaks",
		"1 passed, 2 failed, 1 skipped\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
}

func TestTestRefusesBadTests(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"syntax":   {"package spillway.placement_test\n\ntest_x if {", "policy_test.rego:3:"},
		"network":  {"package spillway.placement_test\n\ntest_x if http.send({}).status == 200", "policy_test.rego:3:11: policy: http.send is not available"},
		"reserved": {"package spillway.lib\n\nx := 1", "policy_test.rego:1:1: policy: package spillway.lib is reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"policy_test.rego": test.text})
			_, err := Test(t.Context(), dir, &bytes.Buffer{})
			var faults *LoadError
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

func TestNoTestsIsNotOK(t *testing.T) {
	var out bytes.Buffer
	results, err := Test(t.Context(), t.TempDir(), &out)
	if err != nil || results.OK() || !strings.Contains(out.String(), "no tests") {
		t.Errorf("results %+v, error %v, out %s", results, err, &out)
	}
}
