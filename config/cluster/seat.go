package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
)

const (
	// SeatName is the Lease of the dispatcher, in the system namespace.
	SeatName = "spillway"
	// seatFor is how long one who waits sees a Lease unchanged before it takes it.
	seatFor = 10 * time.Second
	// maxSeatFor bounds what a Lease itself says of that.
	maxSeatFor = 15 * time.Second
	renewEvery = 2 * time.Second
	lookEvery  = 500 * time.Millisecond
	askWithin  = 3 * time.Second
	// remadeWithin is how long a Lease without a holder is left to one who had it before
	// it was deleted.
	remadeWithin = renewEvery + time.Second
	// releasedFor is what a Lease says that was given back; one that was emptied or made
	// anew does not.
	releasedFor = 1
)

// SeatConfig says whose seat it is.
type SeatConfig struct {
	Namespace string
	// Host is for people. Place is the same for processes of which one ends before the
	// next begins, and for no others: who has the place does not wait for another of it.
	Host, Place string
	// Waiting is told who has the seat, when that is known and at each change.
	Waiting func(holder string)
	Log     *slog.Logger
}

// Seat keeps the dispatchers of a namespace to one, by a Lease. Unlike a leader, who has
// it goes on while the API server is away, until another has it.
type Seat struct {
	leases coordinationclient.LeaseInterface
	c      SeatConfig
	holder string
	stop   context.CancelFunc
	lost   chan error
	ended  chan struct{}
	tried  bool // to take it; not written later

	mu    sync.Mutex
	lease *coordination.Lease // as it was last written
	taken *TakenError         // another has it
}

// TakenError says who has the seat now.
type TakenError struct{ Holder string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("the Lease %s is held by %s now: one dispatcher serves at a time, so this one ends", SeatName, cmp.Or(e.Holder, "nobody, after another"))
}

// TakeSeat waits until nobody else has the seat, or ctx ends, and keeps it until Release.
func TakeSeat(ctx context.Context, config *rest.Config, c SeatConfig) (*Seat, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // pods that are made do not keep it from being renewed
	client, err := coordinationclient.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("take the Lease of the dispatcher: %w", err)
	}
	run := make([]byte, 4)
	_, _ = rand.Read(run) // does not fail
	s := &Seat{leases: client.Leases(c.Namespace), c: c, holder: c.Host + "_" + c.Place + "_" + hex.EncodeToString(run),
		lost: make(chan error, 1), ended: make(chan struct{})}
	if err := s.wait(ctx); err != nil {
		giving, cancel := context.WithTimeout(context.WithoutCancel(ctx), askWithin)
		defer cancel()
		if ctx.Err() != nil && s.tried { // it may have been taken, and nobody heard of it
			err = errors.Join(err, s.giveBack(giving))
		}
		return nil, fmt.Errorf("take the Lease %s/%s, which keeps dispatchers to one: %w", c.Namespace, SeatName, err)
	}
	keeping, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.keep(keeping)
	return s, nil
}

// Lost delivers a *TakenError when another has the seat.
func (s *Seat) Lost() <-chan error { return s.lost }

// Hold renews the seat now. Its error is a *TakenError if another has it; after any error
// this one may not have it any more.
func (s *Seat) Hold(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken != nil {
		return s.taken
	}
	err := s.renew(ctx)
	if errors.As(err, &s.taken) {
		return s.taken
	}
	if err != nil {
		return fmt.Errorf("renew the Lease %s of the dispatcher: %w", SeatName, err)
	}
	return nil
}

// Release lets the next one in at once.
func (s *Seat) Release(ctx context.Context) error {
	s.stop()
	<-s.ended
	return s.giveBack(ctx)
}

// giveBack empties the Lease if it is this one's, whatever else was changed in it.
func (s *Seat) giveBack(ctx context.Context) error {
	for range 5 {
		is, err := s.leases.Get(ctx, SeatName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && holderOf(is) != s.holder {
			return nil
		}
		if err == nil {
			is.Spec.HolderIdentity, is.Spec.LeaseDurationSeconds = new(""), new(int32(releasedFor))
			_, err = s.leases.Update(ctx, is, metav1.UpdateOptions{})
		}
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("give the Lease %s back: %w; the next dispatcher waits %s", SeatName, err, seatFor)
		}
	}
	return fmt.Errorf("give the Lease %s back: others change it again and again; the next dispatcher waits %s", SeatName, seatFor)
}

