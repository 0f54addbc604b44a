package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStandInIsOurs(t *testing.T) {
	parent := t.TempDir()
	path, err := standIn(parent, "/data")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := standIn(parent, "/data"); err != nil || again != path {
		t.Errorf("%s, %v: not found again", again, err)
	}
	os.Remove(path)
	for name, squat := range map[string]func(){
		"link":     func() { os.Symlink(t.TempDir(), path) },
		"file":     func() { os.WriteFile(path, nil, 0o644) },
		"writable": func() { os.Mkdir(path, 0o755); os.Chmod(path, 0o777) },
		"stranger's": func() {
			os.Mkdir(path, 0o755)
			if os.Chown(path, firstUser, firstUser) != nil {
				os.Chmod(path, 0o777) // not root: cannot be made, the case before stands in
			}
		},
	} {
		squat()
		if _, err := standIn(parent, "/data"); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: %v", name, err)
		}
		os.RemoveAll(path)
	}
}

func TestReachable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := makeDir(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Dir(dir), 0o700)
	if reachable(dir) {
		t.Error("passed a closed parent")
	}
	if !reachable("/") {
		t.Error("the root is closed")
	}
}
