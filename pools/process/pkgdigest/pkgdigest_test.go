package pkgdigest

import (
	"os"
	"path/filepath"
	"testing"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func digest(t *testing.T, path string) string {
	t.Helper()
	d, err := Digest(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFileDigestIsItsSHA256(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.zip")
	write(t, path, "abc", 0o600)
	if got := digest(t, path); got != "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Error(got)
	}
}

func TestTreeDigest(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bootstrap"), "run", 0o700)
	write(t, filepath.Join(dir, "lib", "x"), "1", 0o644)
	before := digest(t, dir)
	// printf 'x "bootstrap" 3 %s\n- "lib/x" 1 %s\n' $(printf run|sha256sum) $(printf 1|sha256sum) | sha256sum
	if want := "sha256:6458424fba1de17627a59cbb463f876e7488f8c7580cde765a0f460dafa23f16"; before != want {
		t.Errorf("%s, want %s: digests that people pinned have changed", before, want)
	}
	os.Mkdir(filepath.Join(dir, "empty"), 0o755)
	os.Chmod(filepath.Join(dir, "lib", "x"), 0o600)
	if digest(t, dir) != before {
		t.Error("an empty directory or a read bit counts")
	}
	for _, c := range []struct {
		name   string
		change func() error
	}{
		{"mode", func() error { return os.Chmod(filepath.Join(dir, "lib", "x"), 0o755) }},
		{"contents", func() error { return os.WriteFile(filepath.Join(dir, "lib", "x"), []byte("2"), 0o755) }},
		{"name", func() error { return os.Rename(filepath.Join(dir, "lib"), filepath.Join(dir, "lob")) }},
	} {
		before := digest(t, dir)
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		if digest(t, dir) == before {
			t.Errorf("%s does not count", c.name)
		}
	}
}

func TestWhatAPackageMayNotHold(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "none"), "/dev/null"} {
		if d, err := Digest(path); err == nil {
			t.Errorf("%s has digest %s", path, d)
		}
	}
}
