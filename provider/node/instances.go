package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/spillway-dev/spillway/provider/idle"
)

// instances are the pods of functions of class offline. They are the dispatcher's; here
// those are ended whose room online work needs, with the grace that they have. The call
// that one runs is placed again by the dispatcher, or answered.
type instances struct {
	client kubernetes.Interface
	log    *slog.Logger
	news   chan struct{} // holds one while some of going have not been told

	mu    sync.Mutex
	known map[types.UID]types.NamespacedName
	going map[types.UID]bool // to be told
}

func newInstances(o Options) *instances {
	return &instances{client: o.Client, log: o.Log, news: make(chan struct{}, 1), known: map[types.UID]types.NamespacedName{}, going: map[types.UID]bool{}}
}

func (i *instances) set(p *corev1.Pod) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.known[p.UID] = nameOf(p)
}

func (i *instances) forget(uid types.UID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.known, uid)
	delete(i.going, uid)
}

// reclaim has those of a choice ended that are instances. It waits for nobody.
func (i *instances) reclaim(choice idle.Choice) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, uid := range choice.UIDs {
		if _, ok := i.known[types.UID(uid)]; ok {
			i.going[types.UID(uid)] = true
		}
	}
	if len(i.going) > 0 {
		select {
		case i.news <- struct{}{}:
		default:
		}
	}
}

const (
	// tellAgain is when an instance is told to go again if the API server did not hear it,
	// which may take tellWithin.
	tellAgain  = time.Second
	tellWithin = 10 * time.Second
)

// run ends what is to go until ctx ends.
func (i *instances) run(ctx context.Context) error {
	for ctx.Err() == nil {
		var again <-chan time.Time
		if err := i.tell(ctx); err != nil && ctx.Err() == nil {
			i.log.Warn("an instance of a function is not told to go, and is asked again", "err", err)
			again = time.After(tellAgain)
		}
		select {
		case <-ctx.Done():
		case <-i.news:
		case <-again:
		}
	}
	return nil
}

// tell asks for the end of all that are to go; those of which the API server has heard
// are done with.
func (i *instances) tell(ctx context.Context) error {
	i.mu.Lock()
	uids := slices.Sorted(maps.Keys(i.going))
	i.mu.Unlock()
	var all []error
	for _, uid := range uids {
		err := i.end(ctx, uid)
		if err == nil {
			i.mu.Lock()
			delete(i.going, uid)
			i.mu.Unlock()
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (i *instances) end(ctx context.Context, uid types.UID) error {
	i.mu.Lock()
	at, there := i.known[uid]
	i.mu.Unlock()
	if !there {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, tellWithin)
	defer cancel()
	err := i.client.CoreV1().Pods(at.Namespace).Delete(ctx, at.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s: %w", at, err)
	}
	i.log.Info("an instance of a function is told to go: online work needs its room", "pod", at.String())
	return nil
}
