package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/internal/safetext"
)

type invokeFlags struct {
	data, server, tokenFile, qualifier string
	log, dryRun, explain               bool
}

func newInvoke(s streams) *cobra.Command {
	var f invokeFlags
	cmd := &cobra.Command{
		Use:   "invoke NAMESPACE/FUNCTION",
		Short: "Call a function and print what it answers",
		Long: `Call a function of a running server, wait for its answer and print it.

Use it to try a function, or in scripts: exit code 0 means that it ran and
answered, 1 that it failed, was refused, or that nobody knows; the reason is on
standard error. What Lambda's own clients send works as well: their endpoint is
http://SERVER/namespaces/NAMESPACE.`,
		Example: `  spillway invoke media/thumbnail -d '{"size":64}'
  spillway invoke shop/report -d @event.json --log --explain
  spillway invoke shop/report --dry-run      # would it run, and where?
  echo '{"millis":20}' | spillway invoke shop/report -d - -o json`,
		Args: exactly("NAMESPACE/FUNCTION"),
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.data, "data", "d", "{}", "the event as `JSON`, @file, or - for standard input; at most 6 MiB")
	flags.StringVar(&f.server, "server", envOr("SPILLWAY_SERVER", "http://127.0.0.1:8080"), "`URL` of the front door; default from SPILLWAY_SERVER")
	flags.StringVar(&f.tokenFile, "token-file", os.Getenv("SPILLWAY_TOKEN_FILE"), "`file` with a bearer token; default from SPILLWAY_TOKEN_FILE")
	flags.StringVar(&f.qualifier, "qualifier", "", "revision to call; the serving one if not given")
	flags.BoolVar(&f.log, "log", false, "print the last 4 KiB of what the function logged, on standard error")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be decided and run nothing")
	flags.BoolVar(&f.explain, "explain", false, "print the decision on standard error")
	output := formatFlag(cmd, "payload", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := functionKey(args[0])
		if err != nil {
			return err
		}
		a, err := f.call(cmd.Context(), key, s.in)
		if err != nil {
			return err
		}
		return f.show(s, output, a)
	}
	return cmd
}

// answer is what came of a call.
type answer struct {
	Function      string          `json:"function"`
	Status        int             `json:"status"`
	Invocation    string          `json:"invocation,omitempty"`
	Pool          string          `json:"pool,omitempty"`
	Reason        string          `json:"reason,omitempty"`
	Decision      string          `json:"decision,omitempty"`
	Version       string          `json:"executedVersion,omitempty"`
	FunctionError string          `json:"functionError,omitempty"`
	Refused       string          `json:"refused,omitempty"`
	Payload       json.RawMessage `json:"payload,omitempty"`
	Log           string          `json:"log,omitempty"`
}

// call speaks the Lambda Invoke API, which can say all that the flags ask for.
func (f *invokeFlags) call(ctx context.Context, key spillway.FunctionKey, stdin io.Reader) (*answer, error) {
	base, err := baseURL("--server", f.server)
	if err != nil {
		return nil, err
	}
	token, err := bearer(f.tokenFile)
	if err != nil {
		return nil, err
	}
	event, err := payload(f.data, stdin)
	if err != nil {
		return nil, err
	}
	if len(event) > 0 && !json.Valid(event) {
		return nil, wrongInput("the payload is not JSON; a text needs quotes of its own: -d '\"text\"'")
	}
	at := base.JoinPath("namespaces", url.PathEscape(key.Namespace), "2015-03-31", "functions", url.PathEscape(key.Name), "invocations")
	if f.qualifier != "" {
		at.RawQuery = url.Values{"Qualifier": {f.qualifier}}.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), bytes.NewReader(event))
	if err != nil {
		return nil, wrongInput("--server: %w", err)
	}
	f.headers(r.Header, token)
	resp, body, err := exchange(r)
	if err != nil {
		return nil, err
	}
	return answerOf(key, resp, body), nil
}

func (f *invokeFlags) headers(h http.Header, token string) {
	h.Set("Content-Type", "application/json")
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	if f.log {
		h.Set("X-Amz-Log-Type", "Tail")
	}
	if f.dryRun {
		h.Set("X-Amz-Invocation-Type", "DryRun")
	}
}

func answerOf(key spillway.FunctionKey, resp *http.Response, body []byte) *answer {
	h := resp.Header
	a := &answer{
		Function: key.String(), Status: resp.StatusCode,
		Invocation: h.Get("X-Spillway-Invocation"), Pool: h.Get("X-Spillway-Pool"), Reason: h.Get("X-Spillway-Reason"),
		Decision: h.Get("X-Spillway-Decision"), Version: h.Get("X-Amz-Executed-Version"), FunctionError: h.Get("X-Amz-Function-Error"),
	}
	if log, err := base64.StdEncoding.DecodeString(h.Get("X-Amz-Log-Result")); err == nil {
		a.Log = string(log)
	}
	if json.Valid(body) {
		a.Payload = body
	}
	if resp.StatusCode/100 != 2 {
		a.Refused = refusal(resp, body)
	}
	return a
}

// refusal is the message of an error as Lambda writes one.
func refusal(resp *http.Response, body []byte) string {
	var said struct{ Message string }
	if json.Unmarshal(body, &said) == nil && said.Message != "" {
		return said.Message
	}
	return fmt.Sprintf("the server answered %s and did not say why; is it a Spillway server?", resp.Status)
}

// show prints an answer; a call that did not succeed is an error.
func (f *invokeFlags) show(s streams, output *format, a *answer) error {
	if f.log && a.Log != "" {
		fmt.Fprintln(s.err, strings.TrimRight(a.Log, "\n"))
	}
	if f.explain || f.dryRun {
		fmt.Fprintf(s.err, "decision: %s\n", safetext.Line(a.Decision))
	}
	if f.explain && a.Invocation != "" {
		fmt.Fprintf(s.err, "invocation: %s (more: spillway explain %s)\n", safetext.Line(a.Invocation), safetext.Line(a.Invocation))
	}
	err := output.print(s.out, a, func(w io.Writer) error {
		if a.Refused != "" || len(a.Payload) == 0 {
			return nil
		}
		_, err := fmt.Fprintln(w, string(a.Payload))
		return err
	})
	switch {
	case err != nil:
		return err
	case a.Refused != "":
		return fmt.Errorf("%s was refused (%d): %s%s", a.Function, a.Status, safetext.Line(a.Refused), refusalAdvice(a.Status))
	case a.Reason == "outcome_unknown":
		return fmt.Errorf("%s may have run: %s", a.Function, safetext.Line(errorOf(a.Payload)))
	case a.FunctionError != "":
		return fmt.Errorf("%s failed (%s): %s", a.Function, safetext.Line(a.FunctionError), safetext.Line(errorOf(a.Payload)))
	}
	return nil
}

// refusalAdvice says what to do about a refusal that depends on who asks, or what
// for.
func refusalAdvice(status int) string {
	switch status {
	case http.StatusNotFound:
		return "; 'spillway list' shows what there is"
	case http.StatusForbidden, http.StatusUnauthorized:
		return "; --token-file sends a bearer token, and only an AWS SDK or CLI can sign"
	}
	return ""
}

// errorOf reads errorType and errorMessage of a function's error.
func errorOf(payload []byte) string {
	var e struct{ ErrorType, ErrorMessage string }
	if json.Unmarshal(payload, &e) != nil || e.ErrorType+e.ErrorMessage == "" {
		return "it said no more"
	}
	return strings.Trim(e.ErrorType+": "+e.ErrorMessage, ": ")
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}
