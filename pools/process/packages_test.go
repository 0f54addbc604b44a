package process

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

type zipEntry struct {
	name, contents string
	mode           fs.FileMode
}

func zipOf(t testing.TB, entries ...zipEntry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		header.SetMode(e.mode)
		if strings.HasPrefix(e.contents, "\x7fELF") {
			header.Method = zip.Store // deflating a program takes seconds under the race detector
		}
		file, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(e.contents)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestZipPackageRuns(t *testing.T) {
	program, err := os.ReadFile(filepath.Join(probePackage, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "function.zip")
	archive := zipOf(t, zipEntry{"bin/", "", fs.ModeDir | 0o755}, zipEntry{"bin/other", "no program", 0o600}, zipEntry{"bin/main", string(program), 0o700})
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, Config{})
	f := functionOf(t, path)
	f.Handler = "bin/main"
	if r := call(p, f, startOn(t, p, f), `{}`); string(r.Payload) != `"done"` {
		t.Errorf("%+v %s", r.Outcome, r.Payload)
	}
}

func TestPackageIsUnpackedOnceAndComplete(t *testing.T) {
	source := t.TempDir()
	os.MkdirAll(filepath.Join(source, "lib"), 0o700)
	os.WriteFile(filepath.Join(source, "lib", "a"), []byte("a"), 0o600)
	cache, err := openPackages(filepath.Join(t.TempDir(), "packages"))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := pkgdigest.Digest(source)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			dir, err := cache.unpacked(spillway.Package{Path: source, Digest: digest})
			if err != nil {
				t.Error(err)
				return
			}
			if info, err := os.Stat(filepath.Join(dir, "lib", "a")); err != nil || info.Mode().Perm() != 0o444 {
				t.Errorf("%v %v", info, err)
			}
		})
	}
	all.Wait()
	if entries, _ := os.ReadDir(cache.dir); len(entries) != 1 {
		t.Errorf("cache holds %v", entries)
	}
	// The source may change or go: what was pinned runs on.
	os.RemoveAll(source)
	if _, err := cache.unpacked(spillway.Package{Path: source, Digest: digest}); err != nil {
		t.Error(err)
	}
}

func TestMismatchLeavesNothing(t *testing.T) {
	cache, err := openPackages(filepath.Join(t.TempDir(), "packages"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = cache.unpacked(spillway.Package{Path: probePackage, Digest: "sha256:" + strings.Repeat("a", 64)})
	if err == nil || !strings.Contains(err.Error(), "pin its new digest") {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(cache.dir); len(entries) != 0 {
		t.Errorf("cache holds %v", entries)
	}
}

func TestLogRotation(t *testing.T) {
	l := &logs{dir: t.TempDir()}
	key := spillway.FunctionKey{Namespace: "..", Name: "a/b"}
	f, err := l.use(key)
	if err != nil {
		t.Fatal(err)
	}
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 9 {
		if _, err := f.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int64{"a%2Fb.log": 1 << 20, "a%2Fb.log.1": 8 << 20} {
		info, err := os.Stat(filepath.Join(l.dir, "_..", name))
		if err != nil || info.Size() != want {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if err := f.release(); err != nil || len(l.open) != 0 {
		t.Errorf("%v, %d open", err, len(l.open))
	}
}
