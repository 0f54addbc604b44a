// Package testbed is what tests share that run the real programs, and functions as
// users of their own. Its paths are those of tests in a folder of test.
package testbed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const root = "../.."

// NewDir makes a temporary directory that every user may read, for programs. Who
// asks for it removes it.
func NewDir(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// Build makes programs in dir, by their path there, of folders of the module: as they
// are shipped, since the race detector makes the SQLite of the ledger ten times
// slower.
func Build(dir string, folders map[string]string) error {
	for path, folder := range folders {
		cmd := exec.Command("go", "build", "-trimpath", "-tags", "lambda.norpc", "-o", filepath.Join(dir, path), root+"/"+folder)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", folder, err, out)
		}
	}
	return nil
}

// Sources lists the folders that programs are built from, so that a cached result of
// a test that calls it is not taken for one of other programs.
var Sources = sync.OnceValue(func() error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != root && (name[0] == '.' || name == "bin" || name == "docs" || name == "test"):
			return filepath.SkipDir
		}
		return nil
	})
})

// OpenDir is a directory of a test that every user may read.
func OpenDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// ExecutionLog makes a file that functions of every user may write to.
func ExecutionLog(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(OpenDir(t), "executions")
	if err := errors.Join(os.WriteFile(path, nil, 0o666), os.Chmod(path, 0o666)); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

// Executions yields the invocation and attempt of each execution that functions of
// examples have begun, as an ExecutionLog has it.
func Executions(t testing.TB, path string) iter.Seq2[string, int] {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, int) bool) {
		t.Helper()
		for line := range bytes.Lines(text) {
			var e struct {
				Invocation string
				Attempt    int
				Event      string
			}
			if err := json.Unmarshal(line, &e); err != nil || e.Invocation == "" || e.Attempt < 1 || e.Event != "start" && e.Event != "end" {
				t.Fatalf("execution log %q: %v", line, err)
			}
			if e.Event == "start" && !yield(e.Invocation, e.Attempt) {
				return
			}
		}
	}
}
