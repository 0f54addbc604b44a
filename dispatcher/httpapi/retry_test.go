package httpapi

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/dispatcher/server"
)

// TestSDKRetries counts how often the SDK's standard retryer sends one call: once
// whenever it may have run or will not go better, more often only if nothing ran.
func TestSDKRetries(t *testing.T) {
	refuse := func(r spillway.Reason) *server.Answer {
		return refusal(r, spillway.Limit{Kind: spillway.LimitBudget})
	}
	idempotent := refuse(spillway.ReasonNoCapacity)
	idempotent.Decision.Tries = 2
	idempotent.Decision.Attempts[0].Outcome.Class = spillway.Unknown
	tests := []struct {
		name   string
		answer *server.Answer
		err    error
		sent   int
		status int    // 200: a function error
		code   string // error code, or errorType of a function error
	}{
		{"denied", refuse(spillway.ReasonDenied), nil, 1, 403, "AccessDeniedException"},
		{"budget", refuse(spillway.ReasonBudgetExceeded), nil, 1, 402, "Spillway.BudgetExceeded"},
		{"deadline", refuse(spillway.ReasonDeadline), nil, 1, 408, "Spillway.DeadlineExceeded"},
		{"quota", refuse(spillway.ReasonQuotaExceeded), nil, 3, 429, "TooManyRequestsException"},
		{"capacity", refuse(spillway.ReasonNoCapacity), nil, 3, 429, "TooManyRequestsException"},
		{"unavailable", refuse(spillway.ReasonUnavailable), nil, 3, 503, "ServiceUnavailable"},
		{"draining", nil, server.ErrDraining, 3, 503, "ServiceUnavailable"},
		{"unknown function", nil, &server.UnknownFunctionError{}, 1, 404, "ResourceNotFoundException"},
		{"key reused", nil, server.ErrKeyReused, 1, 422, "Spillway.KeyReused"},
		{"result gone", nil, server.ErrResultGone, 1, 200, "Spillway.ResultGone"},
		{"unknown", unknownAnswer(), nil, 1, 200, "Spillway.OutcomeUnknown"},
		{"refused after an unknown attempt", idempotent, nil, 1, 200, "Spillway.OutcomeUnknown"},
		{"first attempt not ended", nil, fmt.Errorf("waiting: %w", context.Canceled), 1, 200, "Spillway.OutcomeUnknown"},
		{"unforeseen error", nil, errors.New("disk on fire"), 1, 200, "Spillway.OutcomeUnknown"},
		{"function error", functionFailed(spillway.FunctionUnhandled), nil, 1, 200, "Boom"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := always(test.answer, test.err)
			out, err := open(t, s).sdk().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("resize")})
			asks := s.ran()
			if len(asks) != test.sent {
				t.Errorf("sent %d times, want %d", len(asks), test.sent)
			}
			for _, ask := range asks {
				if ask.RequestKey == "" || ask.RequestKey != asks[0].RequestKey {
					t.Errorf("attempts have the keys %q and %q", asks[0].RequestKey, ask.RequestKey)
				}
			}
			if test.status != 200 {
				wantError(t, err, test.status, test.code)
				return
			}
			if err != nil || out.StatusCode != 200 || aws.ToString(out.FunctionError) != "Unhandled" {
				t.Fatalf("got %+v, %v", out, err)
			}
			if got := field(t, out.Payload, "errorType"); got != test.code {
				t.Errorf("errorType %q, want %q", got, test.code)
			}
		})
	}
}

// TestPanics breaks the server in the middle of a call, and the door before it.
func TestPanics(t *testing.T) {
	s := &script{answer: func(int, server.Ask) (*server.Answer, error) { panic("broken") }}
	d := open(t, s)
	out, err := d.sdk().Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("resize")})
	if err != nil || field(t, out.Payload, "errorType") != typeUnknown || len(s.ran()) != 1 {
		t.Errorf("after it may have run: %+v, %v, ran %d times", out, err, len(s.ran()))
	}
	if resp, _ := d.post(t, "/namespaces/web/functions/resize/invoke", "1"); resp.StatusCode != 504 {
		t.Errorf("plain: %d", resp.StatusCode)
	}
	before := openWith(t, s, func(c *Config) { c.Auth = nobody{} }, noLimit)
	if resp, body := before.post(t, "/namespaces/web/functions/resize/invoke", "1"); resp.StatusCode != 500 || resp.Header.Get("X-Spillway-Reason") != "internal" {
		t.Errorf("before it ran: %d %s", resp.StatusCode, body)
	}
	if got := metric(t, d.registry, "spillway_http_panics_total"); got != 2 {
		t.Errorf("counted %v panics", got)
	}
	if got := metric(t, d.registry, "spillway_http_requests_in_flight"); got != 0 {
		t.Errorf("%v in flight", got)
	}
}
