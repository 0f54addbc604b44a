package cloud

import (
	"errors"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/auth/sigv4"
)

// lambdaFront is the Invoke API of AWS Lambda.
type lambdaFront struct {
	*Server
	verifier     *sigv4.Verifier
	logsVerifier *sigv4.Verifier // of CloudWatch Logs
	// Both are guarded by the mutex of the fleet.
	reads    *meter // of the control plane
	logReads *meter
}

func (s *lambdaFront) serve(w http.ResponseWriter, r *http.Request, open bool) {
	id := uuid.NewString()
	w.Header().Set("X-Amzn-RequestId", id)
	if !open {
		serviceFailure().write(w)
		return
	}
	if isLogs(r) {
		s.serveLogs(w, r)
		return
	}
	body, refused := readBody(w, r)
	if refused == nil {
		refused = s.authenticate(r, body)
	}
	if refused == nil {
		refused = s.route(w, r, id, body)
	}
	if refused != nil {
		refused.write(w)
	}
}

func (s *lambdaFront) authenticate(r *http.Request, body []byte) *apiError {
	_, err := s.verifier.Verify(r, body, s.config.Clock(), func(id string) (string, bool) {
		secret, ok := s.config.Keys[id]
		return secret, ok
	})
	var refused *auth.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return unauthenticated(refused)
	}
	return serviceFailure()
}

func (s *lambdaFront) route(w http.ResponseWriter, r *http.Request, id string, body []byte) *apiError {
	path := r.URL.EscapedPath()
	name, isFunction := strings.CutPrefix(path, "/2015-03-31/functions/")
	name, isInvoke := strings.CutSuffix(name, "/invocations")
	switch {
	case isFunction && isInvoke && r.Method == http.MethodPost:
		return s.invoke(w, r, id, name, body)
	case r.Method == http.MethodGet:
		return s.read(w, r, path)
	case r.Method == http.MethodPut || r.Method == http.MethodDelete:
		return s.write(w, r.Method, path, body)
	}
	return unknownOperation()
}
