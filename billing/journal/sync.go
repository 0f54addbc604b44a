package journal

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/durable"
)

// run syncs SyncEvery after the first record that is not yet durable.
func (j *Journal) run() {
	defer close(j.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-j.wake:
		}
		timer.Reset(j.options.SyncEvery)
		select {
		case <-j.stop:
			return
		case <-timer.C:
		}
		if j.Sync() != nil {
			return
		}
	}
}

// Sync makes every record appended before it durable.
func (j *Journal) Sync() error {
	j.syncing.Lock()
	defer j.syncing.Unlock()
	j.mu.Lock()
	files, end, unnamed := j.unsynced()
	err := j.err
	j.mu.Unlock()
	if err != nil {
		return err
	}
	err = syncFiles(files)
	if unnamed && err == nil {
		err = durable.SyncDir(j.dir)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		return j.fail(fmt.Errorf("syncing %s: %w", j.dir, err))
	}
	j.durable = max(j.durable, end)
	return j.mark(end)
}

// unsynced returns what one sync has to cover, and takes the dirty marks down.
func (j *Journal) unsynced() (files []*os.File, end int64, unnamed bool) {
	for i, s := range j.segments[:j.active+1] {
		if i == j.active || s.base+s.end > j.durable {
			files = append(files, s.file)
		}
		end = s.base + s.end
	}
	unnamed, j.unnamed, j.dirty = j.unnamed, false, false
	return files, end, unnamed
}

// mark records the durable position, if no record since does, so that damage to
// the last records can be told from a torn tail. It is not a record to be synced.
func (j *Journal) mark(end int64) error {
	s := j.segments[j.active]
	if s.base+s.end != end || j.free() < j.reserved+frameHeader || s.room() < frameHeader {
		return nil
	}
	frame := appendFrame(nil, nil, j.durable)
	if err := s.write(frame, s.end); err != nil {
		return j.fail(fmt.Errorf("writing %s at %d: %w", s.file.Name(), s.end, err))
	}
	s.end += int64(len(frame))
	return nil
}

func syncFiles(files []*os.File) error {
	for _, f := range files {
		err := unix.Fdatasync(int(f.Fd()))
		for errors.Is(err, unix.EINTR) {
			err = unix.Fdatasync(int(f.Fd()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close syncs and closes the journal. Reservations end with it. A second call does
// nothing.
func (j *Journal) Close() error {
	j.mu.Lock()
	closing := j.closing
	j.closing = true
	j.mu.Unlock()
	if closing {
		return nil
	}
	close(j.stop)
	<-j.done
	err := j.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = ErrClosed
	for _, s := range j.segments {
		err = errors.Join(err, s.close())
	}
	return err
}
