package unpack

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

func TestHostileArchives(t *testing.T) {
	big := strings.Repeat("0", 3<<20)
	for name, entries := range map[string][]zipEntry{
		"parent":       {{"../evil", "x", 0o644}},
		"hidden":       {{"a/../../evil", "x", 0o644}},
		"absolute":     {{"/tmp/evil", "x", 0o644}},
		"backslash":    {{`..\evil`, "x", 0o644}},
		"link":         {{"link", "/etc", fs.ModeSymlink | 0o777}},
		"repeated":     {{"a", "1", 0o644}, {"a", "2", 0o644}},
		"file as dir":  {{"a", "1", 0o644}, {"a/b", "2", 0o644}},
		"bomb":         {{"zeroes", big, 0o644}},
		"split bomb":   {{"a", big[:2<<20], 0o644}, {"b", big[:2<<20], 0o644}},
		"device":       {{"null", "", fs.ModeDevice | 0o644}},
		"empty name":   {{"", "x", 0o644}},
		"parent alone": {{"..", "x", 0o644}},
	} {
		t.Run(name, func(t *testing.T) {
			archive := zipOf(t, entries...)
			dir := filepath.Join(t.TempDir(), "deep", "in")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := zipFrom(bytes.NewReader(archive), int64(len(archive)), dir); err == nil {
				t.Error("unpacked")
			}
			if outside, _ := filepath.Glob(filepath.Join(dir, "..", "*")); len(outside) != 1 {
				t.Errorf("wrote outside: %v", outside)
			}
		})
	}
}

func FuzzZip(f *testing.F) {
	f.Add(zipOf(f, zipEntry{"a/b", "text", 0o755}))
	f.Add(zipOf(f, zipEntry{"../b", "text", 0o755}))
	f.Add([]byte("PK"))
	f.Fuzz(func(t *testing.T, archive []byte) {
		dir := filepath.Join(t.TempDir(), "in")
		os.Mkdir(dir, 0o755)
		_ = zipFrom(bytes.NewReader(archive), int64(len(archive)), dir)
		if all, _ := os.ReadDir(filepath.Dir(dir)); len(all) != 1 {
			t.Errorf("wrote outside: %v", all)
		}
	})
}
