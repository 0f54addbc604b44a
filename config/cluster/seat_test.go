package cluster

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
)

func leaseOf(holder, version string, seconds int32) *coordination.Lease {
	return &coordination.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, Spec: coordination.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds}}
}

// fresh is a Lease that was just made.
func fresh(version string) *coordination.Lease {
	return &coordination.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}}
}

// TestFree has one who waits look at a Lease again and again.
func TestFree(t *testing.T) {
	type look struct {
		at    time.Duration
		lease *coordination.Lease
		free  bool
	}
	for name, looks := range map[string][]look{
		"nobody has had it yet":        {{0, fresh("1"), false}, {2 * time.Second, fresh("1"), false}, {3 * time.Second, fresh("1"), true}},
		"is remade after its deletion": {{0, fresh("1"), false}, {2 * time.Second, leaseOf("a_b_c", "2", 10), false}, {11 * time.Second, leaseOf("a_b_c", "2", 10), false}},
		"was deleted":                  {{0, leaseOf("a_b_c", "4", 10), false}, {time.Second, fresh("5"), false}, {10 * time.Second, fresh("5"), false}, {11 * time.Second, fresh("5"), true}},
		"was emptied by hand":          {{0, leaseOf("a_b_c", "4", 10), false}, {time.Second, leaseOf("", "5", 10), false}, {10 * time.Second, leaseOf("", "5", 10), false}, {11 * time.Second, leaseOf("", "5", 10), true}},
		"it was given back":            {{0, leaseOf("", "4", 1), true}},
		"one of this place had it":     {{0, leaseOf("host_mine_1", "4", 10), true}},
		"one of another place, who":    {{0, leaseOf("mine_other_1", "4", 10), false}},
		"renews it":                    {{0, leaseOf("a_b_c", "4", 10), false}, {9 * time.Second, leaseOf("a_b_c", "5", 10), false}, {18 * time.Second, leaseOf("a_b_c", "6", 10), false}},
		"does not renew it":            {{0, leaseOf("a_b_c", "4", 10), false}, {9 * time.Second, leaseOf("a_b_c", "4", 10), false}, {10 * time.Second, leaseOf("a_b_c", "4", 10), true}},
		"would hold it for an hour":    {{0, leaseOf("a_b_c", "4", 3600), false}, {15 * time.Second, leaseOf("a_b_c", "4", 3600), true}},
		"says nothing of how long":     {{0, leaseOf("a_b_c", "4", -1), false}, {0, leaseOf("a_b_c", "4", -1), false}, {time.Second, leaseOf("a_b_c", "4", -1), true}},
		"gives way to one who renews ": {{0, leaseOf("a_b_c", "4", 10), false}, {9 * time.Second, leaseOf("d_e_f", "5", 10), false}, {18 * time.Second, leaseOf("d_e_f", "5", 10), false}},
	} {
		t.Run(name, func(t *testing.T) {
			var w waiting
			began := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
			for i, l := range looks {
				if got := w.free(l.lease, "mine", began.Add(l.at)); got != l.free {
					t.Errorf("look %d: free %v", i, got)
				}
			}
		})
	}
}

