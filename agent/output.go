package agent

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway/pools"
)

// output carries what a function writes to its log, and keeps the tail of one
// invocation when asked. A reader follows the pipe; flush reads what is already
// in it, so that a line written before an answer is in the log before the
// invocation ends.
type output struct {
	mu      sync.Mutex
	pipe    *os.File
	conn    syscall.RawConn
	log     io.Writer
	tail    []byte
	keeping bool
	ended   chan struct{} // closed when the reader has returned
}

var buffers = sync.Pool{New: func() any { return new([4 << 10]byte) }}

// newOutput returns the output and the end for the function to write to.
func newOutput(log io.Writer) (*output, *os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	conn, err := r.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, r.Close(), w.Close())
	}
	return &output{pipe: r, conn: conn, log: log, ended: make(chan struct{})}, w, nil
}

// follow copies until the last writer is gone or close gives up on it.
func (o *output) follow() {
	defer close(o.ended)
	for open := true; open; {
		err := o.conn.Read(func(fd uintptr) bool {
			var idle bool
			idle, open = o.read(fd)
			return !idle
		})
		open = open && err == nil
	}
}

// read moves what fd holds now. It reports that fd is empty, and that it is open.
func (o *output) read(fd uintptr) (idle, open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	buffer := buffers.Get().(*[4 << 10]byte)
	defer buffers.Put(buffer)
	for range 64 { // lets go of mu now and then, whatever the function writes
		n, err := syscall.Read(int(fd), buffer[:])
		switch {
		case n > 0:
			o.write(buffer[:n])
		case err == syscall.EAGAIN:
			return true, true
		case err != syscall.EINTR:
			return false, false
		}
	}
	return false, true
}

func (o *output) write(p []byte) {
	_, _ = o.log.Write(p) // a log that cannot be written must not fail the function
	if o.keeping {
		o.tail = keepLast(append(o.tail, p...), pools.MaxLogTail)
	}
}

// keepLast returns the last n bytes of b, moved to its front.
func keepLast(b []byte, n int) []byte {
	if len(b) > n {
		b = b[:copy(b, b[len(b)-n:])]
	}
	return b
}

// flush moves what the function has written so far.
func (o *output) flush() {
	_ = o.conn.Control(func(fd uintptr) { o.read(fd) })
}

// begin writes line and starts keeping the tail if asked.
func (o *output) begin(line []byte, keep bool) {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keeping, o.tail = keep, nil
	o.write(line)
}

// end flushes, writes lines, and returns the tail if it was kept.
func (o *output) end(lines []byte) []byte {
	o.flush()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.write(lines)
	tail := o.tail
	o.keeping, o.tail = false, nil
	return tail
}

// close drains the pipe. A process that escaped with the other end open gets a
// moment, then it writes to nobody.
func (o *output) close() {
	_ = o.pipe.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-o.ended
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pipe.Close()
}
