package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spillway-dev/spillway/simulator/trace"
)

// writePacked writes a file whole or not at all, packed as its name ends: .gz or
// .zst. A file that exists is only replaced by force.
func writePacked(path string, force bool, write func(io.Writer) error) (err error) {
	if err := mayWrite(path, force); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return wrongInput("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close() // it may be closed
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	packed, err := packer(f, path)
	if err != nil {
		return err
	}
	if err := write(packed); err != nil {
		return err
	}
	if err := errors.Join(packed.Close(), f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// mayWrite refuses what exists, unless it may be replaced.
func mayWrite(path string, force bool) error {
	found, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return wrongInput("write %s: %w", path, err)
	case found.IsDir():
		return wrongInput("%s is a directory; name a file", path)
	case !found.Mode().IsRegular():
		return wrongInput("%s is not a regular file; write to standard output and redirect it", path)
	case !force:
		return wrongInput("%s exists; --force replaces it if it is such a trace", path)
	}
	if form, err := trace.Recognise(path); found.Size() > 0 && (err != nil || form != trace.Usage) {
		return wrongInput("%s exists and is not such a trace; it stays: name another file", path)
	}
	return nil
}

func packer(f *os.File, path string) (io.WriteCloser, error) {
	switch filepath.Ext(path) {
	case ".gz":
		return gzip.NewWriter(f), nil
	case ".zst":
		return zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
	}
	return plainFile{f}, nil
}

// plainFile leaves closing to the owner of the file.
type plainFile struct{ io.Writer }

func (plainFile) Close() error { return nil }
