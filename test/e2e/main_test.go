package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/spillway-dev/spillway/test/internal/testbed"
)

var built struct{ spillway, functions string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := testbed.NewDir("spillway-e2e-")
	if err == nil {
		defer os.RemoveAll(dir)
		built.spillway, built.functions = filepath.Join(dir, "spillway"), filepath.Join(dir, "functions")
		err = testbed.Build(dir, map[string]string{
			"spillway": "cmd/spillway", "functions/echo/bootstrap": "examples/functions/echo",
			"functions/report/bootstrap": "examples/functions/report", "functions/flaky/bootstrap": "examples/functions/flaky",
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
