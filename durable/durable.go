// Package durable keeps files so that a crash or a power cut finds them old or new,
// and never in part. A file is written aside in its own directory, renamed and its
// directory synced.
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ErrUnsynced reports that a change was made, and that a power cut may take it back.
var ErrUnsynced = errors.New("its directory is not synced")

// Write puts what fill writes in the place of the file at path, with mode 0600. Until
// then it is in the same directory under a name of pattern, as of os.CreateTemp.
// After an error that is not ErrUnsynced the file is as it was.
func Write(path, pattern string, fill func(io.Writer) error) error {
	aside, err := Aside(filepath.Dir(path), pattern, fill)
	if err != nil {
		return err
	}
	if err := Rename(aside, path); errors.Is(err, ErrUnsynced) {
		return err
	} else if err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return nil
}

// Aside makes a file in dir with a name of pattern and mode 0600, syncs what fill
// writes to it and returns its path. After an error there is no file.
func Aside(dir, pattern string, fill func(io.Writer) error) (path string, err error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Rename puts the file aside, of the same directory, in the place of the one at path.
// After an error that is not ErrUnsynced both are as they were.
func Rename(aside, path string) error {
	if err := os.Rename(aside, path); err != nil {
		return err
	}
	return synced(path)
}

// Remove takes the file at path away. After an error that is not ErrUnsynced it is
// there.
func Remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return synced(path)
}

func synced(path string) error {
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrUnsynced, err)
	}
	return nil
}

// SyncDir makes the names in dir survive a power cut. It fails where the filesystem
// cannot do that.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
