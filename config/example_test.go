package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// copyTree copies files, so that a package can be put beside them.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(from, path)
		target := filepath.Join(to, rel)
		return errors.Join(err, os.MkdirAll(filepath.Dir(target), 0o755), os.WriteFile(target, text, 0o600))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExamplePlatform loads examples/platform with packages of our own and
// compares what it means with testdata/platform.yaml.
func TestExamplePlatform(t *testing.T) {
	golden, err := filepath.Abs("testdata/platform.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyTree(t, "../examples/platform", filepath.Join(dir, "examples/platform"))
	for _, f := range []string{"thumbnail", "report", "payroll"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, "bin/functions", f), 0o755),
			os.WriteFile(filepath.Join(dir, "bin/functions", f, "bootstrap"), []byte(f), 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	l, err := Load("examples/platform", testDay, testChecks)
	if err != nil {
		t.Fatal(err)
	}
	got, err := l.Render("yaml")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(got) != string(want) {
		t.Errorf("%v; the effective configuration is\n%s", err, got)
	}
	if unexpected := slices.DeleteFunc(l.Warnings, func(w string) bool { return strings.HasPrefix(w, "callers without") }); len(unexpected) > 0 {
		t.Errorf("warnings: %q", unexpected)
	}
	if l.PolicyDir == "" {
		t.Error("the example has no policy")
	}
}
