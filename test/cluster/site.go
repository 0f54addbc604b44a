package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// marker is in every directory that a cluster may empty.
const marker = ".spillway-cluster"

// hidden are overlaid inside a cluster by file systems of its own, so that what its
// programs leave there is gone with it.
var hidden = []string{"/run", "/var/run", "/var/lib", "/var/log"}

// site is the directory of one cluster: keys, logs, the node's disk.
type site struct{ dir string }

func cacheDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "spillway", "cluster")
}

func defaultDir() string { return filepath.Join(cacheDir(), "run") }

func siteAt(dir string) (site, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return site{}, fmt.Errorf("directory of the cluster: %w", err)
	}
	return site{abs}, visible(abs)
}

// visible refuses paths that a cluster could not see.
func visible(path string) error {
	for _, h := range hidden {
		if path == h || strings.HasPrefix(path, h+"/") {
			return fmt.Errorf("%s is below %s, which a cluster does not see; choose another place with -dir or XDG_CACHE_HOME", path, h)
		}
	}
	return nil
}

// name tells clusters of one machine apart: in cgroups and in environments.
func (s site) name() string {
	sum := sha256.Sum256([]byte(s.dir))
	return "spillway-" + hex.EncodeToString(sum[:5])
}

func (s site) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

func (s site) kubeconfig(user string) string { return s.path("pki", user+".kubeconfig") }

// claim makes the directory, or refuses one that holds something else.
func (s site) claim() error {
	if entries, err := os.ReadDir(s.dir); err == nil && len(entries) > 0 && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == marker }) {
		return fmt.Errorf("%s holds files that are not a cluster's; choose an empty directory", s.dir)
	}
	for _, sub := range []string{"log", "stop", "running", "images"} {
		if err := os.MkdirAll(s.path(sub), 0o755); err != nil {
			return err
		}
	}
	return os.WriteFile(s.path(marker), nil, 0o644)
}

// process is the first process of a cluster, as the machine numbers it. Its start
// tells it from another that was given its number later.
type process struct {
	pid   int
	start string
}

// recorded reads which process leads the cluster.
func (s site) recorded() (process, bool) {
	text, err := os.ReadFile(s.path("process"))
	if err != nil {
		return process{}, false
	}
	fields := strings.Fields(string(text))
	if len(fields) != 2 {
		return process{}, false
	}
	pid, err := strconv.Atoi(fields[0])
	return process{pid, fields[1]}, err == nil && pid > 1
}

func (s site) record(pid int) error {
	start, err := started(pid)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("process"), fmt.Appendf(nil, "%d %s\n", pid, start), 0o644)
}

// running finds the cluster's first process, or says how to have one.
func (s site) running() (process, error) {
	p, ok := s.recorded()
	if !ok || !p.alive() {
		return p, fmt.Errorf("no cluster runs from %s; bring one up first (make cluster-up)", s.dir)
	}
	return p, nil
}

func (p process) alive() bool {
	start, err := started(p.pid)
	return err == nil && start == p.start
}

// started reads when a process began, in ticks since the machine did. A process that
// has ended and waits to be collected counts as gone. One whose first thread has ended
// is still there while others go on: the last of them to end clears the namespaces.
func started(pid int) (string, error) {
	text, err := os.ReadFile(procStat(pid))
	if err != nil {
		return "", err
	}
	fields := afterName(text)
	if len(fields) < 20 {
		return "", fmt.Errorf("process %d: /proc has %d fields", pid, len(fields))
	}
	threads, err := strconv.Atoi(fields[17])
	if err != nil {
		return "", fmt.Errorf("process %d: threads: %w", pid, err)
	}
	if over := fields[0] == "Z" || fields[0] == "X"; over && threads <= 1 {
		return "", fmt.Errorf("process %d has ended", pid)
	}
	return fields[19], nil
}

func procStat(pid int) string { return fmt.Sprintf("/proc/%d/stat", pid) }

// afterName are the fields of a process's stat from its state on; its name, before
// them, may hold blanks.
func afterName(stat []byte) []string {
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// within asks until the answer is yes or the time is over.
func within(limit time.Duration, yes func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if yes() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
