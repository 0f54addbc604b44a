package cluster

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

// isNews reports that people are to be told of a change in an event. That a function is
// served from the start is none, nor what faults of another object do to all functions:
// that object has an event.
func (s *Served) isNews(was *metav1.Condition) bool {
	if was == nil {
		return s.Reason != ReasonServing && s.Reason != ReasonRefused
	}
	return was.Reason != s.Reason && was.Reason != ReasonRefused && s.Reason != ReasonRefused
}

// maxNote is what a server takes in an event, less what is put before a message.
const maxNote = 900

// tell makes an event of what is done with a function now.
func (p *Publisher) tell(ctx context.Context, o Object, s *Served) error {
	kind := corev1.EventTypeNormal
	if s.Reason != ReasonServing {
		kind = corev1.EventTypeWarning
	}
	instance, _ := os.Hostname()
	at := metav1.NewMicroTime(time.Now())
	err := p.client.Create(ctx, &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: o.GetNamespace(), Name: fmt.Sprintf("%s.%x", o.GetName(), at.UnixNano())},
		EventTime:           at,
		ReportingController: dispatcherManager, ReportingInstance: instance,
		Action: "Serve", Reason: s.Reason, Type: kind,
		Regarding: corev1.ObjectReference{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindFunction, Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID()},
		Note:      fmt.Sprintf("%s is %s. %s", kube.Served, s.status(), cutTo(s.Message, maxNote)),
	})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // its namespace is going
	}
	if err != nil {
		return fmt.Errorf("tell what is done with Function %s: %w", client.ObjectKeyFromObject(o), err)
	}
	return nil
}
