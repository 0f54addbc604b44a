package agent

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListeners compares what sock_diag and the kernel's tables say.
func TestListeners(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Skip(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		four, err := diagListeners(unix.AF_INET, port)
		six, err6 := diagListeners(unix.AF_INET6, port)
		if err != nil || err6 != nil {
			t.Skip("no sock_diag here: ", err, err6)
		}
		got := append(four, six...)
		want := append(listeners("/proc/net/tcp", port), listeners("/proc/net/tcp6", port)...)
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
	if _, err := diagSocket(endpoints{e.remote, e.remote}); err == nil {
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

func FuzzReadDiag(f *testing.F) {
	f.Add([]byte{20, 0, 0, 0, unix.NLMSG_DONE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(diagQuery(unix.AF_INET, diagAll, 0, endpoints{netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")}))
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
	f.Fuzz(func(t *testing.T, line string, port int) {
		if s, ok := parseListener(line, port); ok && s.inode == "" {
			t.Fatal("a socket without an inode")
		}
	})
}
