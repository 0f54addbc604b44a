package remote

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway/agent"
)

// lookEvery is how long a function may be over its limit unnoticed.
const lookEvery = 50 * time.Millisecond

// Container returns what confines functions of an agent that is the first process of a
// container, nil elsewhere: everything else that runs there is the function. It holds it
// to its memory before the kernel would end all of the container, the agent too, and
// nobody could say how the call ended: the container's own limit has to leave room for
// the agent, 32 MiB. It also collects what a function leaves behind.
func Container() func(mib int64) agent.Cage {
	if os.Getpid() != 1 {
		return nil
	}
	return func(mib int64) agent.Cage {
		return &container{limit: mib << 20, stop: make(chan struct{}), stopped: make(chan struct{})}
	}
}

// container is an agent.Cage: all of a pid namespace but its first process.
type container struct {
	limit         int64
	leader        int // reaped by package agent; 0 before it entered
	stop, stopped chan struct{}

	mu      sync.Mutex
	most    int64
	overran bool
}

// Enter implements agent.Cage.
func (c *container) Enter(pid int) error {
	c.leader = pid
	go c.watch()
	return nil
}

// Peak implements agent.Cage.
func (c *container) Peak() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

// Overran implements agent.Cage.
func (c *container) Overran() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.overran
}

func (c *container) watch() {
	defer close(c.stopped)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-look.C:
		}
		used, _ := c.look(c.leader)
		c.mu.Lock()
		c.most = max(c.most, used)
		over := used > c.limit
		c.overran = c.overran || over
		c.mu.Unlock()
		if over {
			killOthers()
		}
	}
}

// Empty implements agent.Cage.
func (c *container) Empty() {
	if c.leader != 0 {
		close(c.stop)
		<-c.stopped
	}
	for {
		killOthers()
		if _, alive := c.look(0); alive == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// killOthers signals every process of the pid namespace but this one.
func killOthers() { _ = syscall.Kill(-1, syscall.SIGKILL) }

// look adds up the resident memory of what runs, counting shared pages every time, and
// collects what has ended, but for leader. What came into the container from outside, such
// as a probe, is not counted.
func (c *container) look(leader int) (bytes int64, alive int) {
	proc, err := os.Open("/proc")
	if err != nil {
		return 0, 0
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == 1 {
			continue
		}
		state, parent, resident := statusOf(name)
		switch {
		case parent == 0:
		case state != 'Z' && state != 'X':
			bytes += resident
			alive++
		case parent == 1 && pid != leader:
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
	return bytes, alive
}

// statusOf reads /proc/<pid>/stat; zeroes if there is none.
func statusOf(pid string) (state byte, parent int, resident int64) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, 0, 0
	}
	// pid (name) state ppid …: the name may hold spaces and parentheses.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, 0
	}
	parent, _ = strconv.Atoi(string(fields[1]))
	pages, _ := strconv.ParseInt(string(fields[21]), 10, 64)
	return fields[0][0], parent, pages * int64(os.Getpagesize())
}
