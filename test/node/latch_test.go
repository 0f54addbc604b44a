package node

import (
	"net/http"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// latch holds the work of pods until the test opens it, so that they run for as long as
// is looked at them, however busy the machine.
type latch struct {
	hold string // argument of the work
	open func()
}

func (w *world) latch() *latch {
	w.t.Helper()
	l, err := w.Listen(w.t.Context(), "tcp", kubetest.NodeAddress+":0")
	must(w.t, err)
	opened := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, r *http.Request) { //nolint:gosec // a test's
		select {
		case <-opened:
			answer.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	})}
	go func() { _ = server.Serve(l) }()
	w.t.Cleanup(func() { server.Close() })
	return &latch{"hold=http://" + l.Addr().String() + "/", sync.OnceFunc(func() { close(opened) })}
}

// left waits until a guest that was deleted is gone, and its work with it.
func (w *world) left(g *corev1.Pod) {
	w.t.Helper()
	w.until("guest "+g.Name+" is gone", func() error {
		now, err := w.client.CoreV1().Pods(g.Namespace).Get(w.t.Context(), g.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && now.UID != g.UID {
			return nil
		}
		return errorf("it is there, %w", err)
	})
}
