package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Report says what Open found.
type Report struct {
	Records int
	// CutBytes were removed from a tail that a power cut or crash had torn, in
	// CutFile from CutOffset. Nothing that had been synced was among them.
	CutBytes  int64
	CutFile   string
	CutOffset int64
}

// CorruptError reports damage to records that had been synced. The journal is not
// opened and not changed.
type CorruptError struct {
	File   string
	Offset int64
	Why    string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal %s is damaged at offset %d: %s; restore the file, or move it away and accept that its records are lost", e.File, e.Offset, e.Why)
}

// Open opens the journal in dir, which must exist and have no other user, and
// hands every record to replay, oldest first; payload is valid during the call
// only. A torn tail is cut off; damage elsewhere is a *CorruptError.
func Open(dir string, o Options, replay func(payload []byte) error) (*Journal, Report, error) {
	j := &Journal{
		dir: dir, options: o.withDefaults(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	report, err := j.load(replay)
	if err == nil && len(j.segments) == 0 {
		err = j.first()
	}
	if err == nil {
		err = j.Sync()
	}
	if err != nil {
		for _, s := range j.segments {
			err = errors.Join(err, s.close())
		}
		return nil, report, fmt.Errorf("opening the journal in %s: %w", dir, err)
	}
	go j.run()
	return j, report, nil
}

func (j *Journal) first() error {
	s, err := createSegment(j.dir, 1, 0, j.options.SegmentBytes)
	if err != nil {
		return err
	}
	j.segments, j.unnamed = []*segment{s}, true
	return nil
}

func (j *Journal) load(replay func([]byte) error) (Report, error) {
	var report Report
	names, err := filepath.Glob(filepath.Join(j.dir, "*.journal"))
	if err != nil {
		return report, err
	}
	slices.Sort(names)
	found, err := scanAll(names)
	if err != nil {
		return report, err
	}
	if found.bad >= 0 {
		damaged := found.segments[found.bad]
		if damaged.base+damaged.end < found.durable || damaged.base < 0 {
			return report, &CorruptError{damaged.path, damaged.end, found.why}
		}
		if report, err = cut(found); err != nil {
			return report, err
		}
		found.segments = found.segments[:found.bad+1]
		if damaged.size == 0 {
			found.segments = found.segments[:found.bad]
		}
	}
	for i, s := range found.segments {
		n, err := j.adopt(s, replay)
		report.Records += n
		if err != nil {
			return report, err
		}
		if s.last > 0 {
			j.active = i
		}
	}
	j.unnamed = true
	return report, nil
}

// adopt opens a scanned segment for writing and replays its records.
func (j *Journal) adopt(s scanned, replay func([]byte) error) (int, error) {
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	j.segments = append(j.segments, &segment{file: file, number: s.number, base: s.base, size: s.size, end: s.end})
	b, err := os.ReadFile(s.path)
	if err == nil && int64(len(b)) < s.size {
		err = j.segments[len(j.segments)-1].reserveBlocks()
	}
	if err != nil {
		return 0, err
	}
	j.segments[len(j.segments)-1].open()
	n := 0
	for at := int64(segmentHeader); at < s.end; {
		payload, _, size := readFrame(b[at:])
		if size <= 0 {
			return n, &CorruptError{s.path, at, "it changed while it was read"}
		}
		at += int64(size)
		if len(payload) == 0 {
			continue
		}
		if err := replay(payload); err != nil {
			return n, fmt.Errorf("record at offset %d of %s: %w", at-int64(size), s.path, err)
		}
		n++
	}
	return n, nil
}

// cut removes everything from the first bad place on: the rest of that file and
// all later files.
func cut(found scan) (Report, error) {
	damaged := found.segments[found.bad]
	report := Report{CutBytes: damaged.rest, CutFile: damaged.path, CutOffset: damaged.end}
	for _, s := range found.segments[found.bad+1:] {
		report.CutBytes += s.rest + max(s.end-segmentHeader, 0)
		if err := os.Remove(s.path); err != nil {
			return report, err
		}
	}
	if damaged.size == 0 { // it has no header, so no records either
		return report, os.Remove(damaged.path)
	}
	file, err := os.OpenFile(damaged.path, os.O_RDWR, 0)
	if err != nil {
		return report, err
	}
	s := segment{file: file, size: damaged.size}
	err = file.Truncate(damaged.end)
	if err == nil {
		err = s.reserveBlocks()
	}
	return report, errors.Join(err, file.Sync(), file.Close())
}

func numberOf(path string) int64 {
	var n int64
	if _, err := fmt.Sscanf(strings.TrimSuffix(filepath.Base(path), ".journal"), "%x", &n); err != nil {
		return -1
	}
	return n
}
