package agent

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// skipIfMissing ends a test that failed with err: as skipped if the kernel says that it
// has no sock_diag, or, for a socket of IPv6, that it has none of that.
func skipIfMissing(t *testing.T, err error, ipv6 bool) {
	t.Helper()
	if missing(err, ipv6) {
		t.Skip("not on this machine: ", err)
	}
	t.Fatal(err)
}

func missing(err error, ipv6 bool) bool {
	if ipv6 {
		return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
	}
	return errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ENOENT)
}

// TestMissing: what keeps a test from running is nothing else.
func TestMissing(t *testing.T) {
	for code, want := range map[unix.Errno][2]bool{
		unix.EAFNOSUPPORT: {false, true}, unix.EADDRNOTAVAIL: {false, true},
		unix.EPROTONOSUPPORT: {true, false}, unix.ENOENT: {true, false},
		unix.EMFILE: {}, unix.EACCES: {}, unix.EPERM: {}, unix.EADDRINUSE: {}, unix.EINVAL: {}, unix.ENOBUFS: {},
	} {
		err := fmt.Errorf("bind: %w", code)
		if got := [2]bool{missing(err, false), missing(err, true)}; got != want {
			t.Errorf("%v: %v", code, got)
		}
	}
}

// TestListeners compares what sock_diag and the kernel's tables say.
func TestListeners(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			skipIfMissing(t, err, address == "[::1]:0")
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		four, err := diagListeners(unix.AF_INET, port)
		six, err6 := diagListeners(unix.AF_INET6, port)
		if err := errors.Join(err, err6); err != nil {
			skipIfMissing(t, err, false)
		}
		got := append(four, six...)
		tables, err := listeners("/proc/net/tcp", port)
		tables6, err6 := listeners("/proc/net/tcp6", port)
		if err != nil || err6 != nil {
			t.Fatal(err, err6)
		}
		want := append(tables, tables6...)
		if len(got) == 1 && got[0].loopback() != (address != "[::1]:0") {
			t.Errorf("%s: %+v", address, got[0])
		}
		for n := range got {
			got[n].only6 = false // the tables do not tell
		}
		if len(got) != 1 || len(want) != 1 || got[0] != want[0] || got[0].uid != os.Getuid() || !hasSocket(os.Getpid(), got[0].inode) {
			t.Errorf("%s: sock_diag %v, tables %v", address, got, want)
		}
	}
}

func TestPeerUID(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	local, remote := hexAddress(s.RemoteAddr()), hexAddress(s.LocalAddr())
	if got, want := PeerUID(s), ownerOf("/proc/net/tcp", local, remote); got != os.Getuid() || got != want {
		t.Errorf("user %d, tables say %d", got, want)
	}
	e, _ := farEnd(s)
	if _, err := diagSocket(endpoints{local: e.remote, remote: e.remote}); err == nil {
		t.Error("a connection that is not there was found")
	}
	c.Close()
}

// TestForeignPort checks that a listener of ours is not taken for the function's.
func TestForeignPort(t *testing.T) {
	i := start(t, webConfig(t))
	if err := i.ownsPort(i.web.port); err != nil {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := i.ownsPort(l.Addr().(*net.TCPAddr).Port); !errors.Is(err, errForeign) {
		t.Errorf("another's port: %v", err)
	}
	l.Close()
	if err := i.ownsPort(l.Addr().(*net.TCPAddr).Port); err == nil || errors.Is(err, errForeign) {
		t.Errorf("nobody's port: %v", err)
	}
}

// TestForeignAtStart has a stranger listen where a function that starts should.
func TestForeignAtStart(t *testing.T) {
	c := webConfig(t, "PROBE_INIT=hang")
	i := &Instance{config: c.withDefaults(), exited: make(chan struct{}), quiet: make(chan struct{}), ready: make(chan struct{})}
	if err := i.launch(); err != nil {
		t.Fatal(err)
	}
	_, leave := listenAt(t, "127.0.0.1", i.web.port)
	defer leave()
	if err := i.awaitReady(t.Context()); !errors.Is(err, errForeign) || !i.gone() {
		t.Errorf("a stranger in its place: %v", err)
	}
}

// TestForeignLater has a stranger take the port of a function that stopped listening: it
// gets nothing to read.
func TestForeignLater(t *testing.T) {
	i := start(t, webConfig(t))
	answered(t, i.Exchange(t.Context(), get("/unlisten")), 204, "")
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(i.web.port)))
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan int64)
	go func() {
		defer close(heard)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n, _ := io.Copy(io.Discard, c)
			_ = c.Close()
			heard <- n
		}
	}()
	e := i.Exchange(t.Context(), streamed("/echo", strings.NewReader("secret"), 6))
	if e.Delivered || !e.InstanceGone {
		t.Errorf("ended as %+v", e)
	}
	_ = l.Close()
	for n := range heard {
		if n > 0 {
			t.Errorf("the stranger read %d bytes", n)
		}
	}
}

