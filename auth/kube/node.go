package kube

import (
	"context"
	"net/http"
	"time"

	authorization "k8s.io/api/authorization/v1"

	"github.com/spillway-dev/spillway/auth"
)

// offlinePods is what virtual nodes may admit; there are no such objects.
const offlinePods = "offlinepods"

// AuthenticateNode returns whose token r carries if the cluster's RBAC lets that one ask
// for room on idle capacity: verb admit on offlinepods.spillway.dev, in all namespaces.
// While the API server cannot be asked, what was allowed last goes on for a while:
// work on idle capacity stays on the premises. Errors are *auth.Error.
func (a *Authenticator) AuthenticateNode(r *http.Request) (auth.Identity, error) {
	id, err := a.Authenticate(r, nil, time.Now())
	if err != nil {
		return id, err
	}
	s := id.Subject.(*subject)
	found, err := a.permissions.look(r.Context(), s.asking("", "/"+offlinePods), question[struct{}]{ask: func(ctx context.Context) (answer[struct{}], error) {
		status, err := a.reviews.ReviewAccess(ctx, s.admission())
		if err != nil {
			return answer[struct{}]{}, err
		}
		return answer[struct{}]{good: status.Allowed && !status.Denied}, nil
	}})
	switch {
	case err != nil:
		return id, auth.Unavailable("the cluster's API server cannot be asked now what "+id.Name+" may do; nothing was admitted, try again", retryAfter)
	case !found.good:
		return id, auth.Refuse(auth.TypeUnrecognizedClient, id.Name+" may not ask for room on idle capacity; it needs the verb admit on "+offlinePods+".spillway.dev")
	}
	return id, nil
}

func (s *subject) admission() *authorization.SubjectAccessReviewSpec {
	spec := s.access("", "")
	spec.ResourceAttributes = &authorization.ResourceAttributes{Verb: "admit", Group: "spillway.dev", Version: "v1alpha1", Resource: offlinePods}
	return spec
}
