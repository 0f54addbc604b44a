package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small makes segments that hold a dozen of the largest records.
var small = Options{SegmentBytes: 64 << 10, MaxSegments: 8}

// reopen opens dir and returns the records found.
func reopen(t *testing.T, dir string, o Options) (*Journal, Report, [][]byte, error) {
	t.Helper()
	var got [][]byte
	j, report, err := Open(dir, o, func(p []byte) error { got = append(got, bytes.Clone(p)); return nil })
	if err == nil {
		t.Cleanup(func() { j.Close() })
	}
	return j, report, got, err
}

func record(i, size int) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(i)), bytes.Repeat([]byte{byte(i)}, size)...)
}

func fill(t *testing.T, j *Journal, n int) (want [][]byte) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range n {
		p := record(i, random.IntN(2000))
		if _, err := j.AppendUnreserved(p); err != nil {
			t.Fatal(err)
		}
		want = append(want, p)
	}
	return want
}

func TestReplayInOrderOverSegments(t *testing.T) {
	dir := t.TempDir()
	j, _, _, err := reopen(t, dir, small)
	if err != nil {
		t.Fatal(err)
	}
	want := fill(t, j, 200)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, report, got, err := reopen(t, dir, small)
	if err != nil || report.CutBytes != 0 || report.Records != len(want) || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("got %d records, %+v, %v; want %d", len(got), report, err, len(want))
	}
	more := fill(t, j, 10)
	j.Close()
	_, _, got, err = reopen(t, dir, small)
	if err != nil || !slices.EqualFunc(got, append(want, more...), bytes.Equal) {
		t.Fatalf("got %d records, %v; want %d", len(got), err, len(want)+10)
	}
}

func TestReservationsAreKept(t *testing.T) {
	j, _, _, err := reopen(t, t.TempDir(), small)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for err = j.Reserve(2); err == nil; err = j.Reserve(2) {
		n++
	}
	if !errors.Is(err, ErrFull) || n < 40 {
		t.Fatalf("%d reservations, then %v", n, err)
	}
	for err = nil; err == nil; { // the slack that is no whole reservation
		_, err = j.AppendUnreserved(record(0, MaxRecord-4))
	}
	if !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	for i := range 2 * n {
		if _, err := j.Append(record(i, MaxRecord-4)); err != nil {
			t.Fatalf("reserved record %d of %d: %v", i, 2*n, err)
		}
	}
	for range n {
		j.Release(2)
	}
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := j.Drop(j.End()); err != nil {
		t.Fatal(err)
	}
	if err := j.Reserve(2); err != nil {
		t.Fatalf("after everything was dropped: %v", err)
	}
}

func TestDropKeepsLaterRecords(t *testing.T) {
	dir := t.TempDir()
	j, _, _, err := reopen(t, dir, small)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 150)
	at, err := j.AppendUnreserved([]byte("keep me"))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 100)
	if err := errors.Join(j.Sync(), j.Drop(at), j.Close()); err != nil {
		t.Fatal(err)
	}
	_, report, got, err := reopen(t, dir, small)
	if err != nil || report.CutBytes != 0 {
		t.Fatal(report, err)
	}
	if i := slices.IndexFunc(got, func(p []byte) bool { return string(p) == "keep me" }); i < 0 || i > 60 || len(got)-i != 101 {
		t.Fatalf("kept record at %d of %d", i, len(got))
	}
}

func TestClear(t *testing.T) {
	dir := t.TempDir()
	j, _, _, err := reopen(t, dir, small)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 100)
	if err := j.Clear(); err != nil {
		t.Fatal(err)
	}
	want := fill(t, j, 5)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	_, report, got, err := reopen(t, dir, small)
	if err != nil || report.CutBytes != 0 || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("%d records, %+v, %v", len(got), report, err)
	}
}

// crashed makes a journal whose last 20 records were never synced, and returns
// its only file and the offset of the first of them.
func crashed(t *testing.T) (path string, synced int64, want [][]byte) {
	dir := t.TempDir()
	j, _, _, err := reopen(t, dir, Options{SegmentBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	want = fill(t, j, 50)
	if err := j.Sync(); err != nil {
		t.Fatal(err)
	}
	synced = j.End()
	j.syncing.Lock() // as a power cut does: no sync from here on
	want = append(want, fill(t, j, 20)...)
	image, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	j.syncing.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), segmentName(1))
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, synced, want
}

