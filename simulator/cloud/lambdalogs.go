package cloud

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/spillway-dev/spillway/auth"
)

const (
	logsTarget = "Logs_20140328."
	// logsRate is how many FilterLogEvents a second CloudWatch Logs takes of an
	// account in the regions where it takes least.
	logsRate    = 5
	maxLogLimit = 10_000
)

// logsError is an error answer of CloudWatch Logs; the status is 400.
type logsError struct{ kind, message string }

func (e *logsError) Error() string { return e.kind + ": " + e.message }

// filterRequest is the parameters of FilterLogEvents. The stand-in refuses by name
// those it does not serve.
type filterRequest struct {
	LogGroupName, FilterPattern, NextToken *string
	StartTime, EndTime                     *int64 // ms since 1970
	Limit                                  *int

	LogGroupIdentifier, LogStreamNamePrefix *string
	LogStreamNames                          []string
	Unmask, StartFromHead                   *bool
}

// serveLogs answers the API of CloudWatch Logs, which is served at the same address.
func (s *lambdaFront) serveLogs(w http.ResponseWriter, r *http.Request) {
	said, err := s.filterLogEvents(w, r)
	status := http.StatusOK
	var refused *logsError
	if errors.As(err, &refused) {
		said, status = map[string]string{"__type": refused.kind, "message": refused.message}, http.StatusBadRequest
	}
	body, _ := json.Marshal(said) // strings and numbers always marshal
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	w.Write(body)
}

func (s *lambdaFront) filterLogEvents(w http.ResponseWriter, r *http.Request) (any, error) {
	body, tooMuch := readBody(w, r)
	switch {
	case tooMuch != nil:
		return nil, &logsError{"InvalidParameterException", "the request body could not be read or is too large"}
	case r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1":
		return nil, &logsError{"UnknownOperationException", "the stand-in takes POST / with application/x-amz-json-1.1"}
	}
	_, err := s.logsVerifier.Verify(r, body, s.config.Clock(), func(id string) (string, bool) {
		secret, ok := s.config.Keys[id]
		return secret, ok
	})
	var refused *auth.Error
	switch {
	case errors.As(err, &refused):
		return nil, &logsError{refused.Type, refused.Message}
	case err != nil:
		return nil, &logsError{"ServiceUnavailableException", "the stand-in failed"}
	case r.Header.Get("X-Amz-Target") != logsTarget+"FilterLogEvents":
		return nil, &logsError{"UnknownOperationException", "the stand-in knows FilterLogEvents"}
	case !s.fleet.takes(s.logReads, s.config.Clock()):
		return nil, &logsError{"ThrottlingException", "Rate exceeded"}
	}
	q, err := decodeFilter(body)
	if err != nil {
		return nil, err
	}
	return s.page(q)
}

func decodeFilter(body []byte) (*filterRequest, error) {
	q := new(filterRequest)
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	bad := func(text string) error { return &logsError{"InvalidParameterException", text} }
	switch err := d.Decode(q); {
	case err != nil || d.More():
		return nil, bad("the body is not one JSON object with the parameters of FilterLogEvents")
	case q.LogGroupName == nil:
		return nil, bad("logGroupName is missing; the stand-in does not take logGroupIdentifier")
	case q.LogGroupIdentifier != nil || q.LogStreamNamePrefix != nil || q.LogStreamNames != nil || q.Unmask != nil || q.StartFromHead != nil:
		return nil, bad("the stand-in takes logGroupName, filterPattern, startTime, endTime, limit and nextToken")
	case q.Limit != nil && (*q.Limit < 1 || *q.Limit > maxLogLimit):
		return nil, bad("limit must be 1 to 10000")
	case q.StartTime != nil && *q.StartTime < 0 || q.EndTime != nil && *q.EndTime < 0 || q.StartTime != nil && q.EndTime != nil && *q.EndTime < *q.StartTime:
		return nil, bad("startTime and endTime must be ms since 1970, in this order")
	}
	return q, nil
}

