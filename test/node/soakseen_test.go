package node

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/provider/gate"
)

// share is what of the idle time guests had, in thousandths of a core times nanoseconds.
// Idle is what online pods have not asked for and the margin does not keep.
type share struct {
	last          time.Time
	all, free     int64 // what the node has, and what online pods have not asked for
	idle          int64 // free without the margin
	held, running int64 // of what is idle, by guests that are there, and by those that run
	asked         int64 // by online pods and guests together
}

func percent(part, of int64) int64 { return 100 * part / max(1, of) }

// measure adds up what was idle since the last look, and what guests had of it.
func (s *soak) measure() {
	s.t.Helper()
	pods, err := s.client.CoreV1().Pods("").List(s.t.Context(), metav1.ListOptions{FieldSelector: "spec.nodeName=" + kubetest.Node})
	must(s.t, err)
	var held, running, online int64
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		milli := p.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
		switch {
		case p.Labels["spillway.dev/guest-of"] == "":
			if p.Namespace == "default" {
				online += milli
			}
		case p.Status.Phase == corev1.PodRunning:
			held, running = held+milli, running+milli
		default:
			held += milli
		}
	}
	now := time.Now()
	if !s.share.last.IsZero() {
		passed := int64(now.Sub(s.share.last))
		free := max(0, s.capacity-online)
		idle := max(0, free-s.margin)
		s.share.all += s.capacity * passed
		s.share.free += free * passed
		s.share.idle += idle * passed
		s.share.asked += (min(online, s.capacity) + min(held, free)) * passed
		s.share.held += min(held, idle) * passed
		s.share.running += min(running, idle) * passed
	}
	s.share.last = now
}

// judge says what became of all the Jobs.
func (s *soak) judge() {
	s.t.Helper()
	again := 0
	for i := range s.made {
		ends, attempts := s.witness.of(soakName(i)), s.attempts(soakName(i))
		if ends < 1 || ends > attempts {
			s.t.Errorf("the work of %s came to its end %d times in %d attempts; what its node told: %s\n%s", soakName(i), ends, attempts, s.ends(soakName(i)), s.logged(soakName(i)))
		}
		if ends > 1 {
			again++ // its guest was told to go before anybody could know that it had ended
		}
	}
	had := percent(s.share.held, s.share.idle)
	s.t.Logf("%s, %d Jobs in flight, %d in all, %d kills of the node, %d guests gave way, the work of %d was done again that ended when its guest was told to go",
		s.length, s.inFlight, s.made, s.kills, s.yielded(), again)
	s.t.Logf("of the idle core-seconds guests held %d %%, and ran in %d %%; with the margin counted as idle they held %d %%", had, percent(s.share.running, s.share.idle), percent(s.share.held, s.share.free))
	s.t.Logf("of all core-seconds online pods had asked for %d %%, and together with guests for %d %%", percent(s.share.all-s.share.free, s.share.all), percent(s.share.asked, s.share.all))
	if s.length >= longSoak && had < shareBar {
		s.t.Errorf("guests held %d %% of what was idle, less than %d %%", had, shareBar)
	}
}

// attempts is how often a Job's work may have come to its end.
func (s *soak) attempts(job string) int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return mayHaveEnded(s.gate.ends[s.uids[job]])
}

// mayHaveEnded counts the attempts that ran, or may have, and were ended for others, and
// the one that was not.
func mayHaveEnded(ends []gate.End) int {
	others := map[int]bool{}
	for _, e := range ends {
		if e.Reason != "Completed" && e.Class != "not_executed" {
			others[e.Attempt] = true
		}
	}
	return len(others) + 1
}

// ends are those of a Job's attempts, with their times.
func (s *soak) ends(job string) string {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	text, err := json.Marshal(s.gate.ends[s.uids[job]])
	must(s.t, err)
	return string(text)
}

// logged is what kubelet and scheduler said of a Job's guests.
func (s *soak) logged(job string) string {
	var of strings.Builder
	for line := range strings.Lines(s.Logs(math.MaxInt)) {
		if strings.Contains(line, "night/"+job+"-") {
			of.WriteString(line)
		}
	}
	return of.String()
}

// yielded counts attempts that ran and were ended for others.
func (s *soak) yielded() int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	n := 0
	for _, ends := range s.gate.ends {
		for _, e := range ends {
			if e.Class == "executed" && e.Reason != "Completed" {
				n++
			}
		}
	}
	return n
}

// TestMayHaveEnded: an attempt that never ran excuses no work that is done twice.
func TestMayHaveEnded(t *testing.T) {
	for _, c := range []struct {
		name string
		ends []gate.End
		want int
	}{
		{"never told", nil, 1},
		{"done at once", []gate.End{{Attempt: 1, Class: "executed", Reason: "Completed"}}, 1},
		{"no room, then done", []gate.End{{Attempt: 1, Class: "not_executed", Reason: "NoRoom"}, {Attempt: 2, Class: "executed", Reason: "Completed"}}, 1},
		{"gave way and told twice, then done", []gate.End{{Attempt: 1, Class: "executed", Reason: "Reclaimed"}, {Attempt: 1, Class: "executed", Reason: "Reclaimed"}, {Attempt: 2, Class: "executed", Reason: "Completed"}}, 2},
		{"lost with its node, then done", []gate.End{{Attempt: 1, Class: "unknown", Reason: "NodeLost"}, {Attempt: 2, Class: "executed", Reason: "Completed"}}, 2},
	} {
		if got := mayHaveEnded(c.ends); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