func damage(t *testing.T, path string, change func(b []byte)) {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTornTailIsCutAndReported(t *testing.T) {
	for _, tear := range []int64{0, 1, 15, 16, 900, 4096, 9000} {
		t.Run(fmt.Sprint(tear), func(t *testing.T) {
			path, synced, want := crashed(t)
			damage(t, path, func(b []byte) { clear(b[synced+tear:][:700]) })
			j, report, got, err := reopen(t, filepath.Dir(path), small)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) < 50 || len(got) >= 70 || !slices.EqualFunc(got, want[:len(got)], bytes.Equal) {
				t.Fatalf("%d records survived", len(got))
			}
			if report.CutBytes == 0 || report.CutFile != path || report.CutOffset < synced {
				t.Fatalf("report %+v, synced %d", report, synced)
			}
			more := fill(t, j, 3)
			j.Close()
			_, report, again, err := reopen(t, filepath.Dir(path), small)
			if err != nil || report.CutBytes != 0 || !slices.EqualFunc(again, append(got, more...), bytes.Equal) {
				t.Fatalf("second open: %d records, %+v, %v", len(again), report, err)
			}
		})
	}
}

func TestEveryBitFlipInSyncedRecordsIsDetected(t *testing.T) {
	path, synced, _ := crashed(t)
	random := rand.New(rand.NewPCG(3, 3))
	for range 300 {
		at, bit := random.Int64N(synced-frameHeader), byte(1)<<random.IntN(8)
		damage(t, path, func(b []byte) { b[at] ^= bit })
		_, _, _, err := reopen(t, filepath.Dir(path), small)
		corrupt, ok := errors.AsType[*CorruptError](err)
		if !ok || corrupt.File != path || corrupt.Offset > at {
			t.Fatalf("bit %#x at %d: %v", bit, at, err)
		}
		damage(t, path, func(b []byte) { b[at] ^= bit })
	}
	if _, _, _, err := reopen(t, filepath.Dir(path), small); err != nil {
		t.Fatalf("undamaged again: %v", err)
	}
}

func TestMissingFileIsDamage(t *testing.T) {
	dir := t.TempDir()
	j, _, _, err := reopen(t, dir, small)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, j, 200)
	j.Close()
	if err := os.Remove(filepath.Join(dir, segmentName(2))); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = reopen(t, dir, small)
	if _, ok := errors.AsType[*CorruptError](err); !ok {
		t.Fatalf("got %v", err)
	}
}

func TestFailureIsPermanent(t *testing.T) {
	for name, spoil := range map[string]func(*segment) error{
		"mapped file cut short": func(s *segment) error { return os.Truncate(s.file.Name(), 0) },
		"not mapped, closed":    func(s *segment) error { defer s.open(); return s.close() },
	} {
		t.Run(name, func(t *testing.T) {
			j, _, _, err := reopen(t, t.TempDir(), small)
			if err != nil {
				t.Fatal(err)
			}
			if err := spoil(j.segments[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Append([]byte("x")); !errors.Is(err, ErrFailed) {
				t.Fatalf("append: %v", err)
			}
			for name, err := range map[string]error{"reserve": j.Reserve(2), "sync": j.Sync(), "health": j.Health()} {
				if !errors.Is(err, ErrFailed) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendFrame(nil, []byte("payload"), 40))
	f.Add(appendFrame(nil, nil, 1<<40))
	f.Add(append(appendFrame(nil, []byte("a"), 0), 1, 2, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, durable, size := readFrame(b)
		if size <= 0 {
			return
		}
		if again := appendFrame(nil, payload, durable); !bytes.Equal(again, b[:size]) {
			t.Fatalf("%x reads as %x, %d, which is written %x", b[:size], payload, durable, again)
		}
	})
}

// FuzzOpen feeds a damaged file to Open: it must answer, never panic, and never
// deliver a record that was not written.
func FuzzOpen(f *testing.F) {
	f.Add(uint16(45), byte(1), uint16(3))
	f.Add(uint16(300), byte(0xff), uint16(100))
	f.Fuzz(func(t *testing.T, at uint16, flip byte, cutAt uint16) {
		dir := t.TempDir()
		j, _, err := Open(dir, small, func([]byte) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		for i := range 9 {
			if _, err := j.AppendUnreserved(record(i, 20)); err != nil {
				t.Fatal(err)
			}
		}
		j.Close()
		path := filepath.Join(dir, segmentName(1))
		damage(t, path, func(b []byte) {
			b[int(at)%600] ^= flip
			clear(b[min(int(cutAt), 600):600])
		})
		j, _, err = Open(dir, small, func(p []byte) error {
			if len(p) != 24 || !bytes.Equal(p, record(int(binary.BigEndian.Uint32(p)), 20)) {
				t.Errorf("read %x", p)
			}
			return nil
		})
		if err == nil {
			j.Close()
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	j, _, err := Open(b.TempDir(), Options{}, func([]byte) error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	p := record(1, 300)
	b.ReportAllocs()
	for b.Loop() {
		at, err := j.Append(p)
		if err != nil {
			b.Fatal(err)
		}
		if at%(16<<20) < 400 {
			j.Sync()
			j.Drop(at)
		}
	}
}
