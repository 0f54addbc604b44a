package agent

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Ports of web functions lie below those that the kernel gives to outgoing
// connections, so that none of these takes one between our choice and the
// function's listen.
const (
	firstPort = 20000
	portCount = 12000
)

// ports are the ports of this process's web functions.
var ports = portLeases{held: map[int]bool{}, next: os.Getpid() % portCount}

type portLeases struct {
	mu   sync.Mutex
	held map[int]bool
	next int // where the search begins: a port rests before it is used again
}

// take returns a port that nobody listens on now. It is not held open: a function
// need not set SO_REUSEADDR. Who listens on it later is checked by ownsPort.
func (l *portLeases) take() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range portCount {
		port := firstPort + l.next
		l.next = (l.next + 1) % portCount
		if l.held[port] {
			continue
		}
		probe, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		switch {
		case lacking(err):
			return 0, err
		case err != nil:
			continue
		}
		if err := probe.Close(); err != nil {
			return 0, err
		}
		l.held[port] = true
		return port, nil
	}
	return 0, fmt.Errorf("none of the ports %d to %d is free", firstPort, firstPort+portCount-1)
}

func (l *portLeases) give(port int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, port)
}

// lacking reports that this machine has nothing left of what a connection takes, of
// which the function can know nothing.
func lacking(err error) bool {
	switch code, _ := errors.AsType[unix.Errno](err); code {
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL:
		return true
	}
	return false
}

// errForeign reports that another process has a web function's port.
var errForeign = errors.New("another process listens on the port of the function")

var errNoListener = errors.New("nothing listens at 127.0.0.1 on the port of the function")

// ownsPort checks that all that could get a connection to 127.0.0.1:port belongs to
// the instance: to its own user if it has one, else to a process of its session. Who
// listens on the port at other addresses does not matter.
func (i *Instance) ownsPort(port int) error {
	if c := i.config.Credential; c != nil {
		return ownedBy(int(c.Uid), port)
	}
	sockets, err := listenersOn(port)
	if err != nil {
		return err
	}
	for _, s := range sockets {
		if !sessionHas(i.proc.pid, s.inode) {
			return errForeign
		}
	}
	if len(sockets) == 0 {
		return errNoListener
	}
	return nil
}

// ownedBy asks for the one listener that the kernel chooses: others that could take its
// place share the port with it, and only one user's can.
func ownedBy(uid, port int) error {
	s, err := diagReached(port)
	sockets := []socketInfo{s}
	if err != nil {
		if sockets, err = listenersOn(port); err != nil {
			return err
		}
	}
	if len(sockets) == 0 {
		return errNoListener
	}
	if slices.ContainsFunc(sockets, func(s socketInfo) bool { return s.uid != uid }) {
		return errForeign
	}
	return nil
}

// listenersOn returns the sockets that may accept connections to 127.0.0.1:port.
func listenersOn(port int) ([]socketInfo, error) {
	four, err := diagListeners(unix.AF_INET, port)
	six, err6 := diagListeners(unix.AF_INET6, port)
	if err != nil || err6 != nil {
		four, err = listeners("/proc/net/tcp", port)
		six, err6 = listeners("/proc/net/tcp6", port)
	}
	if err := errors.Join(err, err6); err != nil {
		return nil, fmt.Errorf("find out who listens on port %d: %w", port, err)
	}
	return slices.DeleteFunc(append(four, six...), func(s socketInfo) bool { return !s.loopback() }), nil
}

// listeners reads a table of the kernel's; one that it does not have is empty.
func listeners(path string, port int) (all []socketInfo, err error) {
	table, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer table.Close()
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		if l, ok := parseListener(lines.Text(), port); ok {
			all = append(all, l)
		}
	}
	return all, lines.Err()
}

// parseListener reads a line: sl local remote state queues timer retransmits uid
// timeout inode …
func parseListener(line string, port int) (socketInfo, bool) {
	const listening = "0A"
	fields := strings.Fields(line)
	if len(fields) < 10 || fields[3] != listening {
		return socketInfo{}, false
	}
	text, ours := strings.CutSuffix(fields[1], fmt.Sprintf(":%04X", port))
	uid, err := strconv.Atoi(fields[7])
	if address, ok := hexIn(text); ours && ok && err == nil {
		return socketInfo{uid: uid, inode: fields[9], listening: true, address: address}, true
	}
	return socketInfo{}, false
}

// hexIn reads an address: words of 32 bits as this machine's numbers.
func hexIn(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}, false
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	return netip.AddrFromSlice(b)
}

// sessionHas reports whether a process of session sid has the socket open: mostly it
// is the leader.
func sessionHas(sid int, inode string) bool {
	if sessionOf(sid) == sid && hasSocket(sid, inode) {
		return true
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil && sessionOf(pid) == sid && hasSocket(pid, inode) {
			return true
		}
	}
	return false
}

func hasSocket(pid int, inode string) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if to, err := os.Readlink(dir + "/" + entry.Name()); err == nil && to == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
