package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/spillway-dev/spillway"
)

var update = flag.Bool("update", false, "write the results into testdata")

// testDay is the day on which all tests load.
var testDay = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// testChecks make a machine that is the same everywhere.
var testChecks = Checks{Machine: spillway.Resources{Slots: 8, MilliCPU: 4000, MiB: 4096}}

// unpack writes the files of an archive, and the package ../fn that
// configurations refer to, below a new directory that it makes current.
func unpack(t testing.TB, a *txtar.Archive) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range append(a.Files, txtar.File{Name: "fn/bootstrap", Data: []byte("#!/bin/sh\n")}) {
		path := filepath.Join(dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// TestMalformed loads each configuration of testdata/malformed and compares all
// its faults with the file "faults". The first line of an archive says what it
// shows.
func TestMalformed(t *testing.T) {
	cases, err := filepath.Glob("testdata/malformed/*.txtar")
	if err != nil || len(cases) < 100 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			path, _ := filepath.Abs(path)
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			unpack(t, a)
			_, err = Load("conf", testDay, testChecks)
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatalf("loaded with %v, want faults", err)
			}
			got := faults.Error() + "\n"
			i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "faults" })
			if *update {
				a.Files[i].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(a.Files[i].Data); got != want {
				t.Errorf("faults:\n%swant:\n%s", got, want)
			}
			for _, f := range faults {
				if f.Line < 1 || f.Col < 1 {
					t.Errorf("no place: %s", f)
				}
			}
		})
	}
}
