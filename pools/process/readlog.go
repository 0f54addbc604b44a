package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spillway-dev/spillway"
)

// lookEvery is how often a log that is followed is looked at.
const lookEvery = 100 * time.Millisecond

// ReadLog gives write the last tail lines of what a function's instances wrote
// here, and if it follows all that they write until ctx ends, which is no error.
// Text comes in order, whole lines first when it is read back. A function that
// never ran here has written nothing.
func (p *Pool) ReadLog(ctx context.Context, function spillway.FunctionKey, tail int, follow bool, write func([]byte) error) error {
	path := p.logs.path(function)
	at, err := openLog(path)
	if err != nil {
		return err
	}
	defer func() { at.close() }()
	if err := at.back(path+".1", tail, write); err != nil || !follow {
		return err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if err := at.copy(write); err != nil {
			return err
		}
		next, err := at.successor(path)
		if err != nil {
			return err
		}
		if next != nil { // the file was put aside; what came before that is read first
			err := at.copy(write)
			at.close()
			if at = next; err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
}

func (l *logs) path(key spillway.FunctionKey) string {
	return filepath.Join(l.dir, fileName(key.Namespace), fileName(key.Name)+".log")
}

// logAt is a place in a log; without a file, before its first line.
type logAt struct{ file *os.File }

func openLog(path string) (*logAt, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &logAt{}, nil
	}
	return &logAt{file}, err
}

func (l *logAt) close() {
	if l.file != nil {
		l.file.Close()
	}
}

// successor opens the file that comes after l, if there is one. That is the one that
// was put aside last, if l was put aside before it.
func (l *logAt) successor(path string) (*logAt, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) { // nothing yet, or between two files
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if l.file != nil {
		if own, err := l.file.Stat(); err != nil || os.SameFile(own, info) {
			return nil, err
		}
	}
	if aside := path + ".1"; l.file != nil && !l.is(aside) {
		if next, err := openLog(aside); err != nil || next.file != nil {
			return next, err
		}
	}
	return openLog(path)
}

// copy writes what is there from here on.
func (l *logAt) copy(write func([]byte) error) error {
	if l.file == nil {
		return nil
	}
	var buffer [32 << 10]byte
	for {
		n, err := l.file.Read(buffer[:])
		if n > 0 {
			if err := write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// back writes the last lines up to here, also those of the file before, and goes
// to the end.
func (l *logAt) back(before string, tail int, write func([]byte) error) error {
	var now, old []byte
	var err error
	if l.file != nil {
		if now, err = io.ReadAll(io.LimitReader(l.file, 2*maxLogBytes)); err != nil {
			return err
		}
	}
	now, got := lastLines(now, tail)
	if got < tail && !l.is(before) {
		if old, err = readLog(before); err != nil {
			return err
		}
		old, _ = lastLines(old, tail-got)
	}
	for _, text := range [][]byte{old, now} {
		if len(text) > 0 {
			if err := write(text); err != nil {
				return err
			}
		}
	}
	return nil
}

// readLog reads the log that was put aside at path; none is an empty one.
func readLog(path string) ([]byte, error) {
	at, err := openLog(path)
	if err != nil || at.file == nil {
		return nil, err
	}
	defer at.close()
	return io.ReadAll(io.LimitReader(at.file, 2*maxLogBytes))
}

// is reports that the file at path is the one that is read: it was put aside since.
func (l *logAt) is(path string) bool {
	if l.file == nil {
		return false
	}
	info, err := os.Stat(path)
	own, failed := l.file.Stat()
	return err == nil && failed == nil && os.SameFile(own, info)
}

// lastLines returns the last n lines of text, or all, and how many they are.
func lastLines(text []byte, n int) ([]byte, int) {
	from := len(text)
	lines := 0
	for lines < n && from > 0 {
		from = 1 + bytes.LastIndexByte(text[:from-1], '\n')
		lines++
	}
	return text[from:], lines
}
