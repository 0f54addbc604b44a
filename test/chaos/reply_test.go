package chaos

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// ending is how a call ended, as its client was told.
type ending string

const (
	succeeded ending = "succeeded"
	failed    ending = "failed"  // the function answered with an error
	refused   ending = "refused" // nothing ran
	unknown   ending = "unknown" // it may have run
	broken    ending = "broken"  // no answer that there is
)

// reply is one answer of the front door.
type reply struct {
	function   string
	ending     ending
	status     int
	invocation string
	pool       string
	reason     string
	body       string
}

func (r reply) String() string {
	return fmt.Sprintf("%s of %s: %s, %d, pool %s, reason %s: %.300s", r.invocation, r.function, r.ending, r.status, r.pool, r.reason, r.body)
}

// call sends one call on the Invoke API and reads its one answer.
func (w *world) call(function, body string) reply {
	r := reply{function: function, ending: broken}
	req, err := http.NewRequest(http.MethodPost, w.front+"/namespaces/shop/2015-03-31/functions/"+function+"/invocations", strings.NewReader(body))
	if err != nil {
		r.body = err.Error()
		return r
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := w.client.Do(req)
	if err != nil {
		r.body = err.Error()
		return r
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		r.body = err.Error()
		return r
	}
	h := resp.Header
	r.status, r.body = resp.StatusCode, string(text)
	r.invocation, r.pool, r.reason = h.Get("X-Spillway-Invocation"), h.Get("X-Spillway-Pool"), h.Get("X-Spillway-Reason")
	r.ending = endingOf(resp.StatusCode, h.Get("X-Amz-Function-Error"), text)
	return r
}

func endingOf(status int, functionError string, body []byte) ending {
	var said struct{ ErrorType string }
	_ = json.Unmarshal(body, &said) // no JSON: no type
	switch {
	case status == http.StatusOK && functionError == "":
		return succeeded
	case status == http.StatusOK && functionError == "Unhandled" && said.ErrorType == "Spillway.OutcomeUnknown":
		return unknown
	case status == http.StatusOK && said.ErrorType != "Spillway.OutcomeUnknown":
		return failed
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable, status == http.StatusRequestTimeout:
		return refused
	}
	return broken
}

// atOnce sends n calls of each function together and returns all answers.
func (w *world) atOnce(n int, functions ...string) []reply {
	replies := make([]reply, n*len(functions))
	var wg sync.WaitGroup
	for i := range replies {
		wg.Go(func() { replies[i] = w.call(functions[i%len(functions)], `{"millis":1}`) })
	}
	wg.Wait()
	return replies
}
