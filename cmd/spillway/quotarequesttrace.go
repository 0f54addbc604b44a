package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/config/requested"
)

const (
	maxTraceBody = 512 << 20 // bytes of calls, also once unpacked
	// maxTrialFunctions, the share of the memory that a trace may have, and the window
	// of its compression, bound what a trace of anyone takes of the server.
	maxTrialFunctions = 1 << 18
	traceMemoryShare  = 32
	maxTraceWindow    = 128 << 20
	// maxUploads is how many may bring traces at once.
	maxUploads = 2
)

// room is how many bytes the calls may have on the disk, which the ledger needs more.
func (t *quotaTrial) room() (int64, error) {
	var disk unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(t.file), &disk); err != nil {
		return 0, fmt.Errorf("ask how much room the data directory has: %w", err)
	}
	return min(maxTraceBody, int64(disk.Bavail)*disk.Bsize/2), nil
}

// roomWriter is a file that has room for so many bytes more.
type roomWriter struct {
	io.Writer
	left int64
}

func (b *roomWriter) Write(text []byte) (int, error) {
	if b.left -= int64(len(text)); b.left < 0 {
		return 0, requested.Problem("the calls take more room than there is for them; use fewer days, or bring a shorter trace")
	}
	return b.Writer.Write(text)
}

// receive keeps the body unpacked, if there is one.
func (t *quotaTrial) receive(w http.ResponseWriter, r *http.Request, file *os.File) error {
	if !t.app.uploading.take(maxUploads) {
		return errBusy
	}
	defer t.app.uploading.end()
	room, err := t.room()
	if err != nil {
		return err
	}
	if memory := memoryLimit(); memory > 0 { // reading it takes some times its size
		room = min(room, memory/traceMemoryShare)
	}
	in := http.NewResponseController(w)
	late := in.SetReadDeadline(time.Now().Add(quotaSimulationWithin))
	n, err := unpack(&roomWriter{file, room}, http.MaxBytesReader(w, r.Body, maxTraceBody))
	unbound := in.SetReadDeadline(time.Time{}) // or it would end the simulation
	t.brought = n > 0
	return errors.Join(late, err, unbound)
}

// unpack copies a trace, without its compression.
func unpack(to io.Writer, from io.Reader) (int64, error) {
	source := &source{Reader: from}
	out, err := unpacked(bufio.NewReader(source))
	if err != nil {
		return 0, source.blame(err)
	}
	defer out.Close()
	plain := bufio.NewReader(&unpacking{out, source})
	if magic, _ := plain.Peek(4); packed(magic) != "" {
		return 0, requested.Problem("the trace cannot be used: it is compressed twice; unpack it once")
	}
	return io.Copy(to, plain)
}

// source remembers why it could not be read.
type source struct {
	io.Reader
	err error
}

func (s *source) Read(into []byte) (int, error) {
	n, err := s.Reader.Read(into)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// blame is the error of the source, if it has one, or err of what it holds.
func (s *source) blame(err error) error {
	if s.err != nil || err == nil || errors.Is(err, io.EOF) {
		return cmp.Or(s.err, err)
	}
	return requested.Problem("the trace cannot be used: its compressed data is damaged: " + err.Error())
}

// unpacking is what comes out of a source.
type unpacking struct {
	io.Reader
	from *source
}

func (u *unpacking) Read(into []byte) (int, error) {
	n, err := u.Reader.Read(into)
	return n, u.from.blame(err)
}

// packed names the compression of what begins so.
func packed(magic []byte) string {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd"
	}
	return ""
}

func unpacked(in *bufio.Reader) (io.ReadCloser, error) {
	magic, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch packed(magic) {
	case "gzip":
		return gzip.NewReader(in)
	case "zstd":
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxTraceBody), zstd.WithDecoderMaxWindow(maxTraceWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(in), nil
}
