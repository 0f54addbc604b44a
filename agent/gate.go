package agent

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxConnections bounds what a function can make us hold: a runtime uses one or two.
const maxConnections = 8

// gate admits connections to a Runtime API port: few at once, and only of the
// function's own user when it has one.
type gate struct {
	net.Listener
	uid  int // -1: not checked
	open atomic.Int32
}

func newGate(l net.Listener, credential *syscall.Credential) *gate {
	g := &gate{Listener: l, uid: -1}
	if credential != nil {
		g.uid = int(credential.Uid)
	}
	return g
}

// Accept returns the next admitted connection and drops the others.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if g.open.Add(1) <= maxConnections && (g.uid < 0 || PeerUID(conn) == g.uid) {
			return &admitted{Conn: conn, gate: g}, nil
		}
		g.open.Add(-1)
		conn.Close()
	}
}

type admitted struct {
	net.Conn
	gate   *gate
	closed atomic.Bool
}

func (c *admitted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.gate.open.Add(-1)
	}
	return c.Conn.Close()
}

// PeerUID returns the user who owns the other end of a loopback connection, or -2.
func PeerUID(conn net.Conn) int {
	if e, ok := farEnd(conn); ok {
		switch s, err := diagSocket(e); {
		case err == nil:
			return s.uid
		case errors.Is(err, unix.ENOENT):
			if _, missing := diagListeners(unix.AF_INET, int(e.local.Port())); missing == nil {
				return -2
			}
		}
	}
	local, remote := hexAddress(conn.RemoteAddr()), hexAddress(conn.LocalAddr())
	if uid := ownerOf("/proc/net/tcp", local, remote); uid != -2 {
		return uid
	}
	// A client may speak IPv4 through an IPv6 socket.
	const mapped = "0000000000000000FFFF0000"
	return ownerOf("/proc/net/tcp6", mapped+local, mapped+remote)
}

// farEnd returns the connection as its other end sees it, if it is IPv4.
func farEnd(conn net.Conn) (endpoints, bool) {
	near, ok := conn.LocalAddr().(*net.TCPAddr)
	far, ok2 := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !ok2 {
		return endpoints{}, false
	}
	e := endpoints{local: unmapped(far), remote: unmapped(near)}
	return e, e.local.Addr().Is4() && e.remote.Addr().Is4()
}

func unmapped(a *net.TCPAddr) netip.AddrPort {
	at := a.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// ownerOf finds a socket in a table of the kernel's.
func ownerOf(path, local, remote string) int {
	table, err := os.Open(path)
	if err != nil {
		return -2
	}
	defer table.Close()
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		// sl local remote state queues timer retransmits uid …
		fields := strings.Fields(lines.Text())
		if len(fields) > 7 && fields[1] == local && fields[2] == remote {
			if uid, err := strconv.Atoi(fields[7]); err == nil {
				return uid
			}
		}
	}
	return -2
}

// hexAddress writes a as /proc/net/tcp does on a little-endian machine.
func hexAddress(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return ""
	}
	ip := tcp.IP.To4()
	if ip == nil {
		return ""
	}
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
}
