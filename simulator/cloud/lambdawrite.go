package cloud

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// write answers PutFunctionConcurrency and DeleteFunctionConcurrency, which share the
// control plane's rate with its reads.
func (s *lambdaFront) write(w http.ResponseWriter, method, path string, body []byte) *apiError {
	name, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), "/2017-10-31/functions/")
	name, is := strings.CutSuffix(name, "/concurrency")
	if !ok || !is || name == "" {
		return unknownOperation()
	}
	if !s.fleet.takes(s.reads, s.config.Clock()) {
		return throttled(ReasonCallerRate, 1)
	}
	f, refused := s.unqualified(name)
	if refused != nil {
		return refused
	}
	if method == http.MethodDelete {
		s.fleet.unreserve(f)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return s.putConcurrency(w, f, body)
}

func (s *lambdaFront) putConcurrency(w http.ResponseWriter, f *function, body []byte) *apiError {
	var in struct{ ReservedConcurrentExecutions *int }
	if err := json.Unmarshal(body, &in); err != nil {
		return invalidContent("Could not parse request body into json")
	}
	n := in.ReservedConcurrentExecutions
	if n == nil || *n < 0 || *n > 1<<31-1 {
		return invalidParameter("ReservedConcurrentExecutions must be a number that is not negative")
	}
	if err := s.fleet.reserve(f, *n); err != nil {
		return invalidParameter(fmt.Sprintf("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", lambdaUnreserved))
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"ReservedConcurrentExecutions":%d}`, *n)
	return nil
}