// held has a seat held now, though the API server may be slow to answer.
func held(t *testing.T, s *Seat) error {
	for {
		if err := s.Hold(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// TestSeat is of one cluster: the next waits, and has it when it is given back or not
// renewed; who finds another there is told; an edit by hand and a deletion are survived.
func TestSeat(t *testing.T) {
	c, _ := server(t)
	client, err := kubernetes.NewForConfig(c)
	must(t, err)
	leases := client.CoordinationV1().Leases("default")
	take := func(host string, waits chan string) (*Seat, error) {
		return TakeSeat(t.Context(), c, SeatConfig{Namespace: "default", Host: host, Place: "of-" + host, Log: slog.New(slog.DiscardHandler), Waiting: func(holder string) {
			if waits != nil {
				waits <- holder
			}
		}})
	}
	first, err := take("first", nil)
	must(t, err)
	type taken struct {
		seat *Seat
		err  error
	}
	waits, next := make(chan string, 4), make(chan taken, 1)
	go func() {
		s, err := take("second", waits)
		next <- taken{s, err}
	}()
	if holder := <-waits; holder != first.holder {
		t.Errorf("it waits for %q, not %q", holder, first.holder)
	}
	// Somebody edits the Lease, so that a renewal meets another version of it.
	_, err = leases.Patch(t.Context(), SeatName, "application/merge-patch+json", []byte(`{"metadata":{"labels":{"edited":"true"}}}`), metav1.PatchOptions{})
	must(t, err)
	must(t, held(t, first))
	must(t, first.Release(t.Context()))
	second := <-next
	must(t, second.err)

	// Another takes it by force: the one who had it is told, and does not write it again.
	must(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error { // it may be renewed meanwhile
		is, err := leases.Get(t.Context(), SeatName, metav1.GetOptions{})
		must(t, err)
		is.Spec.HolderIdentity, is.Spec.LeaseTransitions = new("other_place_run"), new(*is.Spec.LeaseTransitions+1)
		_, err = leases.Update(t.Context(), is, metav1.UpdateOptions{})
		return err
	}))
	var by *TakenError
	if err := <-second.seat.Lost(); !errors.As(err, &by) || by.Holder != "other_place_run" {
		t.Errorf("lost: %v", err)
	}
	if err := held(t, second.seat); !errors.As(err, &by) {
		t.Errorf("it holds what it has lost: %v", err)
	}
	must(t, second.seat.Release(t.Context()))
	is, err := leases.Get(t.Context(), SeatName, metav1.GetOptions{})
	if err != nil || holderOf(is) != "other_place_run" {
		t.Errorf("%s has it, %v", holderOf(is), err)
	}

	// Nobody renews it, and then its holder survives that it is deleted or emptied, though
	// another waits for it.
	third, err := take("third", nil)
	must(t, err)
	patient, give := context.WithCancelCause(t.Context())
	queued := make(chan error, 1)
	go func() {
		_, err := TakeSeat(patient, c, SeatConfig{Namespace: "default", Host: "patient", Place: "q", Log: slog.New(slog.DiscardHandler), Waiting: func(holder string) { waits <- holder }})
		queued <- err
	}()
	if holder := <-waits; holder != third.holder {
		t.Errorf("it waits for %q, not %q", holder, third.holder)
	}
	must(t, leases.Delete(t.Context(), SeatName, metav1.DeleteOptions{}))
	must(t, held(t, third))
	if is, err = leases.Get(t.Context(), SeatName, metav1.GetOptions{}); err != nil || holderOf(is) != third.holder {
		t.Errorf("%s has it, %v", holderOf(is), err)
	}
	is = is.DeepCopy()
	is.Spec = coordination.LeaseSpec{}
	if _, err = leases.Update(t.Context(), is, metav1.UpdateOptions{}); err == nil || !apierrors.IsConflict(err) { // it may be renewed meanwhile
		must(t, err)
	}
	must(t, held(t, third))
	told := errors.New("enough")
	give(told)
	if err := <-queued; !errors.Is(err, told) {
		t.Errorf("one who waited has it while its holder lives: %v", err)
	}
	if is, err = leases.Get(t.Context(), SeatName, metav1.GetOptions{}); err != nil || holderOf(is) != third.holder {
		t.Errorf("%s has it, %v", holderOf(is), err)
	}
	// One who waits ends when he is told to, and says so.
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = TakeSeat(ctx, c, SeatConfig{Namespace: "default", Host: "fourth", Place: "p", Log: slog.New(slog.DiscardHandler), Waiting: func(string) { cancel(told) }})
	if !errors.Is(err, told) {
		t.Errorf("got %v", err)
	}
	// What was changed since the last renewal does not keep it from being given back.
	third.stop()
	<-third.ended
	_, err = leases.Patch(t.Context(), SeatName, "application/merge-patch+json", []byte(`{"metadata":{"labels":{"edited":"again"}}}`), metav1.PatchOptions{})
	must(t, err)
	must(t, third.Release(t.Context()))
	if is, err = leases.Get(t.Context(), SeatName, metav1.GetOptions{}); err != nil || !released(is) {
		t.Errorf("%s has it, %v", holderOf(is), err)
	}
}
