package course

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/provider/guest"
)

// Condition is where a virtual pod says which attempt it is at. Its reason is
// Attempt or Cloud and the number. Its status is Unknown from before the attempt is
// begun, True from when it was seen to run or wait for a node, and False when the
// attempt is over.
const Condition corev1.PodConditionType = "spillway.dev/Guest"

// record is what the condition says.
type record struct {
	attempt int // 0: there was none
	cloud   bool
	is      corev1.ConditionStatus
}

func recordOf(v *corev1.Pod) record {
	for _, c := range v.Status.Conditions {
		if c.Type != Condition {
			continue
		}
		number, cloud := strings.CutPrefix(c.Reason, "Cloud")
		if !cloud {
			number = strings.TrimPrefix(c.Reason, "Attempt")
		}
		if n, err := strconv.Atoi(number); err == nil && n > 0 {
			return record{n, cloud, c.Status}
		}
	}
	return record{}
}

func (r record) begun() bool { return r.attempt > 0 && r.is != corev1.ConditionFalse }

// in puts the record into a status.
func (r record) in(s *corev1.PodStatus, text string, now time.Time) {
	c := corev1.PodCondition{Type: Condition, Status: r.is, Reason: fmt.Sprint("Attempt", r.attempt), Message: text, LastTransitionTime: metav1.NewTime(now)}
	if r.cloud {
		c.Reason = fmt.Sprint("Cloud", r.attempt)
	}
	for i := range s.Conditions {
		if old := &s.Conditions[i]; old.Type == Condition {
			if old.Status == c.Status && old.Reason == c.Reason {
				c.LastTransitionTime = old.LastTransitionTime
			}
			*old = c
			return
		}
	}
	s.Conditions = append(s.Conditions, c)
}

// attemptOf is the latest attempt of which anything is known.
func attemptOf(f Facts) record {
	var r record
	if f.Pod != nil {
		r = recordOf(f.Pod)
	}
	for _, g := range f.Guests {
		if n := guest.Attempt(g); n > r.attempt {
			r = record{attempt: n, is: corev1.ConditionUnknown}
		}
	}
	return r
}

func guestOf(f Facts, attempt int) *corev1.Pod {
	for _, g := range f.Guests {
		if guest.Attempt(g) == attempt {
			return g
		}
	}
	return nil
}

func alive(g *corev1.Pod) bool { return guest.Ended(g).Kind == guest.Alive }
