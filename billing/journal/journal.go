// Package journal is a crash-safe local append file of small records.
//
// A record is copied into a shared mapping of space that was allocated before: it
// survives the end of the process from the moment Append returns, and a power cut
// once the background fdatasync has run. Room for records to come is reserved ahead, so a
// full disk is noticed before work is accepted, never after it was done.
// (Filesystems that copy on write cannot keep that promise.)
//
// Records are written at growing positions, counted in bytes over all segments.
package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// MaxRecord bounds the payload of a record.
	MaxRecord = 4 << 10

	// recordRoom is what a reservation sets aside for a record: any size fits.
	recordRoom = MaxRecord + frameHeader
)

var (
	// ErrFull reports that there is no room for another reservation or unreserved
	// record, on the disk or within Options.MaxSegments.
	ErrFull = errors.New("journal is full")
	// ErrFailed reports a write or sync that failed. What is on disk is unknown
	// after that, so the journal takes no more records until it is opened anew.
	ErrFailed = errors.New("journal has failed")
	// ErrClosed reports use after Close.
	ErrClosed = errors.New("journal is closed")
)

// Options are the sizes and times of a journal. A zero field has its default.
type Options struct {
	SegmentBytes int64         // size of a file, allocated at once; 8 MiB, at least 64 KiB
	MaxSegments  int           // files at most; 64
	SyncEvery    time.Duration // from a record to its fdatasync at most; 50 ms, at most 100 ms
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 8 << 20
	}
	o.SegmentBytes = max(o.SegmentBytes, 64<<10)
	if o.MaxSegments <= 0 {
		o.MaxSegments = 64
	}
	if o.SyncEvery <= 0 {
		o.SyncEvery = 50 * time.Millisecond
	}
	o.SyncEvery = min(o.SyncEvery, 100*time.Millisecond)
	return o
}

// Journal is safe for concurrent use.
type Journal struct {
	dir     string
	options Options

	mu       sync.Mutex
	segments []*segment // oldest first; the one at active is written to
	active   int
	reserved int64
	durable  int64 // every byte before this position is on stable storage
	dirty    bool
	unnamed  bool // a new file is not yet synced in the directory
	closing  bool
	err      error // permanent

	syncing sync.Mutex // held around a sync; before mu
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// Reserve sets aside room for n records. Each success needs a Release of as many.
// It returns ErrFull when the disk or the journal has no room.
func (j *Journal) Reserve(n int) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	if err := j.provide(j.reserved + int64(n)*recordRoom); err != nil {
		return err
	}
	j.reserved += int64(n) * recordRoom
	return nil
}

// Release gives back room for n records that Reserve set aside, used or not.
func (j *Journal) Release(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reserved = max(j.reserved-int64(n)*recordRoom, 0)
}

// Append writes a record within a reservation and returns its position. It cannot
// fail for lack of room while no more records are written than were reserved.
func (j *Journal) Append(payload []byte) (int64, error) {
	return j.append(payload, 0)
}

// AppendUnreserved writes a record only if all reservations can still be kept;
// otherwise it returns ErrFull.
func (j *Journal) AppendUnreserved(payload []byte) (int64, error) {
	return j.append(payload, 1)
}

func (j *Journal) append(payload []byte, keep int64) (int64, error) {
	if len(payload) == 0 || len(payload) > MaxRecord {
		return 0, fmt.Errorf("journal record of %d bytes: must be 1 to %d", len(payload), MaxRecord)
	}
	frame := frames.Get().(*[]byte)
	defer frames.Put(frame)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return 0, j.err
	}
	*frame = appendFrame((*frame)[:0], payload, j.durable)
	size := int64(len(*frame))
	if err := j.provide(keep*j.reserved + size); err != nil {
		return 0, err
	}
	return j.write(*frame)
}

// write puts a frame at the end; there is room for it.
func (j *Journal) write(frame []byte) (int64, error) {
	s := j.segments[j.active]
	if s.room() < int64(len(frame)) {
		j.active++
		s = j.segments[j.active]
	}
	if err := s.write(frame, s.end); err != nil {
		return 0, j.fail(fmt.Errorf("writing %s at %d: %w", s.file.Name(), s.end, err))
	}
	position := s.base + s.end
	s.end += int64(len(frame))
	if !j.dirty {
		j.dirty = true
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
	return position, nil
}

// fail makes err permanent. An fsync is never tried again: after a failed one the
// kernel may have dropped the data and would report success.
func (j *Journal) fail(err error) error {
	j.err = fmt.Errorf("%w: %w; free or replace the disk, then restart", ErrFailed, err)
	return j.err
}

// provide makes sure that n bytes of records fit, or returns ErrFull.
func (j *Journal) provide(n int64) error {
	for j.free() < n {
		if err := j.extend(); err != nil {
			return err
		}
	}
	return nil
}

// extend adds an empty segment.
func (j *Journal) extend() error {
	if len(j.segments) >= j.options.MaxSegments {
		return fmt.Errorf("%w: %d segments of %d bytes in %s are not yet in the ledger", ErrFull, len(j.segments), j.options.SegmentBytes, j.dir)
	}
	last := j.segments[len(j.segments)-1]
	s, err := createSegment(j.dir, last.number+1, last.base+last.size, j.options.SegmentBytes)
	if err != nil {
		return err
	}
	j.segments = append(j.segments, s)
	j.unnamed = true
	return nil
}

// Clear drops all records. It is for a journal whose records are all needed no
// more, before new ones are appended; on a full disk some may stay.
func (j *Journal) Clear() error {
	j.mu.Lock()
	var err error
	if j.active == len(j.segments)-1 {
		err = j.extend()
	}
	if err == nil {
		j.active++
	}
	j.mu.Unlock()
	if err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	if err := j.Sync(); err != nil {
		return err
	}
	return j.Drop(j.End())
}

// free is how many bytes of records surely fit: a segment may end with a gap too
// small for the next record.
func (j *Journal) free() int64 {
	var n int64
	for _, s := range j.segments[j.active:] {
		n += max(s.room()-recordRoom, 0)
	}
	return n
}

// End returns the position after the last record.
func (j *Journal) End() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.segments[j.active]
	return s.base + s.end
}

// Drop says that no record before position is needed any more. Files wholly
// before it are deleted.
func (j *Journal) Drop(position int64) error {
	j.mu.Lock()
	var old []*segment
	// A segment that is not all durable may be in the hands of sync.
	for j.active > 0 && j.segments[1].base <= min(position, j.durable) {
		old = append(old, j.segments[0])
		j.segments = j.segments[1:]
		j.active--
	}
	j.mu.Unlock()
	var errs []error
	for _, s := range old {
		errs = append(errs, s.close(), os.Remove(s.file.Name()))
	}
	return errors.Join(errs...)
}

// Health returns why the journal takes no records, or nil.
func (j *Journal) Health() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}
