// Package chaos runs the real program against clouds that misbehave: `spillway up`
// as a process with functions on its own machine, and the stand-ins of Lambda and
// SCF with faults. See README.md.
package chaos

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
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

// build makes the program without the race detector, which makes the SQLite of the
// ledger ten times slower; the clients and the clouds of the tests have it.
func build() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "spillway-chaos-"); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // function processes may have their own uid
		return "", err
	}
	built.spillway, built.report = filepath.Join(dir, "spillway"), filepath.Join(dir, "report")
	for _, args := range [][]string{
		{"build", "-o", built.spillway, "../../cmd/spillway"},
		{"build", "-tags", "lambda.norpc", "-o", filepath.Join(built.report, "bootstrap"), "../../examples/functions/report"},
	} {
		cmd := exec.Command("go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			os.RemoveAll(dir)
			return "", fmt.Errorf("go %v: %w\n%s", args, err, out)
		}
	}
	return dir, nil
}

// sources lists the folders that the program is built from, so that a cached result
// of these tests is not taken for one of another program.
var sources = sync.OnceValue(func() error {
	return filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != "../.." && (name[0] == '.' || name == "bin" || name == "docs" || name == "test"):
			return filepath.SkipDir
		}
		return nil
	})
})

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
