package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
)

// Reasons of the condition Served.
const (
	ReasonServing = "Serving"
	// ReasonPackageMissing: a package was not pushed to the dispatcher, and nothing else
	// is wrong.
	ReasonPackageMissing = "PackageMissing"
	// ReasonInvalidSpec: it has faults, and never was without, so it is not served.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonLastGood: it has faults, and is served as it was before.
	ReasonLastGood = "LastGoodServes"
	// ReasonStartsFail: it has no faults, and the latest start of a revision failed.
	ReasonStartsFail = "StartsFail"
	// ReasonRefused: the dispatcher goes on with all as it was, since an object that
	// concerns all has faults.
	ReasonRefused = "Refused"
)

// maxServedMessage bounds a message in bytes.
const maxServedMessage = 1000

// Served is what a dispatcher does with a generation of a function.
type Served struct {
	Generation int64
	Reason     string
	Message    string
}

// ServedOf is of a function with the faults that it has; before says that it is served as
// it was before.
func ServedOf(generation int64, faults config.Faults, before bool) Served {
	if len(faults) == 0 {
		return Served{generation, ReasonServing, "Calls are answered with it as it is written."}
	}
	s := Served{Generation: generation, Reason: ReasonPackageMissing}
	var text strings.Builder
	for _, f := range faults {
		if !f.PackageMissing() {
			s.Reason = ReasonInvalidSpec
		}
		text.WriteString(strings.TrimPrefix(f.String(), f.File+": ") + "\n")
	}
	s.Message = cut(text.String()) + "It is not served."
	if before {
		if s.Reason == ReasonInvalidSpec {
			s.Reason = ReasonLastGood
		}
		s.Message = cut(text.String()) + "It is served as it was when it last had no faults."
	}
	return s
}

// StartsFail is of a function without faults, by revision why its instances do not start.
func StartsFail(generation int64, why map[string]string) Served {
	var text strings.Builder
	for _, revision := range slices.Sorted(maps.Keys(why)) {
		fmt.Fprintf(&text, "Revision %s does not start: %s\n", revision, strings.TrimSpace(why[revision]))
	}
	return Served{generation, ReasonStartsFail, cut(text.String()) + "Calls that need another instance of it overflow or fail, and it is tried again for them."}
}

// Refused is of a function that is not judged, for a reason that all may know.
func Refused(generation int64, why string) Served {
	return Served{generation, ReasonRefused, "Everything is served as it was: " + cut(why)}
}

// maxTold bounds the faults that are told to all.
const maxTold = 8

// ForAll is what the owners of all functions may know of faults: those of kinds that are
// of no namespace. Those of functions are counted, and so is what files have.
func ForAll(faults config.Faults) string {
	var told []string
	for _, f := range faults {
		switch kind, _, _ := strings.Cut(f.File, " "); kind {
		case v1alpha1.KindPool, v1alpha1.KindQuota, v1alpha1.KindBurstPolicy, v1alpha1.KindPriceBook:
			if len(told) < maxTold {
				told = append(told, f.String())
			}
		}
	}
	if more := len(faults) - len(told); more > 0 {
		told = append(told, fmt.Sprintf("%d faults of objects that are told to their owners", more))
	}
	return strings.Join(told, "\n")
}

func cut(text string) string {
	if len(text) <= maxServedMessage {
		return text
	}
	return cutTo(text, maxServedMessage) + "\n"
}

// cutTo leaves at most n bytes of a text, and says so.
func cutTo(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

func (s *Served) status() metav1.ConditionStatus {
	if s.Reason == ReasonServing {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// is reports that a condition says so.
func (s *Served) is(c *metav1.Condition) bool {
	return c != nil && c.Status == s.status() && c.Reason == s.Reason && c.Message == s.Message && c.ObservedGeneration == s.Generation
}

// condition is as it should be. The time of its last transition changes with its status.
func (s *Served) condition(was *metav1.Condition, now time.Time) metav1.Condition {
	c := metav1.Condition{Type: kube.Served, Status: s.status(), Reason: s.Reason, Message: s.Message, ObservedGeneration: s.Generation,
		LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second))}
	if was != nil && was.Status == c.Status {
		c.LastTransitionTime = was.LastTransitionTime
	}
	return c
}
