package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/durable"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// holds wants the files of dir, and no others.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if b, err := os.ReadFile(filepath.Join(dir, f.Name())); f.IsDir() || want[f.Name()] != string(b) || err != nil {
			t.Errorf("%s holds %q, %v", f.Name(), b, err)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%v, want %v", found, want)
	}
}

func TestWriteReplaces(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	for _, s := range []string{"a longer text", "short"} {
		// A reader sees the old one until the new one is whole.
		err := durable.Write(file, ".next-*", func(w io.Writer) error {
			if old, err := os.ReadFile(file); err == nil && string(old) != "a longer text" || err != nil && s == "short" {
				t.Errorf("meanwhile it holds %q, %v", old, err)
			}
			return text(s)(w)
		})
		if err != nil {
			t.Fatal(err)
		}
		holds(t, dir, map[string]string{"a": s})
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestFailureLeavesAllAsItWas(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a")
	if err := durable.Write(file, ".next-*", text("old")); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the disk is full")
	err := durable.Write(file, ".next-*", func(w io.Writer) error { return errors.Join(text("ne")(w), full) })
	if !errors.Is(err, full) || errors.Is(err, durable.ErrUnsynced) {
		t.Error(err)
	}
	holds(t, dir, map[string]string{"a": "old"})

	taken := filepath.Join(t.TempDir(), "taken") // by a directory that is not empty
	if err := os.MkdirAll(filepath.Join(taken, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Write(taken, ".next-*", text("new")); err == nil || errors.Is(err, durable.ErrUnsynced) {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(taken), ".next-*")); len(left) != 0 || err != nil {
		t.Errorf("left aside: %v, %v", left, err)
	}
	if err := durable.Write(filepath.Join(dir, "missing", "a"), ".next-*", text("new")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestAsideAndRename(t *testing.T) {
	dir := t.TempDir()
	aside, err := durable.Aside(dir, ".next-*.yaml", text("new"))
	name := filepath.Base(aside)
	if err != nil || filepath.Dir(aside) != dir || !strings.HasPrefix(name, ".next-") || !strings.HasSuffix(name, ".yaml") {
		t.Fatal(aside, err)
	}
	holds(t, dir, map[string]string{name: "new"})
	if err := durable.Rename(aside, filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, map[string]string{"a": "new"})
	if err := durable.Remove(filepath.Join(dir, "a")); err != nil {
		t.Error(err)
	}
	holds(t, dir, nil)
	if err := durable.Remove(filepath.Join(dir, "a")); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, durable.ErrUnsynced) {
		t.Error(err)
	}
	if err := durable.Rename(aside, filepath.Join(dir, "b")); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, durable.ErrUnsynced) {
		t.Error(err)
	}
}

// A directory that is not to be opened cannot be synced; what was renamed is there.
func TestUnsynced(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root opens any directory")
	}
	dir := t.TempDir()
	aside, err := durable.Aside(dir, ".next-*", text("new"))
	if err == nil {
		err = os.Chmod(dir, 0o300)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = durable.Rename(aside, filepath.Join(dir, "a"))
	if !errors.Is(err, durable.ErrUnsynced) || !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, map[string]string{"a": "new"})
}

func TestSyncDir(t *testing.T) {
	if err := durable.SyncDir(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := durable.SyncDir(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