// page answers with the matching events after those of the token.
func (s *lambdaFront) page(q *filterRequest) (any, error) {
	matches, err := parsePattern(q.FilterPattern)
	if err != nil {
		return nil, err
	}
	name, ok := strings.CutPrefix(*q.LogGroupName, "/aws/lambda/")
	events, written := s.logs.events(name)
	if !ok || !written {
		return nil, &logsError{"ResourceNotFoundException", "The specified log group does not exist."}
	}
	skip, limit := 0, maxLogLimit
	if q.Limit != nil {
		limit = *q.Limit
	}
	if q.NextToken != nil {
		if skip, err = q.offset(*q.NextToken); err != nil {
			return nil, err
		}
	}
	found := []map[string]any{}
	said := map[string]any{"searchedLogStreams": []any{}}
	for i, e := range events {
		ms := e.at.UnixMilli()
		if i < skip || q.StartTime != nil && ms < *q.StartTime || q.EndTime != nil && ms > *q.EndTime || !matches(e.text) {
			continue
		}
		if len(found) == limit {
			said["nextToken"] = q.token(i)
			break
		}
		sum := sha256.Sum256([]byte(name + e.of.version))
		found = append(found, map[string]any{
			"eventId": fmt.Sprintf("%056d", i), "timestamp": ms, "ingestionTime": e.of.ended.UnixMilli(), "message": e.text,
			"logStreamName": e.of.ended.UTC().Format("2006/01/02") + "/[" + e.of.version + "]" + hex.EncodeToString(sum[:16]),
		})
	}
	said["events"] = found
	return said, nil
}

// token names a position of this query and no other.
func (q *filterRequest) token(at int) string {
	asked := fmt.Sprint(*q.LogGroupName, " ", deref(q.FilterPattern), " ", deref(q.StartTime), " ", deref(q.EndTime))
	sum := sha256.Sum256([]byte(asked))
	return fmt.Sprintf("%d-%x", at, sum[:8])
}

func (q *filterRequest) offset(token string) (int, error) {
	var at int
	if _, err := fmt.Sscanf(token, "%d-", &at); err != nil || q.token(at) != token {
		return 0, &logsError{"InvalidParameterException", "The specified nextToken is invalid."}
	}
	return at, nil
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// patternTerm is a word or a quoted phrase, which may be one of several.
var patternTerm = regexp.MustCompile(`^(\?)?(?:"([^"]+)"|([A-Za-z0-9_]+))(?:\s+|$)`)

// parsePattern reads the plain forms of a filter pattern: terms that must all be
// there, or terms with ? of which one must.
func parsePattern(text *string) (func(string) bool, error) {
	var all, any []string
	for rest := strings.TrimSpace(deref(text)); rest != ""; {
		m := patternTerm.FindStringSubmatch(rest)
		if m == nil {
			return nil, &logsError{"InvalidParameterException", "the stand-in takes filter patterns of words and quoted phrases, all plain or all with ?"}
		}
		if rest = rest[len(m[0]):]; m[1] == "" {
			all = append(all, m[2]+m[3])
		} else {
			any = append(any, m[2]+m[3])
		}
	}
	if len(all) > 0 && len(any) > 0 {
		return nil, &logsError{"InvalidParameterException", "a term with ? is ignored beside one without it; the stand-in refuses that"}
	}
	return func(line string) bool {
		found := 0
		for _, term := range append(all, any...) {
			if strings.Contains(line, term) {
				found++
			}
		}
		return found >= len(all) && (len(any) == 0 || found > 0)
	}, nil
}

// isLogs reports whether a request is for CloudWatch Logs.
func isLogs(r *http.Request) bool { return strings.HasPrefix(r.Header.Get("X-Amz-Target"), "Logs_") }

func newLogReads() *meter { return newMeter(logsRate, time.Second) }
