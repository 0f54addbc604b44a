package operator

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

// owned is the part of a status that the operator writes. Others write the rest, such
// as what is in use.
type owned struct {
	kube.Observed `json:",inline"`
	Revisions     []kube.RevisionStatus `json:"revisions,omitempty"`
	Traffic       []kube.TrafficStatus  `json:"traffic,omitempty"`
	Split         string                `json:"split,omitempty"`
	Projected     []kube.Projection     `json:"projected,omitempty"`
	Functions     int64                 `json:"functions,omitempty"`
	PricesUntil   *metav1.Time          `json:"pricesUntil,omitempty"`
}

var conditionTypes = []string{kube.Ready, kube.Burstable, kube.QuotaProjected, kube.Drifted}

// ownedOf is what an object has now. It shares nothing with it that is changed.
func ownedOf(o kube.Object) owned {
	var s owned
	observed := o.Observed()
	s.ObservedGeneration = observed.ObservedGeneration
	for _, c := range observed.Conditions {
		if slices.Contains(conditionTypes, c.Type) {
			s.Conditions = append(s.Conditions, c)
		}
	}
	switch o := o.(type) {
	case *kube.Function:
		s.Revisions, s.Traffic, s.Split = slices.Clone(o.Status.Revisions), o.Status.Traffic, o.Status.Split
		for i := range s.Revisions {
			s.Revisions[i].Instances = 0 // counted by the dispatcher
		}
	case *kube.Quota:
		s.Projected = o.Status.Projected
	case *kube.BurstPolicy:
		s.Functions = o.Status.Functions
	case *kube.PriceBook:
		s.PricesUntil = o.Status.PricesUntil
	}
	s.sort()
	return s
}

func (s *owned) sort() {
	slices.SortFunc(s.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
}

// condition returns a condition, or nil.
func (s *owned) condition(kind string) *metav1.Condition {
	return meta.FindStatusCondition(s.Conditions, kind)
}

// say is a condition as it should be.
type say struct {
	status  metav1.ConditionStatus
	reason  string
	message string
}

// set puts a condition in place. The time of its last transition changes with its
// status only.
func (s *owned) set(kind string, c say, generation int64, now time.Time) {
	if len(c.message) > maxMessage {
		c.message = strings.ToValidUTF8(c.message[:maxMessage], "") + "…"
	}
	is := metav1.Condition{Type: kind, Status: c.status, Reason: c.reason, Message: c.message, ObservedGeneration: generation,
		LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second))}
	s.Conditions = slices.Clone(s.Conditions)
	if was := s.condition(kind); was != nil {
		if was.Status == is.Status {
			is.LastTransitionTime = was.LastTransitionTime
		}
		*was = is
		return
	}
	s.Conditions = append(s.Conditions, is)
	s.sort()
}

func (s *owned) drop(kind string) {
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c metav1.Condition) bool { return c.Type == kind })
}

// maxMessage bounds a condition's message in bytes; a server takes 32768.
const maxMessage = 4000

// same reports that nothing would change. Times are compared as they are written.
func (s *owned) same(as owned) bool {
	a, err := json.Marshal(s)
	b, err2 := json.Marshal(as)
	return err == nil && err2 == nil && bytes.Equal(a, b)
}

// patch is a server-side apply of the status.
func (s *owned) patch(o kube.Object) ([]byte, error) {
	type metadata struct {
		Name      string    `json:"name"`
		Namespace string    `json:"namespace,omitempty"`
		UID       types.UID `json:"uid"` // not of one that was made anew meanwhile
	}
	return json.Marshal(struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Metadata   metadata `json:"metadata"`
		Status     *owned   `json:"status"`
	}{v1alpha1.APIVersion, kindOf(o), metadata{o.GetName(), o.GetNamespace(), o.GetUID()}, s})
}

// replacement is a merge patch that leaves of the status of o what others have in it
// beside our lists, and nothing that others have in them.
func (s *owned) replacement(o kube.Object) ([]byte, error) {
	conditions := s.Conditions
	for _, c := range o.Observed().Conditions {
		if !slices.Contains(conditionTypes, c.Type) {
			conditions = append(slices.Clone(conditions), c)
		}
	}
	status := map[string]any{"observedGeneration": s.ObservedGeneration, "conditions": conditions}
	switch o.(type) {
	case *kube.Function:
		status["revisions"], status["traffic"], status["split"] = s.Revisions, s.Traffic, s.Split
	case *kube.Quota:
		status["projected"] = s.Projected
	case *kube.BurstPolicy:
		status["functions"] = s.Functions
	case *kube.PriceBook:
		status["pricesUntil"] = s.PricesUntil
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": o.GetResourceVersion()}, "status": status})
}

func kindOf(o kube.Object) string { return reflect.TypeOf(o).Elem().Name() }
