// Package chaos runs the real program against clouds that misbehave: `spillway up`
// as a process with functions on its own machine, and the stand-ins of Lambda and
// SCF with faults. See README.md.
package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway/test/internal/testbed"
)

// built are the program and the package of the on-prem function.
var built struct{ spillway, report string }

func TestMain(m *testing.M) {
	dir, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build() (dir string, err error) {
	if dir, err = testbed.NewDir("spillway-chaos-"); err != nil {
		return "", err
	}
	built.spillway, built.report = filepath.Join(dir, "spillway"), filepath.Join(dir, "report")
	err = testbed.Build(dir, map[string]string{"spillway": "cmd/spillway", "report/bootstrap": "examples/functions/report"})
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
