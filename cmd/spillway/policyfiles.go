package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/durable"
)

// putPolicies makes the policy directory hold what the cluster has, if that compiles:
// the last good policy stays there, for the next start too. There is no directory until
// one was good, which may be that there are none.
func (c *inCluster) putPolicies(ctx context.Context) error {
	want, err := c.source.Policies(ctx)
	if err != nil {
		return err
	}
	has, err := readPolicies(c.policies)
	if err == nil && maps.Equal(has, want) { // which compiled when they were put there
		c.looked, c.faults = nil, nil
		return nil
	}
	none := errors.Is(err, fs.ErrNotExist)
	if err != nil && !none {
		return err
	}
	if c.looked == nil || !maps.Equal(c.looked, want) {
		faults, err := judgePolicies(want)
		if err != nil {
			return err
		}
		c.looked, c.faults = want, faults
		if len(faults) > 0 && !none {
			c.log.Error("policies of the cluster refused, the last good ones stay", "faults", fmt.Sprint(faults))
		}
	}
	switch {
	case len(c.faults) == 0:
		return placePolicies(c.policies, want)
	case none: // the built-in one would allow what these deny
		return errors.Join(c.faults, errors.New("no policy was good before in this data directory, so it is not known what may go to clouds: mend the faults"))
	}
	return nil
}

// readPolicies returns the files of a directory by name.
func readPolicies(dir string) (map[string]string, error) {
	found, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the policies that were good last: %w", err)
	}
	has := make(map[string]string, len(found))
	for _, e := range found {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read the policies that were good last: %w", err)
		}
		has[e.Name()] = string(text)
	}
	return has, nil
}

// nextPolicies begins the names of directories that are to take the place of another, or
// did.
const nextPolicies = ".next-policies-"

// placePolicies replaces a directory as a whole: nobody sees, and nothing leaves behind, a
// part of one policy and a part of another.
func placePolicies(dir string, files map[string]string) error {
	parent := filepath.Dir(dir)
	stale, _ := filepath.Glob(filepath.Join(parent, nextPolicies+"*")) // the pattern is good
	next, err := os.MkdirTemp(parent, nextPolicies)
	if err != nil {
		return fmt.Errorf("put the policies of the cluster: %w", err)
	}
	for name, text := range files {
		err = errors.Join(err, durable.Write(filepath.Join(next, name), ".next-*", func(w io.Writer) error { _, err := io.WriteString(w, text); return err }))
	}
	if err == nil {
		err = swapDirs(next, dir)
	}
	for _, old := range append(stale, next) {
		err = errors.Join(err, os.RemoveAll(old))
	}
	if err == nil {
		err = durable.SyncDir(parent)
	}
	if err != nil {
		return fmt.Errorf("put the policies of the cluster: %w", err)
	}
	return nil
}

// swapDirs puts a directory in the place of another, which may not be there.
func swapDirs(next, dir string) error {
	err := unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	switch {
	case errors.Is(err, unix.ENOENT):
		return os.Rename(next, dir)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP): // not on this file system
		before := next + "-before"
		if err := os.Rename(dir, before); err != nil {
			return err
		}
		if err := os.Rename(next, dir); err != nil {
			return errors.Join(err, os.Rename(before, dir))
		}
		return os.RemoveAll(before)
	}
	return err
}

// judgePolicies compiles policies in a directory of their own.
func judgePolicies(files map[string]string) (config.Faults, error) {
	dir, err := os.MkdirTemp("", "spillway-policy-")
	if err != nil {
		return nil, fmt.Errorf("judge the policies of the cluster: %w", err)
	}
	defer os.RemoveAll(dir)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("judge the policies of the cluster: %w", err)
		}
	}
	faults := policyFaults(dir, nil)
	for i := range faults {
		faults[i].File = filepath.Base(faults[i].File)
	}
	return faults, nil
}
