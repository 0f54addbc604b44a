package process

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/agent"
)

const (
	firstUser = 60000
	maxUsers  = 4000
)

// users are the uids that instances run as: one for each, on the whole machine.
// Every pool of this process draws from them, and a lock file on each keeps other
// servers off it.
var users = &userLeases{held: map[int]*os.File{}}

type userLeases struct {
	mu    sync.Mutex
	dir   string
	held  map[int]*os.File
	swept bool
	next  int // where the search begins: a uid rests before it is used again
}

// take returns a uid that nobody else uses and that owns no process.
func (u *userLeases) take() (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.open(); err != nil {
		return 0, err
	}
	if !u.swept {
		u.sweep()
		u.swept = true
	}
	for range maxUsers {
		uid := firstUser + u.next
		u.next = (u.next + 1) % maxUsers
		if u.held[uid] != nil {
			continue
		}
		if lock := u.lock(uid); lock != nil {
			u.held[uid] = lock
			return uid, nil
		}
	}
	return 0, fmt.Errorf("all %d users for instances are taken", maxUsers)
}

// give ends every process of uid, wherever it has hidden, and returns the uid. A
// uid whose processes do not end stays taken.
func (u *userLeases) give(uid int) error {
	if err := endAll(uid); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if lock := u.held[uid]; lock != nil {
		delete(u.held, uid)
		return lock.Close()
	}
	return nil
}

func (u *userLeases) open() error {
	if u.dir != "" {
		return nil
	}
	for _, parent := range []string{"/run", os.TempDir()} {
		dir := filepath.Join(parent, "spillway-users")
		if os.MkdirAll(dir, 0o700) == nil && os.Chmod(dir, 0o700) == nil {
			u.dir = dir
			return nil
		}
	}
	return errors.New("no directory for the locks of instance users: /run and the temporary directory cannot be written")
}

// lock takes the lock file of uid, or returns nil if another server has it.
func (u *userLeases) lock(uid int) *os.File {
	f, err := os.OpenFile(filepath.Join(u.dir, strconv.Itoa(uid)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		f.Close()
		return nil
	}
	return f
}

// sweep ends what servers that were killed left running.
func (u *userLeases) sweep() {
	left := map[int]bool{}
	_ = everyPid(func(pid int) {
		if uid := realUser(pid); ofFunction(uid) {
			left[uid] = true
		}
	})
	for uid := range left {
		if u.held[uid] != nil {
			continue
		}
		if lock := u.lock(uid); lock != nil {
			_ = endAll(uid) // what does not end now is met again by give
			lock.Close()
		}
	}
}

// endAll kills the processes of uid until there are none.
func endAll(uid int) error {
	for range 1000 {
		left := 0
		err := everyPid(func(pid int) {
			if realUser(pid) != uid {
				return
			}
			if s, err := readStat(pid); err == nil && !s.ended() {
				left++
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		})
		if err != nil || left == 0 {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("processes of user %d do not end", uid)
}

// realUser returns the real user of a process, also of one that hides its files
// in /proc, or -1.
func realUser(pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return -1
	}
	_, rest, _ := bytes.Cut(text, []byte("\nUid:\t"))
	number, _, _ := bytes.Cut(rest, []byte("\t"))
	uid, err := strconv.Atoi(string(number))
	if err != nil {
		return -1
	}
	return uid
}

func ofFunction(uid int) bool { return uid >= firstUser && uid < firstUser+maxUsers }

// WithoutFunctions is l without the connections of function processes: loopback
// is where they live too. It tells them by their users, so it needs root.
func WithoutFunctions(l net.Listener) net.Listener {
	if os.Geteuid() != 0 {
		return l
	}
	return outsiders{l}
}

type outsiders struct{ net.Listener }

// SyscallConn is the socket's, if it is one.
func (o outsiders) SyscallConn() (syscall.RawConn, error) {
	if socket, ok := o.Listener.(syscall.Conn); ok {
		return socket.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// Accept returns the next connection that is not of a function.
func (o outsiders) Accept() (net.Conn, error) {
	for {
		conn, err := o.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !ofFunction(agent.PeerUID(conn)) {
			return conn, nil
		}
		conn.Close()
	}
}
