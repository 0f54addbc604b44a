package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// FuzzConfig loads any text. It must end with a configuration or with faults that
// each have a place and fit on a line, and what loads must load again, alike,
// from its effective form.
func FuzzConfig(f *testing.F) {
	cases, err := filepath.Glob("testdata/malformed/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range cases {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	f.Add([]byte(twoPools + function("f", "burst: allow, cloud: [{pool: lambda}]")))
	f.Add([]byte(burstObjects))
	version := "apiVersion: spillway.dev/v1alpha1\n"
	f.Add([]byte(version + podPool + "---\n" + version + podFunction("a", "image: 'localhost/a:dev', handler: /a", "burst: allow")))
	f.Add([]byte(version + podPool + "---\n" + version + podFunction("a", "package: {path: ../fn}", "kubernetes: {serviceAccountName: a}")))
	dir := f.TempDir()
	f.Chdir(dir)
	if err := errors.Join(os.Mkdir("fn", 0o755), os.Mkdir("conf", 0o755), os.WriteFile("fn/bootstrap", nil, 0o700)); err != nil {
		f.Fatal(err)
	}
	load := func(t *testing.T, text []byte) (*Loaded, error) {
		if err := os.WriteFile("conf/a.yaml", text, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Load("conf", testDay, testChecks)
		var faults Faults
		if err != nil && !errors.As(err, &faults) {
			t.Fatalf("not faults: %v", err)
		}
		for _, fault := range faults {
			written := !strings.HasPrefix(fault.File, "(default")
			if written != (fault.Line > 0) || strings.ContainsAny(fault.String(), "\n\r") {
				t.Fatalf("fault %q", fault.String())
			}
		}
		return l, err
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := load(t, text)
		if err != nil {
			return
		}
		full, err := l.Render("yaml")
		if err != nil {
			t.Fatal(err)
		}
		again, err := load(t, full)
		if err != nil {
			t.Fatalf("the effective configuration has faults: %v\n%s", err, full)
		}
		if l.Platform.Revision != again.Platform.Revision {
			t.Fatalf("loaded again it differs:\n%s", full)
		}
	})
}
