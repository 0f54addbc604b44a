package process

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/internal/exits"
)

var _ pools.Starter = (*Pool)(nil)

// Config is where a pool keeps its files and how long starts may take.
type Config struct {
	Dir         string        // data directory; made if missing
	Region      string        // AWS_REGION of the functions; left out if empty
	InitTimeout time.Duration // fork to first poll; 10 s if zero

	// WithoutCgroup makes the pool use the watchdog where a cgroup could be had.
	WithoutCgroup bool
}

const maxSlots = 4000

// Pool starts and supervises function processes. It is safe for concurrent use.
type Pool struct {
	config   Config
	run      string // where packages and work directories are
	private  bool   // run is a stand-in outside Dir, removed at the end
	users    bool   // each instance has a user of its own
	lock     *os.File
	packages *packages
	records  *records
	logs     *logs
	limiters limiters
	exits    *exits.Queue

	mu        sync.Mutex
	closed    bool
	instances map[spillway.InstanceID]*instance
	slots     [maxSlots]bool
	lowest    int // no slot below it is free
	live      sync.WaitGroup
}

// Open makes a pool in c.Dir, after it ended what an earlier server that was
// killed left running there. One server can have a directory open at a time.
func Open(c Config) (*Pool, error) {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the process pool in %s: %w", c.Dir, err)
	}
	c.Dir = dir
	p := &Pool{
		config:    c,
		users:     os.Geteuid() == 0,
		logs:      &logs{dir: filepath.Join(dir, "logs")},
		instances: map[spillway.InstanceID]*instance{},
	}
	if err := p.open(); err != nil {
		if p.lock != nil {
			p.lock.Close()
		}
		return nil, fmt.Errorf("open the process pool in %s: %w", c.Dir, err)
	}
	p.exits = exits.New()
	return p, nil
}

func (p *Pool) open() (err error) {
	if err := os.MkdirAll(p.config.Dir, 0o755); err != nil {
		return err
	}
	if p.lock, err = lockDir(p.config.Dir); err != nil {
		return err
	}
	if p.records, err = openRecords(filepath.Join(p.config.Dir, "instances")); err != nil {
		return err
	}
	p.run = p.config.Dir
	if p.users && !reachable(p.run) {
		p.private = true
		if p.run, err = outside(p.config.Dir); err != nil {
			return err
		}
	}
	if p.packages, err = openPackages(filepath.Join(p.run, "packages")); err != nil {
		return err
	}
	work := filepath.Join(p.run, "work")
	if err := errors.Join(os.RemoveAll(work), makeDir(work, 0o711)); err != nil {
		return err
	}
	p.limiters = openLimiters(p.config)
	return nil
}

func openLimiters(c Config) limiters {
	if c.WithoutCgroup {
		return openWatchdog("cgroups are switched off")
	}
	sum := sha256.Sum256([]byte(c.Dir))
	groups, err := openCgroups(fmt.Sprintf("spillway-%x", sum[:6]))
	if err != nil {
		return openWatchdog("no cgroup: " + err.Error())
	}
	return groups
}

// lockDir takes the directory for this process; it is released with the file.
func lockDir(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another server uses it: stop that one or choose another directory")
		}
		return nil, err
	}
	return file, nil
}

// MemoryLimit says in a phrase what holds functions to their memory.
func (p *Pool) MemoryLimit() string { return p.limiters.describe() }

// Isolation says in a phrase whose rights functions run with.
func (p *Pool) Isolation() string {
	if p.users {
		return fmt.Sprintf("each instance has a user of its own (uid %d to %d); its files are in %s", firstUser, firstUser+maxUsers-1, p.run)
	}
	return "functions share the server's user, its files and each other's Runtime API: start the server as root to separate them"
}

// Exits delivers idle instances that ended by themselves; closed by Close.
func (p *Pool) Exits() <-chan spillway.InstanceID { return p.exits.Out() }

// Close ends every instance and releases the directory. It returns when all are
// reaped, or with an error when ctx ends first; calls in flight end as crashed.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	for _, i := range p.instances {
		i.stop()
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.live.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("close the process pool: instances are still ending: %w", ctx.Err())
	}
	p.exits.Close()
	p.limiters.close()
	var err error
	if p.private {
		err = os.RemoveAll(p.run)
	}
	return errors.Join(err, p.lock.Close())
}
