package kube

import (
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// strangerRate is how many tokens that nobody knows are reviewed per second for one
	// remote address, after strangerBurst at once. Behind a proxy all callers have its
	// address.
	strangerRate  = 50
	strangerBurst = 200
	maxAddresses  = 10_000 // remembered
)

// strangers bound how fast a remote address may have unknown tokens reviewed.
type strangers struct {
	mu   sync.Mutex
	seen *lru.Cache[netip.Prefix, allowance]
}

// allowance is how many reviews an address had left at an instant.
type allowance struct {
	left float64
	at   time.Time
}

func newStrangers() *strangers {
	seen, err := lru.New[netip.Prefix, allowance](maxAddresses)
	if err != nil { // for sizes below 1 only
		panic(err)
	}
	return &strangers{seen: seen}
}

// admit takes one review from the allowance of a remote address, host and port, if it
// has one.
func (s *strangers) admit(remote string, now time.Time) bool {
	from := network(remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	a, known := s.seen.Get(from)
	if !known {
		a = allowance{left: strangerBurst, at: now}
	}
	if now.After(a.at) { // several ask at once, and not in the order of their times
		a.left = min(strangerBurst, a.left+now.Sub(a.at).Seconds()*strangerRate)
		a.at = now
	}
	admitted := a.left >= 1
	if admitted {
		a.left--
	}
	s.seen.Add(from, a)
	return admitted
}

// network is an IPv4 address, or the 64 bits of an IPv6 address that one caller may have
// all of. What is neither is one network.
func network(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	address, bits := at.Addr().Unmap().WithZone(""), 64
	if address.Is4() {
		bits = 32
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
