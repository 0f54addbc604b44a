// Package probe is the function that the conformance suite invokes. It behaves as
// its payload says and tells the suite's oracle that it ran. The program in
// probe/main runs it behind the Lambda Runtime API.
package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Command is a payload with "do". Every other payload is answered as it is.
type Command struct {
	Do    string `json:"do"`
	Text  string `json:"text,omitempty"`  // of fail and log
	Bytes int    `json:"bytes,omitempty"` // of big and log: how many
}

// What a Command may do.
const (
	Fail    = "fail"    // return an error saying Text
	Hang    = "hang"    // hold a connection to the oracle until killed
	Exit    = "exit"    // die without answering
	Doom    = "doom"    // answer, and die when the oracle lets go of the connection
	Big     = "big"     // answer Bytes bytes of JSON
	Log     = "log"     // write Bytes of padding and then Text to the log
	Context = "context" // answer the client context's custom values
)

// StartVariable is an environment variable that decides how an instance starts:
// "exit" dies before it asks for work; a URL is held and nothing else happens.
const StartVariable = "PROBE_START"

// ErrExit is returned by Run when the process must die.
var ErrExit = errors.New("probe: exit")

// Custom names in the client context.
const (
	CustomOracle     = "oracle" // URL of the oracle
	CustomInvocation = "invocation"
	CustomAttempt    = "attempt"
)

// HeaderPrefix is of the fields that bring the custom values to a web function.
const HeaderPrefix = "Probe-"

// CustomOf returns the custom values of a request to a web function.
func CustomOf(h http.Header) map[string]string {
	custom := map[string]string{}
	for _, name := range []string{CustomOracle, CustomInvocation, CustomAttempt} {
		custom[name] = h.Get(HeaderPrefix + name)
	}
	return custom
}

// Run executes payload. custom is the client context's custom values, die ends
// the process.
func Run(ctx context.Context, custom map[string]string, payload []byte, log io.Writer, die func()) ([]byte, error) {
	id := url.Values{CustomInvocation: {custom[CustomInvocation]}, CustomAttempt: {custom[CustomAttempt]}}.Encode()
	if oracle := custom[CustomOracle]; oracle != "" {
		if err := Hold(ctx, oracle+"/ran?"+id); err != nil {
			return nil, err
		}
	}
	var c Command
	if json.Unmarshal(payload, &c) != nil {
		return payload, nil
	}
	hold := custom[CustomOracle] + "/hold?" + id
	switch c.Do {
	case Fail:
		return nil, errors.New(c.Text)
	case Hang:
		return nil, Hold(ctx, hold)
	case Exit:
		return nil, ErrExit
	case Doom:
		go func() {
			_ = Hold(context.WithoutCancel(ctx), hold) // let go or lost: die either way
			die()
		}()
	case Big:
		return []byte(`"` + strings.Repeat("x", c.Bytes-2) + `"`), nil
	case Log:
		fmt.Fprintf(log, "%s\n%s\n", strings.Repeat("-", c.Bytes), c.Text)
	case Context:
		return json.Marshal(custom)
	}
	return payload, nil
}

// Hold sends one request on a connection of its own and waits for the answer.
func Hold(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(nil))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