// wait looks until it has the seat. An account that may not have it is told so at once.
func (s *Seat) wait(ctx context.Context) error {
	every := time.NewTicker(lookEvery)
	defer every.Stop()
	var w waiting
	said, failing := "", false
	for {
		lease, err := s.look(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err):
			return fmt.Errorf("%w; may this account get, create and update Leases there, and is the namespace there?", err)
		case err != nil:
			w = waiting{held: w.held} // its holder could not renew it either
			if !failing {
				s.c.Log.Warn("the Lease of the dispatcher cannot be read", "error", err)
			}
		case w.free(lease, s.c.Place, time.Now()):
			s.tried = true
			if err = s.take(ctx, lease); err == nil {
				return nil
			}
		case holderOf(lease) != said && holderOf(lease) != "":
			said = holderOf(lease)
			s.c.Waiting(said)
		}
		failing = err != nil
		select {
		case <-every.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look returns the Lease, which is made if it is not there.
func (s *Seat) look(ctx context.Context) (*coordination.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	lease, err := s.leases.Get(ctx, SeatName, metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		return lease, err
	}
	lease, err = s.leases.Create(ctx, &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: SeatName}}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return s.leases.Get(ctx, SeatName, metav1.GetOptions{})
	}
	return lease, err
}

// take writes this one into the Lease, if it is as it was seen.
func (s *Seat) take(ctx context.Context, seen *coordination.Lease) error {
	mine, now := seen.DeepCopy(), metav1.NowMicro()
	spec := &mine.Spec
	spec.HolderIdentity, spec.LeaseDurationSeconds = new(s.holder), new(int32(seatFor/time.Second))
	spec.AcquireTime, spec.RenewTime, spec.LeaseTransitions = &now, &now, new(transitionsOf(seen)+1)
	return s.write(ctx, mine)
}

func (s *Seat) write(ctx context.Context, lease *coordination.Lease) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	written, err := s.leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err == nil {
		s.lease = written
	}
	return err
}

// keep renews until ctx ends or another has the seat.
func (s *Seat) keep(ctx context.Context) {
	defer close(s.ended)
	every := time.NewTicker(renewEvery)
	defer every.Stop()
	failing := false
	for {
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
		err := s.Hold(ctx)
		var taken *TakenError
		if errors.As(err, &taken) {
			s.lost <- taken
			return
		}
		if failing != (err != nil) && ctx.Err() == nil {
			if failing = err != nil; failing {
				s.c.Log.Warn("the Lease of the dispatcher cannot be renewed; it goes on until another has it", "error", err)
			} else {
				s.c.Log.Info("the Lease of the dispatcher is renewed again")
			}
		}
	}
}

// renew returns a *TakenError if another has had the seat since; mu is held.
func (s *Seat) renew(ctx context.Context) error {
	mine, now := s.lease.DeepCopy(), metav1.NowMicro()
	mine.Spec.RenewTime = &now
	err := s.write(ctx, mine)
	if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		return err
	}
	is, err := s.look(ctx)
	if err != nil {
		return err
	}
	if !s.mine(is) {
		return &TakenError{holderOf(is)}
	}
	is = is.DeepCopy()
	is.Spec = mine.Spec
	return s.write(ctx, is)
}

// mine reports that nobody has had the seat since it was taken: it is as it was written,
// or was emptied, or deleted and made anew.
func (s *Seat) mine(is *coordination.Lease) bool {
	switch holder := holderOf(is); {
	case holder != "":
		return holder == s.holder
	case released(is):
		return false
	case is.UID != s.lease.UID:
		return transitionsOf(is) == 0
	default:
		return transitionsOf(is) <= transitionsOf(s.lease)
	}
}

// released reports a Lease that was given back.
func released(l *coordination.Lease) bool {
	return holderOf(l) == "" && l.Spec.LeaseDurationSeconds != nil && *l.Spec.LeaseDurationSeconds == releasedFor
}

// waiting is what one who waits has seen of a Lease.
type waiting struct {
	version string
	since   time.Time // of the version, by this machine's clock
	held    bool      // somebody had it
}

// free reports that the seat may be taken: it was given back, or by one who has ended
// before this one began, or nobody has renewed it for as long as it holds. That nobody
// is in it is not enough: its holder may live, and find out that it was deleted. Clocks
// of others do not count.
func (w *waiting) free(l *coordination.Lease, place string, now time.Time) bool {
	holder := holderOf(l)
	if released(l) || place != "" && strings.Contains(holder, "_"+place+"_") {
		return true
	}
	w.held = w.held || holder != ""
	if w.since.IsZero() || w.version != l.ResourceVersion {
		w.version, w.since = l.ResourceVersion, now
		return false
	}
	lasts := seatFor
	switch {
	case holder == "" && !w.held:
		lasts = remadeWithin
	case holder != "" && l.Spec.LeaseDurationSeconds != nil:
		lasts = time.Duration(*l.Spec.LeaseDurationSeconds) * time.Second
	}
	return now.Sub(w.since) >= min(max(lasts, time.Second), maxSeatFor)
}

func holderOf(l *coordination.Lease) string {
	if l.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.Spec.HolderIdentity
}

func transitionsOf(l *coordination.Lease) int32 {
	if l.Spec.LeaseTransitions == nil {
		return 0
	}
	return *l.Spec.LeaseTransitions
}
