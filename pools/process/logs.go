package process

import (
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/spillway-dev/spillway"
)

// maxLogBytes is when a function's log is put aside as <name>.log.1, which
// replaces the one before it.
const maxLogBytes = 8 << 20

// logs are the files <dir>/<namespace>/<function>.log, open while an instance writes.
type logs struct {
	dir string

	mu   sync.Mutex
	open map[spillway.FunctionKey]*logFile
}

// logFile is shared by the instances of a function. Each Write lands whole.
type logFile struct {
	logs *logs
	key  spillway.FunctionKey
	path string
	uses int // guarded by logs.mu

	mu   sync.Mutex
	file *os.File
	size int64
}

// use opens the log of a function; release it when done.
func (l *logs) use(key spillway.FunctionKey) (*logFile, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.open[key]; f != nil {
		f.uses++
		return f, nil
	}
	f := &logFile{logs: l, key: key, path: l.path(key), uses: 1}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return nil, err
	}
	if err := f.reopen(); err != nil {
		return nil, err
	}
	if l.open == nil {
		l.open = map[spillway.FunctionKey]*logFile{}
	}
	l.open[key] = f
	return f, nil
}

// fileName makes any name one path element that is not hidden.
func fileName(name string) string {
	name = url.PathEscape(name)
	if name == "" || name[0] == '.' {
		return "_" + name
	}
	return name
}

func (f *logFile) release() error {
	f.logs.mu.Lock()
	defer f.logs.mu.Unlock()
	if f.uses--; f.uses > 0 {
		return nil
	}
	delete(f.logs.open, f.key)
	return f.file.Close()
}

func (f *logFile) reopen() error {
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.size = file, info.Size()
	return nil
}

// Write appends p, after rotating when it would not fit.
func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.size > 0 && f.size+int64(len(p)) > maxLogBytes {
		if err := f.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	return n, err
}

// rotate keeps writing to the old file when a new one cannot be made.
func (f *logFile) rotate() error {
	if err := os.Rename(f.path, f.path+".1"); err != nil {
		return err
	}
	old := f.file
	if err := f.reopen(); err != nil {
		return err
	}
	return old.Close()
}
