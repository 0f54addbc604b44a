package deployed

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

func zipWith(t *testing.T, contents string) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	file, err := w.Create("bootstrap")
	if err == nil {
		_, err = io.WriteString(file, contents)
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	return out.String()
}

func packsOf(t *testing.T, s *Store, limit int64) *Packs {
	t.Helper()
	p, err := s.Packs(limit, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func packageOf(s *Store, digest string) spillway.Package {
	path, _ := s.Package(digest)
	return spillway.Package{Path: path, Digest: digest}
}

// packNow packs and waits for it.
func packNow(p *Packs, all ...spillway.Package) {
	for _, pkg := range all {
		p.Pack(pkg)
	}
	p.work.Wait()
}

func has(t *testing.T, p *Packs, pkg spillway.Package) bool {
	t.Helper()
	file, sum, size := p.Open(pkg)
	if file == nil {
		return false
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	of := sha256.Sum256(text)
	if err != nil || sum != "sha256:"+hex.EncodeToString(of[:]) || size != int64(len(text)) {
		t.Errorf("%d bytes of %s, said are %d of %s (%v)", len(text), hex.EncodeToString(of[:]), size, sum, err)
	}
	dir := t.TempDir()
	if err := unpack.Packed(bytes.NewReader(text), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "bootstrap")); err != nil {
		t.Error(err)
	}
	return true
}

func packedFiles(s *Store) (all []string) {
	all, _ = filepath.Glob(filepath.Join(s.packages(), "*.packed"))
	return all
}

func TestPacks(t *testing.T) {
	s := Open(t.TempDir())
	p := packsOf(t, s, DefaultPacked)
	a := packageOf(s, put(t, s, zipWith(t, "a")))
	if has(t, p, a) {
		t.Fatal("it has what nobody has packed")
	}
	p.work.Wait() // the first look has begun it
	if !has(t, p, a) {
		t.Fatal("a package was not packed when it was looked for")
	}
	packNow(p, a)
	if len(packedFiles(s)) != 1 {
		t.Error(packedFiles(s))
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !has(t, packsOf(t, s, DefaultPacked), a) {
		t.Error("the next run does not find it")
	}
	p.Pack(packageOf(s, put(t, s, zipWith(t, "b"))))
	if p.work.Wait(); len(packedFiles(s)) != 1 {
		t.Error("something was packed after the end")
	}
}

// TestPacksThatDoNotEnd: what is packed for long does not keep a server from ending.
func TestPacksThatDoNotEnd(t *testing.T) {
	s := Open(t.TempDir())
	p := packsOf(t, s, DefaultPacked)
	pipe := filepath.Join(t.TempDir(), "slow.zip")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p.Pack(spillway.Package{Path: pipe, Digest: "sha256:" + strings.Repeat("0", 64)})
	feeding, err := os.OpenFile(pipe, os.O_WRONLY, 0) // when it is being read
	if err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(late); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := feeding.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPacksOfWhatIsNotTheDigest: a zip file that was changed on the disk is not packed.
func TestPacksOfWhatIsNotTheDigest(t *testing.T) {
	s := Open(t.TempDir())
	p := packsOf(t, s, DefaultPacked)
	a := packageOf(s, put(t, s, zipWith(t, "a")))
	if err := os.WriteFile(a.Path, []byte(zipWith(t, "evil")), 0o600); err != nil {
		t.Fatal(err)
	}
	text := packageOf(s, put(t, s, "no zip file"))
	packNow(p, a, text, spillway.Package{Path: a.Path, Digest: "sha256:../../x"}, spillway.Package{Path: "/none", Digest: "sha256:" + strings.Repeat("0", 64)})
	if left, _ := filepath.Glob(filepath.Join(s.packages(), "*[^z][^i][^p]")); len(left) > 0 || has(t, p, a) || has(t, p, text) {
		t.Errorf("left behind: %v", left)
	}
}

func TestPacksAreBounded(t *testing.T) {
	s := Open(t.TempDir())
	p := packsOf(t, s, DefaultPacked)
	a, b, c := packageOf(s, put(t, s, zipWith(t, "a"))), packageOf(s, put(t, s, zipWith(t, "b"))), packageOf(s, put(t, s, zipWith(t, "c")))
	packNow(p, a, b)
	p.limit = p.bytes
	if !has(t, p, a) { // b is the older one from now on
		t.Fatal("a is not packed")
	}
	packNow(p, c)
	if !has(t, p, a) || !has(t, p, c) || len(packedFiles(s)) != 2 {
		t.Errorf("a %t, c %t, files %v", has(t, p, a), has(t, p, c), packedFiles(s))
	}
	if has(t, p, b) {
		t.Error("b, which was used least recently, stays")
	}
	p.work.Wait()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var sum int64
	q := packsOf(t, s, p.limit/2)
	for _, f := range packedFiles(s) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	if sum > q.limit || sum != q.bytes {
		t.Errorf("%d bytes, noted are %d; allowed: %d", sum, q.bytes, q.limit)
	}
}

// TestPackedGoesWithItsZip, and one that an agent found bad at once.
func TestPackedGoesWithItsZip(t *testing.T) {
	s := Open(t.TempDir())
	p := packsOf(t, s, DefaultPacked)
	a, b := packageOf(s, put(t, s, zipWith(t, "a"))), packageOf(s, put(t, s, zipWith(t, "b")))
	packNow(p, a, b)
	if err := s.Sweep(time.Now().Add(2*unusedFor), b.Path); err != nil {
		t.Fatal(err)
	}
	if len(packedFiles(s)) != 1 || has(t, p, a) || !has(t, p, b) {
		t.Errorf("files %v", packedFiles(s))
	}
	file, sum, _ := p.Open(b)
	if file == nil || file.Close() != nil {
		t.Fatal("b is not packed")
	}
	p.Forget(b, "sha256:of another")
	if !has(t, p, b) {
		t.Error("another was forgotten")
	}
	p.Forget(b, sum)
	if len(packedFiles(s)) != 0 || has(t, p, b) {
		t.Error("b stays")
	}
	p.work.Wait()
	if !has(t, p, b) {
		t.Error("b was not packed again")
	}
}
