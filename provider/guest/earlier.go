package guest

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Earlier is what the attempts before one leave behind. A guest carries it, so
// that it outlives whoever made the guest.
type Earlier struct {
	Restarts map[string]int32 `json:"restarts,omitempty"` // by container, init containers too
	Started  *metav1.Time     `json:"started,omitempty"`  // when the first attempt began
}

func (e Earlier) text() string {
	text, _ := json.Marshal(e) // maps of strings and a time
	return string(text)
}

// EarlierOf reads what g carries. A guest whose note was edited or removed by hand
// is an error, and what v shows is all that is known.
func EarlierOf(g *corev1.Pod) (Earlier, error) {
	var e Earlier
	if err := json.Unmarshal([]byte(g.Annotations[AnnotationEarlier]), &e); err != nil {
		return Earlier{}, fmt.Errorf("guest %s/%s: annotation %s: %w", g.Namespace, g.Name, AnnotationEarlier, err)
	}
	for name, n := range e.Restarts {
		if n < 0 {
			return Earlier{}, fmt.Errorf("guest %s/%s: annotation %s: container %s has restarted %d times", g.Namespace, g.Name, AnnotationEarlier, name, n)
		}
	}
	return e, nil
}

// Shown is what the attempt after those that v shows begins with.
func Shown(v *corev1.Pod) Earlier {
	e := Earlier{Started: v.Status.StartTime.DeepCopy()}
	for _, statuses := range [][]corev1.ContainerStatus{v.Status.InitContainerStatuses, v.Status.ContainerStatuses} {
		for _, c := range statuses {
			if c.RestartCount > 0 {
				if e.Restarts == nil {
					e.Restarts = map[string]int32{}
				}
				e.Restarts[c.Name] = c.RestartCount
			}
		}
	}
	return e
}
