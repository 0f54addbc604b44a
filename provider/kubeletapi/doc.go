// Package kubeletapi serves what the API server and metrics collectors ask of a
// kubelet, for the virtual node: logs, exec, attach and port-forward of its pods,
// which it passes on to their guests, and what they use. Every request is
// authenticated by client certificate or TokenReview and authorised by
// SubjectAccessReview; there is no way to serve without.
package kubeletapi
