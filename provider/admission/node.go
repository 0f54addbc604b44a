package admission

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// rememberedFor is how long a node is taken to be as it was read.
const rememberedFor = 5 * time.Second

// Remembered reads one node, at most every five seconds. The function that it returns may
// be called by many goroutines.
func Remembered(nodes typedcorev1.NodeInterface, name string, now func() time.Time) func(context.Context) (*corev1.Node, error) {
	var mu sync.Mutex
	var last *corev1.Node
	var at time.Time
	return func(ctx context.Context) (*corev1.Node, error) {
		mu.Lock()
		n, since := last, now().Sub(at)
		mu.Unlock()
		if n != nil && since < rememberedFor {
			return n, nil
		}
		n, err := nodes.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		last, at = n, now()
		return n, nil
	}
}
