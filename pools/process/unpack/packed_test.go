package unpack

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

func pack(archive []byte) ([]byte, error) {
	var packed bytes.Buffer
	err := Pack(&packed, bytes.NewReader(archive), int64(len(archive)))
	return packed.Bytes(), err
}

func unpacked(t *testing.T, fill func(dir string) error) string {
	t.Helper()
	dir := t.TempDir()
	if err := fill(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestPackedIsTheSame: what was packed unpacks to what the zip file does, whatever the
// umask.
func TestPackedIsTheSame(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	archive := zipOf(t, zipEntry{"bootstrap", strings.Repeat("run ", 100<<10), 0o700}, zipEntry{"empty", "", 0o644}, zipEntry{"dir/", "", fs.ModeDir | 0o700},
		zipEntry{"a/b/c", "1", 0o600}, zipEntry{"a/b/d", "2", 0o644}, zipEntry{"a/e", "3", 0o755}, zipEntry{"a/b/f", "4", 0o644},
		zipEntry{"ü" + strings.Repeat("long/", 60) + "x", "5", 0o644})
	packed, err := pack(archive)
	if err != nil {
		t.Fatal(err)
	}
	again, err := pack(archive)
	if err != nil || !bytes.Equal(packed, again) {
		t.Errorf("the same file gives other bytes (%v)", err)
	}
	want := unpacked(t, func(dir string) error { return zipFrom(bytes.NewReader(archive), int64(len(archive)), dir) })
	got := unpacked(t, func(dir string) error { return Packed(bytes.NewReader(packed), dir) })
	wanted, _ := pkgdigest.Digest(want)
	if has, err := pkgdigest.Digest(got); err != nil || has != wanted {
		t.Errorf("%s %v, want %s", has, err, wanted)
	}
	for _, dir := range []string{want, got} {
		for path, mode := range map[string]fs.FileMode{".": 0o755, "bootstrap": 0o555, "a/b": 0o755, "a/b/c": 0o444, "dir": 0o755} {
			if info, err := os.Stat(filepath.Join(dir, path)); err != nil || info.Mode().Perm() != mode {
				t.Errorf("%s: %v %v, want %v", path, info, err, mode)
			}
		}
	}
}

func TestHostileArchivesAreNotPacked(t *testing.T) {
	for name, archive := range map[string][]byte{
		"parent": zipOf(t, zipEntry{"../evil", "x", 0o644}),
		"link":   zipOf(t, zipEntry{"link", "/etc", fs.ModeSymlink | 0o777}),
		"bomb":   zipOf(t, zipEntry{"zeroes", strings.Repeat("0", 3<<20), 0o644}),
		"no zip": []byte("PK"),
	} {
		if _, err := pack(archive); err == nil {
			t.Errorf("%s: packed", name)
		}
	}
}

// tarOf packs entries whatever they are.
func tarOf(t testing.TB, heads ...*tar.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range heads {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, endless{}, h.Size); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestHostileTars(t *testing.T) {
	file := func(name string, size int64) *tar.Header {
		return &tar.Header{Name: name, Mode: 0o644, Size: size, Typeflag: tar.TypeReg}
	}
	for name, heads := range map[string][]*tar.Header{
		"parent":      {file("../evil", 1)},
		"hidden":      {file("a/../../evil", 1)},
		"absolute":    {file("/tmp/evil", 1)},
		"backslash":   {file(`..\evil`, 1)},
		"symlink":     {{Name: "link", Linkname: "/etc", Typeflag: tar.TypeSymlink}},
		"hard link":   {{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeLink}},
		"device":      {{Name: "null", Typeflag: tar.TypeChar}},
		"fifo":        {{Name: "pipe", Typeflag: tar.TypeFifo}},
		"repeated":    {file("a", 1), file("a", 1)},
		"same place":  {file("a", 1), file("./a", 1)},
		"file as dir": {file("a", 1), file("a/b", 1)},
		"dir as file": {file("a/b", 1), file("a", 1)},
		"bomb":        {file("zeroes", 3<<20)},
		"split bomb":  {file("a", 2<<20), file("b", 2<<20)},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "deep", "in")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := untar(bytes.NewReader(tarOf(t, heads...)), dir, 2<<20); err == nil {
				t.Error("unpacked")
			}
			if outside, _ := filepath.Glob(filepath.Join(dir, "..", "*")); len(outside) != 1 {
				t.Errorf("wrote outside: %v", outside)
			}
		})
	}
}

func TestPackedEndsWithItsEnd(t *testing.T) {
	good := tarOf(t, &tar.Header{Name: "a", Mode: 0o644, Size: 10, Typeflag: tar.TypeReg})
	for name, c := range map[string]struct {
		text []byte
		ok   bool
	}{"whole": {good, true}, "more": {append(good[:len(good):len(good)], 'x'), false}, "cut": {good[:515], false}} {
		var packed bytes.Buffer
		w := s2.NewWriter(&packed)
		if _, err := w.Write(c.text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Packed(&packed, t.TempDir()); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzPacked(f *testing.F) {
	packed, err := pack(zipOf(f, zipEntry{"a/b", "text", 0o755}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(packed)
	f.Add(tarOf(f, &tar.Header{Name: "a/b", Mode: 0o755, Size: 3, Typeflag: tar.TypeReg}, &tar.Header{Name: "c/", Typeflag: tar.TypeDir}))
	f.Add(tarOf(f, &tar.Header{Name: "link", Linkname: "..", Typeflag: tar.TypeSymlink}, &tar.Header{Name: "link/b", Size: 1, Typeflag: tar.TypeReg}))
	f.Add(tarOf(f, &tar.Header{Name: "../b", Size: 1, Typeflag: tar.TypeReg}))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := filepath.Join(t.TempDir(), "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		_ = untar(bytes.NewReader(text), dir, 1<<20)
		_ = untar(s2.NewReader(bytes.NewReader(text), s2.ReaderMaxBlockSize(blockSize)), dir, 1<<20)
		if all, _ := os.ReadDir(filepath.Dir(dir)); len(all) != 1 {
			t.Errorf("wrote outside: %v", all)
		}
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, _ error) error {
			if !entry.IsDir() && !entry.Type().IsRegular() {
				t.Errorf("made %s", path)
			}
			return nil
		})
	})
}
