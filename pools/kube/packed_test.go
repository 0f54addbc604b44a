package kube_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/pools/kube"
)

// packs says what was asked of it.
type packs struct {
	*deployed.Packs
	found, forgot []string
}

func (p *packs) Open(pkg spillway.Package) (*os.File, string, int64) {
	file, sum, size := p.Packs.Open(pkg)
	p.found = append(p.found, sum)
	return file, sum, size
}

func (p *packs) Forget(pkg spillway.Package, sum string) {
	p.forgot = append(p.forgot, sum)
	p.Packs.Forget(pkg, sum)
}

// TestPacked: a package is sent as it is packed, once it is; if that has rotted on the
// disk, the zip file starts the instance all the same.
func TestPacked(t *testing.T) {
	b := onCluster(t)
	dir, f := t.TempDir(), b.function(t)
	all, err := deployed.Open(dir).Packs(deployed.DefaultPacked, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := all.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	for file, _, _ := all.Open(f.Package); file == nil || file.Close() != nil; file, _, _ = all.Open(f.Package) {
		pauseFor(t, 10*time.Millisecond)
	}
	files, err := filepath.Glob(filepath.Join(dir, "packages", "*.packed"))
	if err != nil || len(files) != 1 {
		t.Fatalf("packed are %v (%v)", files, err)
	}
	kept := &packs{Packs: all}
	p := b.openAs(t, "onprem", 1, func(c *kube.Config) { c.Packed = kept })
	started(t, p, 1, f)
	if len(kept.found) != 1 || kept.found[0] == "" || len(kept.forgot) > 0 {
		t.Errorf("found %v, forgot %v", kept.found, kept.forgot)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(files[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	started(t, p, 2, f)
	if len(kept.forgot) != 1 || kept.forgot[0] != kept.found[1] {
		t.Errorf("found %v, forgot %v", kept.found, kept.forgot)
	}
	if _, err := os.Stat(files[0]); err == nil {
		t.Error("what has rotted stays")
	}
}

func pauseFor(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}
