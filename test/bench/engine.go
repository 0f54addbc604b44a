package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// engineSection runs the Go benchmarks of the decision code.
func engineSection(ctx context.Context, _ *bench) error {
	heading("Decision code (`go test -bench`)", "benchmark", "ns/op", "B/op", "allocs/op")
	return goBench(ctx, ".", 1, "./dispatcher", "./quota", "./policy/rego", "./billing/...")
}

// goBench prints the Go benchmarks of packages, times divided by unit.
func goBench(ctx context.Context, pattern string, unit float64, packages ...string) error {
	for _, pkg := range packages {
		out, err := exec.CommandContext(ctx, "go", "test", pkg, "-run", "^$", "-bench", pattern, "-benchmem", "-benchtime", "0.5s").CombinedOutput()
		if err != nil {
			return fmt.Errorf("go test %s: %w\n%s", pkg, err, out)
		}
		for _, line := range strings.Split(string(out), "\n") {
			if f := strings.Fields(line); len(f) > 3 && strings.HasPrefix(f[0], "Benchmark") {
				ns, _ := strconv.ParseFloat(column(f, "ns/op"), 64)
				row(strings.TrimPrefix(f[0], "Benchmark"), fmt.Sprintf("%.4g", ns/unit), column(f, "B/op"), column(f, "allocs/op"))
			}
		}
	}
	return nil
}

// column returns the value before a unit in a line of benchmark output.
func column(fields []string, unit string) string {
	for i, f := range fields {
		if f == unit && i > 0 {
			return fields[i-1]
		}
	}
	return ""
}
