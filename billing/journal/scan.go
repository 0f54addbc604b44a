package journal

import (
	"bytes"
	"os"
)

// scanned is what reading one file found.
type scanned struct {
	path               string
	number, base, size int64 // size 0: no valid header; base -1: damage for sure
	end                int64 // offset after the last good record
	last               int64 // offset of the last good record; 0 without one
	rest               int64 // bytes from end to the last that is not zero
}

// scan is what reading all files found.
type scan struct {
	segments []scanned
	durable  int64 // the highest position that any frame says was synced
	bad      int   // the first file with something wrong at its end, or -1
	why      string
}

// scanAll reads all files and finds the first place where the records stop though
// something follows.
func scanAll(names []string) (scan, error) {
	found := scan{bad: -1}
	for _, path := range names {
		b, err := os.ReadFile(path)
		if err != nil {
			return found, err
		}
		s, durable := scanFile(path, b)
		found.durable = max(found.durable, durable)
		found.segments = append(found.segments, s)
	}
	for i := range found.segments {
		if why := found.fault(i); why != "" && found.bad < 0 {
			found.bad, found.why = i, why
		}
	}
	return found, nil
}

// fault says what is wrong in or before segment i, or "".
func (f *scan) fault(i int) string {
	s := &f.segments[i]
	if i > 0 {
		before := &f.segments[i-1]
		if s.size == 0 {
			s.base = before.base + before.size
		}
		if before.size > 0 && s.number != before.number+1 || s.base != before.base+before.size {
			s.base = -1
			return "a file before it is missing"
		}
	}
	switch {
	case s.size == 0:
		if i == 0 && s.number != 1 {
			s.base = -1 // never the first file of a journal: it had been synced
		}
		return "its header is not valid"
	case s.rest > 0:
		return "a record fails its checksum"
	case i+1 < len(f.segments) && f.segments[i+1].last > 0 && s.size-s.end > MaxRecord+frameHeader:
		return "records are missing at its end"
	}
	return ""
}

func scanFile(path string, b []byte) (scanned, int64) {
	s := scanned{path: path, number: numberOf(path)}
	number, base, size, err := readHeader(b)
	if err != nil || number != s.number {
		durable := salvage(b)
		s.rest = int64(len(bytes.TrimRight(b, "\x00")))
		return s, durable
	}
	s.base, s.size = base, size
	b = b[:min(int64(len(b)), size)]
	var durable int64
	for s.end = segmentHeader; ; {
		_, d, n := readFrame(b[s.end:])
		if n <= 0 {
			break
		}
		durable, s.last = max(durable, d), s.end
		s.end += int64(n)
	}
	s.rest = int64(len(bytes.TrimRight(b[s.end:], "\x00")))
	later := salvage(b[s.end : s.end+s.rest])
	return s, max(durable, later)
}

// salvage looks for whole frames anywhere in b, only to learn what they say was
// durable.
func salvage(b []byte) (durable int64) {
	for at := 0; at < len(b); {
		_, d, n := readFrame(b[at:])
		if n <= 0 {
			at++
			continue
		}
		durable = max(durable, d)
		at += n
	}
	return durable
}
