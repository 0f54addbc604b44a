package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// A segment file starts with a header: magic, its number, the position of its
// first byte, its size, and a CRC32C of these.
const (
	segmentHeader = 40
	segmentMagic  = "SPWJRNL1"
)

type segment struct {
	file   *os.File
	mapped []byte // the file in memory, shared; nil where it cannot be mapped
	number int64
	base   int64 // position of the file's first byte
	size   int64
	end    int64 // offset after the last record
}

func (s *segment) room() int64 { return s.size - s.end }

func segmentName(number int64) string { return fmt.Sprintf("%016x.journal", number) }

// createSegment makes a file with all its blocks allocated. Syncing it and its
// directory is left to the next sync.
func createSegment(dir string, number, base, size int64) (*segment, error) {
	path := filepath.Join(dir, segmentName(number))
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, full(fmt.Errorf("creating a journal segment: %w", err))
	}
	s := &segment{file: file, number: number, base: base, size: size, end: segmentHeader}
	if err := s.allocate(); err != nil {
		return nil, full(errors.Join(fmt.Errorf("allocating %d bytes for %s: %w", size, path, err), file.Close(), os.Remove(path)))
	}
	s.open()
	return s, nil
}

// open maps the file, all of which is allocated. A filesystem that cannot do that
// gets writes.
func (s *segment) open() {
	if mapped, err := unix.Mmap(int(s.file.Fd()), 0, int(s.size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		s.mapped = mapped
	}
}

// write puts b where the kernel keeps it when this process is killed.
func (s *segment) write(b []byte, at int64) (err error) {
	if s.mapped == nil {
		_, err = s.file.WriteAt(b, at)
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			err = fmt.Errorf("the file is cut or its disk has failed: %v", fault)
		default:
			panic(fault)
		}
	}()
	copy(s.mapped[at:at+int64(len(b))], b)
	return nil
}

func (s *segment) close() error {
	var err error
	if s.mapped != nil {
		err = unix.Munmap(s.mapped)
		s.mapped = nil
	}
	return errors.Join(err, s.file.Close())
}

func (s *segment) allocate() error {
	if err := s.reserveBlocks(); err != nil {
		return err
	}
	header := make([]byte, 0, segmentHeader)
	header = append(header, segmentMagic...)
	for _, n := range [3]int64{s.number, s.base, s.size} {
		header = binary.LittleEndian.AppendUint64(header, uint64(n))
	}
	header = binary.LittleEndian.AppendUint64(header, uint64(crc32.Checksum(header, castagnoli)))
	_, err := s.file.WriteAt(header, 0)
	return err
}

// reserveBlocks extends the file to its size with blocks that are its own.
func (s *segment) reserveBlocks() error {
	err := unix.EINTR
	for errors.Is(err, unix.EINTR) {
		err, _ = unix.Fallocate(int(s.file.Fd()), 0, 0, s.size).(unix.Errno) //nolint:errorlint // a bare errno, by its contract
	}
	switch err {
	case 0:
		return nil
	case unix.EOPNOTSUPP:
		return s.fill()
	}
	return err
}

// fill allocates by writing zeros from the end of the file, where the filesystem
// cannot do it at once.
func (s *segment) fill() error {
	zeros := make([]byte, 64<<10)
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	for at := info.Size(); at < s.size; at += int64(len(zeros)) {
		if _, err := s.file.WriteAt(zeros[:min(int64(len(zeros)), s.size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// readHeader returns the header's fields; a header that was never completed
// (a cut during creation) is errNoHeader.
func readHeader(b []byte) (number, base, size int64, err error) {
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic || uint64(crc32.Checksum(b[:32], castagnoli)) != binary.LittleEndian.Uint64(b[32:]) {
		return 0, 0, 0, errNoHeader
	}
	field := func(at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) }
	return field(8), field(16), field(24), nil
}

var errNoHeader = errors.New("no valid segment header")

// full marks an error as lack of room when it is one.
func full(err error) error {
	for _, lack := range []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG} {
		if errors.Is(err, lack) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}
