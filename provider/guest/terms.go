package guest

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Annotations by which the owner of a pod says how long its work may take.
const (
	AnnotationDeadline = "spillway.dev/deadline"
	AnnotationMaxWait  = "spillway.dev/max-wait"
	AnnotationBurst    = "spillway.dev/burst-function"
)

// Terms are what the annotations of a virtual pod ask.
type Terms struct {
	Deadline time.Time      // zero: none
	MaxWait  *time.Duration // nil: not said
	Burst    string         // a Function of the namespace; empty: none
}

// TermsOf reads the annotations of v; what cannot be read is refused, and not in Terms.
func TermsOf(v *corev1.Pod) (Terms, Refusals) {
	var t Terms
	var r Refusals
	if text, ok := v.Annotations[AnnotationDeadline]; ok {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			r.add("UnreadableDeadline", fmt.Sprintf("%q is no time; write it as 2026-01-31T05:30:00+08:00", clip(text)), "metadata.annotations[%s]", AnnotationDeadline)
		}
		t.Deadline = when // zero after an error
	}
	if text, ok := v.Annotations[AnnotationMaxWait]; ok {
		wait, err := time.ParseDuration(text)
		if err != nil || wait < 0 {
			r.add("UnreadableMaxWait", fmt.Sprintf("%q is no duration; write it as 90m or 2h30m", clip(text)), "metadata.annotations[%s]", AnnotationMaxWait)
		} else {
			t.MaxWait = &wait
		}
	}
	if text, ok := v.Annotations[AnnotationBurst]; ok && len(validation.IsDNS1123Label(text)) > 0 {
		r.add("UnreadableBurstFunction", fmt.Sprintf("%q is no name of a Function", clip(text)), "metadata.annotations[%s]", AnnotationBurst)
	} else {
		t.Burst = text
	}
	return t, r
}

// clip bounds what is quoted of a text that somebody wrote.
func clip(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}
