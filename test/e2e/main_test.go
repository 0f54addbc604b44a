package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var built struct{ spillway, functions string }

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "spillway-e2e-")
		if err == nil {
			err = os.Chmod(dir, 0o755) // function processes may have their own uid
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		built.spillway, built.functions = filepath.Join(dir, "spillway"), filepath.Join(dir, "functions")
		// Without the race detector: it makes the SQLite of the ledger ten times slower.
		args := [][]string{{"build", "-o", built.spillway, "../../cmd/spillway"}}
		for _, f := range []string{"echo", "report", "flaky"} {
			args = append(args, []string{"build", "-tags", "lambda.norpc", "-o", filepath.Join(built.functions, f, "bootstrap"), "../../examples/functions/" + f})
		}
		for _, a := range args {
			cmd := exec.Command("go", a...)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "go %v: %v\n%s", a, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// sources lists the folders that the program and its functions are built from, so
// that a cached result of these tests is not taken for one of another program.
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
