package kube

import (
	"context"
	"fmt"

	authentication "k8s.io/api/authentication/v1"
	authorization "k8s.io/api/authorization/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

// Reviews is the Reviewer of a cluster. It needs the rights of the ClusterRole
// system:auth-delegator, and no others.
type Reviews struct {
	tokens authenticationclient.TokenReviewInterface
	access authorizationclient.SubjectAccessReviewInterface
}

// NewReviews returns the Reviewer of the cluster that c reaches. How many reviews are
// under way at once is bounded by who asks, so the client's own limit is taken off.
func NewReviews(c *rest.Config) (*Reviews, error) {
	c = rest.CopyConfig(c)
	c.QPS = -1
	tokens, err := authenticationclient.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("a client for TokenReviews: %w", err)
	}
	access, err := authorizationclient.NewForConfig(c)
	if err != nil {
		return nil, fmt.Errorf("a client for SubjectAccessReviews: %w", err)
	}
	return &Reviews{tokens: tokens.TokenReviews(), access: access.SubjectAccessReviews()}, nil
}

// ReviewToken implements Reviewer.
func (r *Reviews) ReviewToken(ctx context.Context, token string, audiences []string) (*authentication.TokenReviewStatus, error) {
	review := &authentication.TokenReview{Spec: authentication.TokenReviewSpec{Token: token, Audiences: audiences}}
	said, err := r.tokens.Create(ctx, review, meta.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("TokenReview: %w", err)
	}
	return &said.Status, nil
}

// ReviewAccess implements Reviewer.
func (r *Reviews) ReviewAccess(ctx context.Context, of *authorization.SubjectAccessReviewSpec) (*authorization.SubjectAccessReviewStatus, error) {
	said, err := r.access.Create(ctx, &authorization.SubjectAccessReview{Spec: *of}, meta.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("SubjectAccessReview: %w", err)
	}
	return &said.Status, nil
}
