package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is the cluster's first process when it was started as such.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "pid1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestFailedStart has components that cannot run: the first that ends is named, with
// what it said, and nothing is left.
func TestFailedStart(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root and containerd, which -short leaves out")
	}
	if err := preflight(); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "kubebox")
	script := "#!/bin/sh\n[ $1 != etcd ] || exec sleep 1000\necho cannot work like this; exit 3\n"
	if err := os.WriteFile(broken, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s := site{filepath.Join(t.TempDir(), "c")}
	ended, err := s.begin(broken, false)
	if err != nil {
		t.Fatal(errors.Join(err, s.end()))
	}
	err = s.await(ended, nil)
	if err == nil || !strings.Contains(err.Error(), "kube-apiserver ended with status 3") || !strings.Contains(err.Error(), "cannot work like this") {
		t.Errorf("the start ended with: %v", err)
	}
	if err := s.end(); err != nil || exists(s.dir) {
		t.Errorf("something is left: %v", err)
	}
}

// TestLeftovers sees what end would have missed.
func TestLeftovers(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root, which -short leaves out")
	}
	s := site{t.TempDir()}
	if left := s.leftovers(); len(left) > 0 {
		t.Errorf("left of nothing: %q", left)
	}
	if err := s.makeCgroups(); err != nil {
		t.Fatal(err)
	}
	if left := s.leftovers(); len(left) == 0 || !strings.Contains(left[0], s.name()) {
		t.Errorf("cgroups are not seen: %q", left)
	}
	s.removeCgroups()
	if left := s.leftovers(); len(left) > 0 {
		t.Errorf("left after the cgroups: %q", left)
	}
}
