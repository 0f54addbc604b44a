package guest

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Kind says how a guest ended.
type Kind uint8

const (
	Alive            Kind = iota // it has not ended
	Succeeded                    // every container ended well, by itself
	FailedItself                 // its own doing: exit codes, or a limit of its own
	DeadlineExceeded             // its activeDeadlineSeconds
	Disrupted                    // something else ended it: it may run again elsewhere
)

func (k Kind) String() string {
	return [...]string{"alive", "succeeded", "failed", "deadline exceeded", "disrupted"}[k]
}

// Ending is how a guest ended.
type Ending struct {
	Kind   Kind
	Reason string // one word, for conditions; empty for Alive and Succeeded
	Text   string // a sentence for people
}

// unfit are the reasons with which a kubelet refuses a pod for what it asks: other
// nodes would refuse it too.
var unfit = map[string]bool{
	"AppArmor": true, "SysctlForbidden": true, "PodLevelResourcesNotSupported": true, "PodFeatureUnsupported": true,
	"PodOSNotSupported": true, "SupplementalGroupsPolicyNotSupported": true,
}

// Ended says how g ended, from what its kubelet and the controllers wrote. A guest
// whose deletion was asked for before it had finished was disrupted, whatever its
// exit codes are: a container that obeys SIGTERM may well exit with 0.
func Ended(g *corev1.Pod) Ending {
	phase := g.Status.Phase
	if phase != corev1.PodSucceeded && phase != corev1.PodFailed {
		return Ending{}
	}
	if g.Status.Reason == "DeadlineExceeded" {
		return Ending{DeadlineExceeded, "DeadlineExceeded", orElse(g.Status.Message, "it was active for longer than its deadline")}
	}
	if c := disruption(g); c != nil && (phase == corev1.PodFailed || killed(g)) {
		return Ending{Disrupted, orElse(g.Status.Reason, c.Reason), orElse(g.Status.Message, c.Message)}
	}
	if killed(g) {
		return Ending{Disrupted, "GuestDeleted", "its guest was deleted before it had finished"}
	}
	if phase == corev1.PodSucceeded {
		return Ending{Kind: Succeeded}
	}
	switch reason := g.Status.Reason; {
	case reason == "":
		return Ending{FailedItself, "Failed", exits(g)}
	case reason == "Evicted", unfit[reason]: // an eviction for its own limit is no disruption
		return Ending{FailedItself, reason, g.Status.Message}
	default:
		return Ending{Disrupted, reason, g.Status.Message}
	}
}

// disruption returns the condition of a pod that is, or was, to be ended by
// somebody else than itself.
func disruption(g *corev1.Pod) *corev1.PodCondition {
	if c := condition(g.Status.Conditions, corev1.DisruptionTarget); c != nil && c.Status == corev1.ConditionTrue {
		return c
	}
	return nil
}

// killed reports whether g had not finished when its deletion was asked for. Times
// of statuses are whole seconds: what ends in the same second counts as killed. So does
// what was never begun: of such a container a kubelet tells no time.
func killed(g *corev1.Pod) bool {
	asked, deleted := DeletionAsked(g)
	if !deleted {
		return false
	}
	for _, c := range g.Status.InitContainerStatuses {
		if end := c.State.Terminated; end != nil && end.ExitCode != 0 && !end.FinishedAt.IsZero() && end.FinishedAt.Time.Before(asked) && !MayRestart(g, c.Name, end.ExitCode) {
			return false // the others never started
		}
	}
	for i := range g.Status.ContainerStatuses {
		if end := g.Status.ContainerStatuses[i].State.Terminated; end == nil || end.FinishedAt.IsZero() || !end.FinishedAt.Time.Before(asked) {
			return true
		}
	}
	return len(g.Status.ContainerStatuses) == 0
}

// DeletionAsked returns when the deletion of a pod was asked for; the zero time where
// that is not known and its kubelet had heard of it when it wrote the status. When a
// kubelet has ended a pod, the API server makes its last deletion the time of deletion.
func DeletionAsked(p *corev1.Pod) (time.Time, bool) {
	if p.DeletionTimestamp == nil {
		return time.Time{}, false
	}
	if grace := p.DeletionGracePeriodSeconds; grace != nil && *grace == 0 && p.Generation > 0 && p.Status.ObservedGeneration >= p.Generation {
		return time.Time{}, true
	}
	asked := p.DeletionTimestamp.Time
	if grace := p.DeletionGracePeriodSeconds; grace != nil {
		asked = asked.Add(-time.Duration(*grace) * time.Second)
	}
	return asked, true
}

// exits tells of the containers that ended badly.
func exits(g *corev1.Pod) string {
	var said []string
	for _, statuses := range [][]corev1.ContainerStatus{g.Status.InitContainerStatuses, g.Status.ContainerStatuses} {
		for _, c := range statuses {
			if end := c.State.Terminated; end != nil && end.ExitCode != 0 {
				said = append(said, fmt.Sprintf("container %s: %s, exit code %d", c.Name, end.Reason, end.ExitCode))
			}
		}
	}
	return orElse(strings.Join(said, "; "), g.Status.Message)
}

// Ran returns when the first container of g started and the last one ended; zero
// times where none did. A sidecar counts as any container.
func Ran(g *corev1.Pod) (started, ended time.Time) {
	for _, statuses := range [][]corev1.ContainerStatus{g.Status.InitContainerStatuses, g.Status.ContainerStatuses} {
		for _, c := range statuses {
			for _, state := range []corev1.ContainerState{c.State, c.LastTerminationState} {
				began, over := span(state)
				if !began.IsZero() && (started.IsZero() || began.Before(started)) {
					started = began
				}
				if over.After(ended) {
					ended = over
				}
			}
		}
	}
	return started, ended
}

func span(s corev1.ContainerState) (began, over time.Time) {
	switch {
	case s.Running != nil:
		return s.Running.StartedAt.Time, time.Time{}
	case s.Terminated != nil:
		return s.Terminated.StartedAt.Time, s.Terminated.FinishedAt.Time
	}
	return time.Time{}, time.Time{}
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