// TestOtherAddresses has strangers listen on the function's port where connections to
// 127.0.0.1 do not go, and then where they do.
func TestOtherAddresses(t *testing.T) {
	i := start(t, webConfig(t))
	for _, at := range []string{"127.0.0.2", "::1", "::"} {
		_, leave := listenAt(t, at, i.web.port)
		if err := i.ownsPort(i.web.port); err != nil {
			t.Errorf("a stranger at %s: %v", at, err)
		}
		answered(t, i.Exchange(t.Context(), streamed("/echo", strings.NewReader("x"), 1)), 200, "x")
		leave()
	}

	for _, at := range []string{"127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0"} {
		port, leave := listenAt(t, at, 0)
		if err := i.ownsPort(port); !errors.Is(err, errForeign) {
			t.Errorf("a stranger at %s: %v", at, err)
		}
		leave()
	}
	for _, at := range []string{"127.0.0.2", "::1", "::"} {
		port, leave := listenAt(t, at, 0)
		if err := i.ownsPort(port); err == nil || errors.Is(err, errForeign) {
			t.Errorf("only a stranger at %s: %v", at, err)
		}
		leave()
	}
}

// TestOwnAddresses takes a listener of ours for the function's only where it is reached.
func TestOwnAddresses(t *testing.T) {
	uid := &syscall.Credential{Uid: uint32(os.Getuid())}
	i := &Instance{config: Config{Credential: uid}}
	for at, owned := range map[string]bool{"127.0.0.1": true, "0.0.0.0": true, "::ffff:127.0.0.1": true, "127.0.0.2": false, "::1": false, "::": false} {
		port, leave := listenAt(t, at, 0)
		if err := i.ownsPort(port); (err == nil) != owned || errors.Is(err, errForeign) {
			t.Errorf("listening at %s: %v", at, err)
		}
		leave()
	}
	uid.Uid++
	port, leave := listenAt(t, "127.0.0.1", 0)
	defer leave()
	if err := i.ownsPort(port); !errors.Is(err, errForeign) {
		t.Errorf("another user's: %v", err)
	}
}

// listenAt listens at an address, at :: for IPv6 alone, and returns the port.
func listenAt(t *testing.T, address string, port int) (int, func()) {
	t.Helper()
	at, family := netip.MustParseAddr(address), unix.AF_INET6
	var to unix.Sockaddr = &unix.SockaddrInet6{Port: port, Addr: at.As16()}
	if at.Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: at.As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		skipIfMissing(t, err, at.Is6())
	}
	leave := func() { _ = unix.Close(fd) }
	if address == "::" {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err := unix.Bind(fd, to); err != nil {
		skipIfMissing(t, fmt.Errorf("bind to %s: %w", address, err), at.Is6())
	}
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatalf("listen at %s: %v", address, err)
	}
	got, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if four, ok := got.(*unix.SockaddrInet4); ok {
		return four.Port, leave
	}
	return got.(*unix.SockaddrInet6).Port, leave
}

// TestReadyWithoutAccept probes a listener that takes no connection in: it is asked again,
// not waited for as long as the kernel would.
func TestReadyWithoutAccept(t *testing.T) {
	port, leave := listenAt(t, "127.0.0.1", 0)
	defer leave()
	for range 2 { // its queue has room for one more than it asked for
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	i := &Instance{web: &webSide{port: port, own: newConnBuffers()}}
	probed := make(chan error, 1)
	go func() { _, err := i.dialReady(); probed <- err }()
	select {
	case err := <-probed:
		if err == nil {
			t.Error("ready, though nothing was taken in")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the probe waits for the kernel to give up")
	}
}

func TestPorts(t *testing.T) {
	taken := map[int]bool{}
	for range 50 {
		port, err := ports.take()
		if err != nil {
			t.Fatal(err)
		}
		defer ports.give(port)
		if taken[port] || port < firstPort || port >= firstPort+portCount {
			t.Fatalf("port %d", port)
		}
		taken[port] = true
	}
}

// TestDiagMissing asks the kernel about a protocol that it has no sock_diag for, as is TCP
// where that module is missing: no answer is not the answer that nothing is there.
func TestDiagMissing(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:1")
	for _, flags := range []uint16{0, unix.NLM_F_DUMP} {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
		if err != nil {
			skipIfMissing(t, err, false)
		}
		defer func() { _ = unix.Close(fd) }()
		const protocolAt, unknown = unix.SizeofNlMsghdr + 1, 200
		query := diagQuery(unix.AF_INET, diagAll, flags, endpoints{at, at, lo})
		query[protocolAt] = unknown
		if err := unix.Sendto(fd, query, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 4<<10)
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			t.Fatal(err)
		}
		var all []socketInfo
		if more, err := readDiag(buffer[:n], &all); more || err == nil || len(all) > 0 {
			t.Errorf("flags %x: %v, %v", flags, all, err)
		}
	}
}

func FuzzReadDiag(f *testing.F) {
	f.Add([]byte{20, 0, 0, 0, unix.NLMSG_DONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(diagQuery(unix.AF_INET, diagAll, 0, endpoints{netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2"), lo}))
	f.Add([]byte(strings.Repeat("\x58\x00\x00\x00\x14\x00", 30)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var all []socketInfo
		if _, err := readDiag(b, &all); err == nil && len(all)*72 > len(b) {
			t.Fatalf("%d sockets in %d bytes", len(all), len(b))
		}
	})
}

func FuzzParseListener(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 123 1 0", 8080)
	f.Add("  sl  local_address rem_address   st", 1)
	f.Add("   0: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 123 1 0", 8080)
	f.Fuzz(func(t *testing.T, line string, port int) {
		if s, ok := parseListener(line, port); ok && (s.inode == "" || !s.address.IsValid()) {
			t.Fatal("a socket without an inode or an address")
		}
	})
}
