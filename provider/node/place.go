package node

import (
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway/provider/guest"
	"github.com/spillway-dev/spillway/provider/idle"
)

var (
	errNoRoomNow = errors.New("no real node has the room for its guest now, although together they have: it waits for one")
	errNoNode    = errors.New("no real node takes guests now: it waits for one")
	errAway      = errors.New("no real node that takes guests now is as large as its requests; one is that is cordoned, tainted or not ready: it waits for that")
	errTooLarge  = errors.New("no real node is as large as its requests, even with nothing on it: lower them, or add a larger node")
)

// kept is the UID under which the room counts of a guest that is being made.
func kept(g *corev1.Pod) string { return "made/" + g.Namespace + "/" + g.Name }

// keepFor bounds how long room is kept for a guest that nobody sees: one that came and
// went while the API server could not be watched.
const keepFor = 2 * time.Minute

// place names the real node that has room for a guest now, which keeps it until the
// informer tells of the guest, or release is called; or says why there is none. What the
// scheduler sees is the sum over nodes, and it knows of no margin: a guest goes where it
// is sent.
func (r *room) place(g *corev1.Pod) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	holds := needs(guest.Effective(g))
	node, err := r.find(holds)
	if err == nil {
		r.estimate.SetPod(idle.Pod{UID: kept(g), Node: node, Role: idle.Guest, Needs: holds})
		r.keeps[kept(g)] = time.Now().Add(keepFor)
	}
	return node, err
}

// may says why no guest of p could be placed now, or nil.
func (r *room) may(p *corev1.Pod) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.find(needs(guest.Effective(p)))
	return err
}

// find must be called with mu held.
func (r *room) find(holds idle.Quantities) (string, error) {
	switch fits, node := r.estimate.Fits(holds); fits {
	case idle.RoomNow:
		return node, nil
	case idle.RoomReclaimed:
		return "", errNoRoomNow
	case idle.RoomNever:
		return "", errTooLarge
	}
	if r.last.Eligible == 0 {
		return "", errNoNode
	}
	return "", errAway
}

// release gives back what place keeps for a guest that was not made.
func (r *room) release(g *corev1.Pod) {
	r.mu.Lock()
	r.keepNot(kept(g))
	r.mu.Unlock()
	r.touch()
}

// keepNot must be called with mu held.
func (r *room) keepNot(uid string) {
	r.estimate.RemovePod(uid)
	delete(r.keeps, uid)
}

// lapse gives back what was kept for long enough. It must be called with mu held.
func (r *room) lapse(now time.Time) {
	for uid, until := range r.keeps {
		if now.After(until) {
			r.log.Warn("room is kept no longer for a guest that was made and is not seen", "guest", uid)
			r.keepNot(uid)
		}
	}
}

// setGuests takes guests for what they are that were known before their virtual pod v.
func (r *room) setGuests(v *corev1.Pod) {
	found, err := r.pods.ByIndex(byVirtual, ofVirtual(v.Namespace, string(v.UID)))
	if err != nil {
		return // there is such an index
	}
	for _, o := range found {
		r.settle(o.(*corev1.Pod))
	}
}

// settle sets p as the informer has it now: its events come to another goroutine, and
// what they tell meanwhile must not be undone.
func (r *room) settle(p *corev1.Pod) {
	for {
		r.setPod(p)
		o, there, err := r.pods.Get(p)
		switch now, _ := o.(*corev1.Pod); {
		case err != nil || there && now == p:
			return
		case !there || now.UID != p.UID:
			r.removePod(p)
			return
		default:
			p = now
		}
	}
}
