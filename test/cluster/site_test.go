package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSite(t *testing.T) {
	if _, err := siteAt("/var/lib/x"); err == nil || !strings.Contains(err.Error(), "-dir") {
		t.Errorf("a directory that the cluster cannot see: %v", err)
	}
	a, err := siteAt(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b, err := siteAt(t.TempDir())
	if err != nil || a.name() == b.name() {
		t.Errorf("two clusters have one name: %s (%v)", a.name(), err)
	}
}

// TestClaim keeps clusters, and what end removes, to directories of their own.
func TestClaim(t *testing.T) {
	s := site{t.TempDir()}
	precious := s.path("precious")
	if err := os.WriteFile(precious, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.claim(); err == nil {
		t.Error("a cluster moved in with files of others")
	}
	if err := s.end(); err != nil || !exists(precious) {
		t.Errorf("files of others are gone (%v)", err)
	}
	s = site{filepath.Join(t.TempDir(), "new")}
	for range 2 {
		if err := s.claim(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.end(); err != nil || exists(s.dir) {
		t.Errorf("the cluster's directory is left (%v)", err)
	}
}

// TestRecorded tells the cluster's process from another that has its number.
func TestRecorded(t *testing.T) {
	s := site{t.TempDir()}
	if _, ok := s.recorded(); ok {
		t.Error("a process is on record that never was")
	}
	if err := s.record(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	p, ok := s.recorded()
	if !ok || !p.alive() || p.pid != os.Getpid() {
		t.Errorf("on record is %+v, %t", p, ok)
	}
	for _, text := range []string{fmt.Sprintf("%d 1", os.Getpid()), "1 0", "x y", ""} {
		if err := os.WriteFile(s.path("process"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if p, ok := s.recorded(); ok && p.alive() {
			t.Errorf("%q is taken for a running cluster", text)
		}
	}
}

func TestChosen(t *testing.T) {
	t.Setenv("KUBE_MINOR", "")
	usual, err := chosen()
	if err != nil || !strings.HasPrefix(usual.version, "v"+defaultMinor+".") || !strings.Contains(usual.stamp, "gitMinor=36") {
		t.Errorf("the usual Kubernetes is %+v (%v)", usual, err)
	}
	t.Setenv("KUBE_MINOR", "1.35")
	if older, err := chosen(); err != nil || !strings.HasPrefix(older.version, "v1.35.") || older.assets() == usual.assets() {
		t.Errorf("Kubernetes 1.35 is %+v (%v)", older, err)
	}
	t.Setenv("KUBE_MINOR", "1.2")
	if _, err := chosen(); err == nil || !strings.Contains(err.Error(), defaultMinor) {
		t.Errorf("Kubernetes 1.2: %v", err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	kwok, err := kwokRecipe()
	if err != nil || !strings.HasPrefix(filepath.Base(kwok.binary()), "kwok") || kwok.assets() == usual.assets() {
		t.Errorf("kwok is %+v (%v)", kwok, err)
	}
	for _, r := range []recipe{usual, kwok} {
		if err := r.ensure(true); err == nil || !strings.Contains(err.Error(), "test/cluster/install") {
			t.Errorf("nothing is built: %v", err)
		}
	}
}

// TestOwnFlags: flags of kubectl are kubectl's.
func TestOwnFlags(t *testing.T) {
	for _, c := range []struct {
		command, args, own, theirs string
	}{
		{"kubectl", "-n shop get pods", "", "-n shop get pods"},
		{"kubectl", "-dir d -n shop get", "-dir d", "-n shop get"},
		{"exec", "curl -k url", "", "curl -k url"},
		{"kubectl", "-dir d -- apply -f -", "-dir d", "apply -f -"},
		{"exec", "-dir d -- sh -- x", "-dir d", "sh -- x"},
		{"up", "-dir d -attached", "-dir d -attached", ""},
	} {
		own, theirs := ownFlags(c.command, strings.Fields(c.args))
		if strings.Join(own, " ") != c.own || strings.Join(theirs, " ") != c.theirs {
			t.Errorf("%s %s: %q and %q", c.command, c.args, own, theirs)
		}
	}
}
