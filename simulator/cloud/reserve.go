package cloud

import "errors"

// What an account keeps for functions without a reservation: calls on Lambda, MiB on SCF.
const (
	lambdaUnreserved = 100
	scfUnreserved    = 12_800
)

var errUnreserved = errors.New("too little would be left for functions without a reservation")

// reserved is the reservation of fn now; nil for none.
func (f *fleet) reserved(fn *function) *int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fn.reserved
}

// unreserved is what functions without a reservation share.
func (f *fleet) unreserved() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.shared.limit
}

// reserve keeps n for fn alone, which then has no more than that. What runs goes on
// and is counted there. A reservation may always be made smaller.
func (f *fleet) reserve(fn *function, n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := 0
	if fn.reserved != nil {
		had = *fn.reserved
	}
	if n > had && n-had > f.shared.limit-f.least {
		return errUnreserved
	}
	f.shared.limit += had - n
	if fn.reserved == nil {
		f.move(fn, f.newShare(n))
	} else {
		running := fn.share.inFlight
		fn.share = f.newShare(n)
		fn.share.inFlight = running
	}
	fn.reserved = &n
	return nil
}

// unreserve gives a reservation back to all; nothing happens if there is none.
func (f *fleet) unreserve(fn *function) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fn.reserved == nil {
		return
	}
	f.shared.limit += *fn.reserved
	f.move(fn, f.shared)
	fn.reserved = nil
}

// move counts what fn runs in another share.
func (f *fleet) move(fn *function, to *share) {
	running := fn.inFlight * fn.weight
	fn.share.inFlight -= running
	to.inFlight += running
	to.peak = max(to.peak, to.inFlight)
	fn.share = to
}
