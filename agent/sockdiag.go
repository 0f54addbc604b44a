package agent

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// The kernel's tables of sockets in /proc cost milliseconds to read, whatever they
// hold. sock_diag(7) answers the same questions in microseconds; where it is
// missing the tables are read. Asked for one socket it says ENOENT in both cases, that
// there is none and that it is missing; asked for all, only in the latter.

const (
	diagRequest = 20 // SOCK_DIAG_BY_FAMILY
	diagListen  = 1 << 10
	diagAll     = 1<<12 - 1
)

// endpoints are the two ends of a connection as one of its sockets sees them. For
// listeners only the port of local is looked at.
type endpoints struct {
	local, remote netip.AddrPort
	device        uint32 // that it comes in by; 0 if that is not known
}

// socketInfo is what the kernel says of a socket.
type socketInfo struct {
	uid       int
	inode     string
	listening bool
	address   netip.Addr // its own end
	only6     bool       // it takes no IPv4; not known from the kernel's tables
	device    uint32     // the one it is bound to; 0 if it is not, or from the tables
}

const lo = 1 // the number of the loopback device

// loopback reports that a listener may get connections to 127.0.0.1.
func (s socketInfo) loopback() bool {
	if s.device != 0 && s.device != lo || s.only6 {
		return false
	}
	at := s.address.Unmap()
	return at.IsUnspecified() || at == netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// diagListeners returns what listens on a port, of one address family.
func diagListeners(family uint8, port int) ([]socketInfo, error) {
	any4 := netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))
	none := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	return diag(family, diagListen, unix.NLM_F_DUMP, endpoints{local: any4, remote: none})
}

// diagReached returns the listener that gets connections to 127.0.0.1:port, as the
// kernel itself chooses it.
func diagReached(port int) (socketInfo, error) {
	local := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	nobody := netip.AddrPortFrom(local, 0) // finds no connection, so that a listener is left
	all, err := diag(unix.AF_INET, diagAll, 0, endpoints{netip.AddrPortFrom(local, uint16(port)), nobody, lo})
	if err == nil && (len(all) == 0 || !all[0].listening) {
		err = unix.ENOENT
	}
	if err != nil {
		return socketInfo{}, err
	}
	return all[0], nil
}

// diagSocket returns one end of an IPv4 connection, also if it is of an IPv6 socket.
func diagSocket(e endpoints) (socketInfo, error) {
	all, err := diag(unix.AF_INET, diagAll, 0, e)
	if err == nil && (len(all) == 0 || all[0].listening) { // it falls back to a listener
		err = unix.ENOENT
	}
	if err != nil {
		return socketInfo{}, err
	}
	return all[0], nil
}

func diag(family uint8, states uint32, flags uint16, e endpoints) ([]socketInfo, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, diagQuery(family, states, flags, e), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var all []socketInfo
	var buffer [16 << 10]byte
	for {
		n, _, err := unix.Recvfrom(fd, buffer[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		more, err := readDiag(buffer[:n], &all)
		if err != nil || !more || flags&unix.NLM_F_DUMP == 0 {
			return all, err
		}
	}
}

// diagQuery is an inet_diag_req_v2 behind its header.
func diagQuery(family uint8, states uint32, flags uint16, e endpoints) []byte {
	b := make([]byte, 0, 72)
	b = binary.NativeEndian.AppendUint32(b, 72)
	b = binary.NativeEndian.AppendUint16(b, diagRequest)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = append(b, make([]byte, 8)...) // sequence, sender
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	b = binary.BigEndian.AppendUint16(b, e.local.Port())
	b = binary.BigEndian.AppendUint16(b, e.remote.Port())
	for _, addr := range [...]netip.Addr{e.local.Addr(), e.remote.Addr()} {
		four := addr.As4()
		b = append(append(b, four[:]...), make([]byte, 12)...)
	}
	b = binary.NativeEndian.AppendUint32(b, e.device)
	return append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
}

var errDiag = errors.New("sock_diag: an answer that is none")

// readDiag adds the sockets in one datagram and reports whether more may come.
func readDiag(b []byte, all *[]socketInfo) (more bool, err error) {
	const header, message, listening = unix.SizeofNlMsghdr, 72, 10
	const addressAt, deviceAt, uidAt, inodeAt = 8, 40, 64, 68
	for len(b) >= header {
		size := int(binary.NativeEndian.Uint32(b))
		if size < header || size > len(b) {
			return false, errDiag
		}
		body := b[header:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR: // either may say what failed
			if len(body) < 4 {
				return false, errDiag
			}
			if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
				return false, unix.Errno(-code)
			}
			return false, nil
		case diagRequest:
			if len(body) < message {
				return false, errDiag
			}
			*all = append(*all, socketInfo{
				uid:   int(binary.NativeEndian.Uint32(body[uidAt:])),
				inode: strconv.FormatUint(uint64(binary.NativeEndian.Uint32(body[inodeAt:])), 10),

				listening: body[1] == listening,
				address:   addressIn(body[0], body[addressAt:]),
				only6:     only6In(body[message:]),
				device:    binary.NativeEndian.Uint32(body[deviceAt:]),
			})
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return true, nil
}

func addressIn(family byte, b []byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(b))
	}
	return netip.AddrFrom16([16]byte(b))
}

// only6In looks among the attributes of a socket for INET_DIAG_SKV6ONLY.
func only6In(b []byte) bool {
	const header, skV6Only = 4, 11
	for len(b) > header {
		size := int(binary.NativeEndian.Uint16(b))
		if size < header || size > len(b) {
			return false
		}
		if binary.NativeEndian.Uint16(b[2:]) == skV6Only && size > header {
			return b[header] != 0
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return false
}
