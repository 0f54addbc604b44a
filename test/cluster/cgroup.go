package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const cgroupTop = "/sys/fs/cgroup"

// unifiedCgroups tells whether this machine has only version 2 of cgroups.
func unifiedCgroups() bool { return exists(cgroupTop + "/cgroup.controllers") }

// cgroupRoots are the folders of the controllers that a kubelet wants a cgroup in:
// one with version 2, one for each controller with version 1.
func cgroupRoots() ([]string, error) {
	if unifiedCgroups() {
		return []string{cgroupTop}, nil
	}
	found, err := filepath.Glob(cgroupTop + "/*/cgroup.procs")
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, procs := range found {
		if root := filepath.Dir(procs); filepath.Base(root) != "unified" {
			roots = append(roots, root)
		}
	}
	if !slices.Contains(roots, cgroupTop+"/memory") || !slices.Contains(roots, cgroupTop+"/cpu") {
		return nil, fmt.Errorf("no cgroups for memory and cpu below %s; a kubelet needs them", cgroupTop)
	}
	return roots, nil
}

// makeCgroups makes the cgroup below which all pods of a cluster are.
func (s site) makeCgroups() error {
	roots, err := cgroupRoots()
	if err != nil {
		return err
	}
	if unifiedCgroups() {
		if err := os.WriteFile(cgroupTop+"/cgroup.subtree_control", []byte("+cpu +cpuset +io +memory +pids"), 0o644); err != nil {
			return fmt.Errorf("hand the controllers of cgroups on: %w", err)
		}
	}
	for _, root := range roots {
		ours := filepath.Join(root, s.name())
		if err := os.Mkdir(ours, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cgroup for pods: %w", err)
		}
		if err := inheritCpuset(root, ours); err != nil {
			return err
		}
	}
	return nil
}

// inheritCpuset fills what version 1 leaves empty, and without which a cgroup takes no process.
func inheritCpuset(root, ours string) error {
	if unifiedCgroups() {
		return nil
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(ours, name), value, 0o644)
		}
		if err != nil {
			return fmt.Errorf("cgroup for pods: %w", err)
		}
	}
	return nil
}

// cgroups lists what is there of the cluster's cgroups, parents first.
func (s site) cgroups() []string {
	var all []string
	tops, _ := filepath.Glob(cgroupTop + "/*/" + s.name()) // the pattern is well formed
	for _, top := range append(tops, filepath.Join(cgroupTop, s.name())) {
		// A cgroup that vanishes during the walk is one less.
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil
		})
	}
	return all
}

// removeCgroups removes them, children first. One whose processes have just been
// killed is busy for a moment.
func (s site) removeCgroups() {
	within(10*time.Second, func() bool {
		left := s.cgroups()
		for _, path := range slices.Backward(left) {
			_ = os.Remove(path) // what stays is tried again, and told in the end
		}
		return len(left) == 0
	})
}
