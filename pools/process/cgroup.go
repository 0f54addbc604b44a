package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is the vocabulary of one cgroup version.
type hierarchy struct {
	version          string
	limit, swap      string // files that take the limit; swap may be missing
	swapLimit        func(bytes int64) int64
	peak, kills, key string // most bytes used; file and key that count kernel kills
	together         string // file that makes the kernel kill all at once, if any
}

var (
	cgroupV1 = hierarchy{
		version: "v1", limit: "memory.limit_in_bytes",
		swap: "memory.memsw.limit_in_bytes", swapLimit: func(limit int64) int64 { return limit },
		peak: "memory.max_usage_in_bytes", kills: "memory.oom_control", key: "oom_kill",
	}
	cgroupV2 = hierarchy{
		version: "v2", limit: "memory.max",
		swap: "memory.swap.max", swapLimit: func(int64) int64 { return 0 },
		peak: "memory.peak", kills: "memory.events", key: "oom_kill", together: "memory.oom.group",
	}
)

// cgroups makes one cgroup per slot below dir, which is its own.
type cgroups struct {
	hierarchy
	dir string
}

// openCgroups finds a place for cgroups that limit memory, named by name. What an
// earlier server left in it is killed.
func openCgroups(name string) (*cgroups, error) {
	parent, h, err := cgroupParent()
	if err != nil {
		return nil, err
	}
	c := &cgroups{h, filepath.Join(parent, name)}
	if err := os.Mkdir(c.dir, 0o755); err != nil && !os.IsExist(err) {
		return nil, err
	}
	if h.version == "v2" {
		if err := delegate(c.dir); err != nil {
			return nil, errors.Join(err, os.Remove(c.dir))
		}
	}
	left, err := filepath.Glob(filepath.Join(c.dir, "*", "cgroup.procs"))
	if err != nil {
		return nil, err
	}
	for _, file := range left {
		(&cgroup{h, filepath.Dir(file), -1}).empty()
	}
	return c, c.probe()
}

// probe checks that a limit can really be set.
func (c *cgroups) probe() error {
	l, err := c.limiter(0, 64)
	if err != nil {
		c.close()
		return err
	}
	l.empty()
	return nil
}

// cgroupParent returns the memory cgroup that we are in.
func cgroupParent() (string, hierarchy, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", hierarchy{}, err
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[1] == "memory":
			return filepath.Join("/sys/fs/cgroup/memory", parts[2]), cgroupV1, nil
		case parts[0] == "0" && exists("/sys/fs/cgroup/cgroup.controllers"):
			return filepath.Join("/sys/fs/cgroup", parts[2]), cgroupV2, nil
		}
	}
	return "", hierarchy{}, errors.New("no memory cgroup is mounted at /sys/fs/cgroup")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// delegate hands the memory controller to the children of dir. In cgroup v2 a
// group that passes controllers on may hold no processes, so when we are in it we
// step down into a child "server"; if others are in it, we step back and fail.
func delegate(dir string) error {
	parent := filepath.Dir(dir)
	err := writeFile(parent, "cgroup.subtree_control", "+memory")
	if errors.Is(err, syscall.EBUSY) {
		err = stepDown(parent)
	}
	if err != nil {
		return err
	}
	return writeFile(dir, "cgroup.subtree_control", "+memory")
}

func stepDown(parent string) error {
	below, self := filepath.Join(parent, "server"), strconv.Itoa(os.Getpid())
	if err := os.Mkdir(below, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	if err := writeFile(below, "cgroup.procs", self); err != nil {
		return err
	}
	if err := writeFile(parent, "cgroup.subtree_control", "+memory"); err != nil {
		return errors.Join(err, writeFile(parent, "cgroup.procs", self), os.Remove(below))
	}
	return nil
}

func writeFile(dir, name, value string) error {
	return os.WriteFile(filepath.Join(dir, name), []byte(value), 0o644)
}

func (c *cgroups) describe() string {
	return fmt.Sprintf("cgroup %s at %s", c.version, c.dir)
}

func (c *cgroups) close() { _ = os.Remove(c.dir) } // left for the next server if something is in it

func (c *cgroups) limiter(slot int, mib int64) (limiter, error) {
	g := &cgroup{c.hierarchy, filepath.Join(c.dir, strconv.Itoa(slot)), -1}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	limit := mib << 20
	if err := writeFile(g.dir, g.limit, strconv.FormatInt(limit, 10)); err != nil {
		return nil, errors.Join(err, os.Remove(g.dir))
	}
	if exists(filepath.Join(g.dir, g.swap)) {
		_ = writeFile(g.dir, g.swap, strconv.FormatInt(g.swapLimit(limit), 10))
	}
	if g.together != "" {
		_ = writeFile(g.dir, g.together, "1")
	}
	if most, err := unix.Open(filepath.Join(g.dir, g.hierarchy.peak), unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		g.most = most
	}
	return g, nil
}

// cgroup is the limiter of one instance.
type cgroup struct {
	hierarchy
	dir  string
	most int // descriptor of the file of the peak, kept to be read often; -1: none
}

func (g *cgroup) enter(pid int) error {
	return writeFile(g.dir, "cgroup.procs", strconv.Itoa(pid))
}

func (g *cgroup) peak() int64 {
	var text [24]byte
	n, _ := unix.Pread(g.most, text[:], 0)
	used, _ := strconv.ParseInt(string(bytes.TrimSpace(text[:max(n, 0)])), 10, 64)
	return used
}

func (g *cgroup) overran() bool {
	events, _ := os.ReadFile(filepath.Join(g.dir, g.kills))
	for line := range bytes.Lines(events) {
		if count, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(g.key+" ")); ok {
			return string(count) != "0"
		}
	}
	return false
}

// empty kills until the kernel lets the directory go: it holds no process then.
func (g *cgroup) empty() {
	if g.most >= 0 {
		_ = unix.Close(g.most)
		g.most = -1
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		text, err := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
		if err != nil {
			return
		}
		for field := range bytes.FieldsSeq(text) {
			if pid, err := strconv.Atoi(string(field)); err == nil && pid > 0 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if err := os.Remove(g.dir); err == nil || os.IsNotExist(err) {
			return
		}
		time.Sleep(pause)
	}
}
