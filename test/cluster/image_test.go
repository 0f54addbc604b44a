package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// compiled is a small program, linked as mode says.
func compiled(t *testing.T, cgo string) string {
	t.Helper()
	dir := t.TempDir()
	source := "package main\n\nfunc main() {}\n"
	if cgo == "1" {
		source = "package main\n\nimport \"C\"\n\nfunc main() {}\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", filepath.Join(dir, "app"), "main.go")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "app")
}

func untar(t *testing.T, tarball []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(tarball)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPack(t *testing.T) {
	binary := compiled(t, "0")
	first, digest, err := pack("localhost:5000/team/app:v1", binary, []string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := pack("localhost:5000/team/app:v1", binary, []string{"serve"}); err != nil || !bytes.Equal(first, again) {
		t.Errorf("the same program gives another image (%v)", err)
	}
	if _, other, err := pack("localhost:5000/team/app:v1", binary, []string{"job"}); err != nil || other == digest {
		t.Errorf("other arguments give the same image %s (%v)", other, err)
	}
	files := untar(t, first)
	for name, content := range files {
		sum := sha256.Sum256(content)
		if hash, blob := strings.CutPrefix(name, "blobs/sha256/"); blob && hash != hex.EncodeToString(sum[:]) {
			t.Errorf("%s has other content", name)
		}
	}
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(files["index.json"], &index); err != nil || len(index.Manifests) != 2 {
		t.Fatalf("index %s: %v", files["index.json"], err)
	}
	if got := index.Manifests[1].Annotations["io.containerd.image.name"]; got != digest || !strings.HasPrefix(got, "localhost:5000/team/app@sha256:") {
		t.Errorf("by its digest the image is %q, told %q", got, digest)
	}
}

// TestPackRefuses programs that would not start in an image.
func TestPackRefuses(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for binary, want := range map[string]string{
		script: "no program of Linux", compiled(t, "1"): "CGO_ENABLED=0", filepath.Join(t.TempDir(), "none"): "no such file",
	} {
		if _, _, err := pack("localhost/app:test", binary, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", binary, err, want)
		}
	}
}
