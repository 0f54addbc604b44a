package main

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// packageServer keeps the packages that are put to it, by path.
func packageServer(t *testing.T) (admin string, kept map[string]string) {
	t.Helper()
	kept = map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, has := kept[r.URL.Path]; {
		case r.Method == http.MethodHead && !has:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPut:
			text, _ := io.ReadAll(r.Body)
			kept[r.URL.Path] = string(text)
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, kept
}

func TestUploadFromAURL(t *testing.T) {
	var archive bytes.Buffer
	if err := zip.NewWriter(&archive).Close(); err != nil {
		t.Fatal(err)
	}
	content := archive.String()
	sum := sha256.Sum256([]byte(content))
	want := hex.EncodeToString(sum[:])
	var from *httptest.Server
	from = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved.zip":
			http.Redirect(w, r, from.URL+"/a.zip", http.StatusFound)
		case "/a.zip":
			_, _ = io.WriteString(w, content)
		default:
			http.NotFound(w, r)
		}
	}))
	defer from.Close()
	admin, kept := packageServer(t)
	for _, test := range []struct{ path, sum, problem string }{
		{"/a.zip", want, ""},
		{"/moved.zip", "sha256:" + want, ""},
		{"/a.zip", strings.Repeat("0", 64), "nothing was sent"},
		{"/a.zip", "", "needs --sha256"},
		{"/a.zip", "abc", "is not a SHA-256"},
		{"/b.zip", want, "404"},
	} {
		clear(kept)
		f := deployFlags{admin: admin, sha256: test.sum}
		digest, err := f.upload(t.Context(), streams{}, from.URL+test.path)
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) || len(kept) != 0 {
				t.Errorf("%s with %q: %v, kept %v", test.path, test.sum, err, kept)
			}
			continue
		}
		if err != nil || digest != "sha256:"+want || kept["/v1/packages/sha256:"+want] != content {
			t.Errorf("%s: %s, %v, kept %v", test.path, digest, err, kept)
		}
	}
}

// TestZipIsTheSameForTheSameFiles whatever their times say.
func TestZipIsTheSameForTheSameFiles(t *testing.T) {
	zipped := func(age time.Duration, mode os.FileMode) string {
		dir := t.TempDir()
		for name, text := range map[string]string{"bootstrap": "run", "lib/a": "1", "lib/b": "2"} {
			path := filepath.Join(dir, name)
			at := time.Now().Add(-age)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode), os.Chtimes(path, at, at)); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		if err := zipTree(&out, dir); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	one := zipped(0, 0o755)
	if two := zipped(time.Hour, 0o700); one != two {
		t.Error("a time or a bit for others counts")
	}
	if zipped(0, 0o644) == one {
		t.Error("the executable bit does not count")
	}
}

func TestPackageThatIsTooLarge(t *testing.T) {
	b := &bounded{to: io.Discard, left: 10}
	if _, err := b.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write([]byte{1}); err == nil {
		t.Error("took a byte too many")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pack(ctx, io.Discard, "http://127.0.0.1:1/a.zip", strings.Repeat("0", 64)); err == nil {
		t.Error("downloaded after it was interrupted")
	}
}
