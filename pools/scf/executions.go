package scf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"

	"github.com/spillway-dev/spillway"
)

const (
	clsVersion = "2020-10-16"
	// pageLines and pagesLines are how many lines SearchLog gives at once, and with
	// its Context from one query.
	pageLines  = 1000
	pagesLines = 10_000
	// maxExecutions bounds what one read keeps in memory.
	maxExecutions = 1_000_000
	// lastMilli is the last ms since 1970 that times can hold, in the year 2248.
	lastMilli = 1 << 43
)

// Log reads from the Cloud Log Service, to which SCF writes, what functions ran:
// SCF's own GetFunctionLogs was taken out of service, and GetRequestStatus tells of
// a request only to who knows its id. It changes nothing and repeats nothing. It is
// safe for concurrent use while its Pool is open.
type Log struct {
	inspector *Inspector
	domain    string // of the log service; empty: the SDK's

	mu     sync.Mutex
	topics map[string]string // by function
}

// Log returns one for the account, region and namespace of p, which the pool was
// made for. It calls pace before each request, and gives up with its error. Where
// the pool's endpoint is Tencent's, cls takes the place of scf in its name; any
// other is asked for logs at the same address.
func (p *Pool) Log(of *spillway.Pool, pace func(context.Context) error) *Log {
	return &Log{inspector: p.Inspector(pace), domain: logsDomain(of.SCF.Endpoint), topics: map[string]string{}}
}

func logsDomain(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	if rest, ok := strings.CutPrefix(u.Host, "scf."); ok && strings.HasSuffix(u.Hostname(), ".tencentcloudapi.com") {
		return "cls." + rest
	}
	return ""
}

// Executions returns what ran of a function and ended from a time to another, both
// included, in the order of the log. Records may repeat.
func (l *Log) Executions(ctx context.Context, name string, from, to time.Time) ([]spillway.Usage, error) {
	topic, err := l.topic(ctx, name)
	if err != nil {
		return nil, err
	}
	q := query{topic: topic, from: from.UnixMilli(), to: to.UnixMilli(), text: fmt.Sprintf(
		`SCF_Namespace:%q AND SCF_FunctionName:%q AND SCF_Type:Platform AND SCF_Message:Report*`, l.inspector.namespace, name)}
	var all []spillway.Usage
	for over, lines := false, 0; !over; {
		page, err := l.search(ctx, q)
		if err != nil {
			return nil, err
		}
		last := q.from
		for _, line := range page.Results {
			if u, ok := execution(line.LogJSON, line.Time); ok {
				all = append(all, u)
			}
			last = max(last, line.Time)
		}
		lines += len(page.Results)
		over, q.context = page.ListOver, page.Context
		switch {
		case over:
		case len(all) > maxExecutions:
			return nil, fmt.Errorf("the log of %s has more than %d executions from %s to %s: take a shorter time", name, maxExecutions, from.Format(time.RFC3339), to.Format(time.RFC3339))
		case lines+pageLines > pagesLines && last > q.from: // a new query from here on; what ended now comes twice
			q.from, q.context, lines = last, "", 0
		case q.context == "" || lines > pagesLines:
			return nil, errors.New("the pages of SearchLog have no end and no next, so the log cannot be read in full")
		}
	}
	return all, nil
}

var topicForm = regexp.MustCompile(`^[0-9A-Za-z-]{8,64}$`)

// topic is the log topic that a function writes to.
func (l *Log) topic(ctx context.Context, name string) (string, error) {
	l.mu.Lock()
	topic := l.topics[name]
	l.mu.Unlock()
	if topic != "" {
		return topic, nil
	}
	in := api.NewGetFunctionRequest()
	in.FunctionName, in.Namespace, in.ShowCode = &name, &l.inspector.namespace, common.StringPtr("FALSE")
	out, err := ask(ctx, l.inspector, "GetFunction", in, l.inspector.client.GetFunctionWithContext)
	if absent(err) != "" {
		return "", fmt.Errorf("there is no function %s in namespace %s any more, so its log is not known", name, l.inspector.namespace)
	}
	if err != nil {
		return "", err
	}
	if out.Response == nil || !topicForm.MatchString(text(out.Response.ClsTopicId)) {
		return "", fmt.Errorf("the function %s delivers no log to the Cloud Log Service: turn log delivery on in its configuration", name)
	}
	l.mu.Lock()
	l.topics[name] = *out.Response.ClsTopicId
	l.mu.Unlock()
	return *out.Response.ClsTopicId, nil
}

// query is a SearchLog.
type query struct {
	topic, text, context string
	from, to             int64 // ms since 1970
}

// found is an answer to it.
type found struct {
	Results []struct {
		Time    int64
		LogJSON string `json:"LogJson"`
	}
	ListOver bool
	Context  string
}

// searchAnswer is what the SDK reads an answer into.
type searchAnswer struct {
	*tchttp.BaseResponse
	Response *found
}

func (l *Log) search(ctx context.Context, q query) (*found, error) {
	in := tchttp.NewCommonRequest("cls", clsVersion, "SearchLog")
	in.SetDomain(l.domain)
	parameters := map[string]any{"TopicId": q.topic, "From": q.from, "To": q.to, "Query": q.text, "SyntaxRule": 1, "Sort": "asc", "Limit": pageLines}
	if q.context != "" {
		parameters["Context"] = q.context
	}
	if err := in.SetActionParameters(parameters); err != nil {
		return nil, errors.New("SearchLog was not sent: the SDK refuses its parameters")
	}
	out, err := ask(ctx, l.inspector, "SearchLog", in, func(ctx context.Context, in *tchttp.CommonRequest) (*searchAnswer, error) {
		in.SetContext(ctx)
		out := &searchAnswer{BaseResponse: &tchttp.BaseResponse{}}
		return out, l.inspector.client.Send(in, out)
	})
	if err != nil {
		return nil, logsRefusal(err)
	}
	if out.Response == nil {
		return nil, errors.New("the answer to SearchLog has no result, so it is not the Cloud Log Service's")
	}
	return out.Response, nil
}

// logsRefusal says what to do about an error of the log service.
func logsRefusal(err error) error {
	var e *readError
	if !errors.As(err, &e) || e.code == "" {
		return err
	}
	family, _, _ := strings.Cut(e.code, ".")
	_, _, said := classOf(e.code)
	said = "the Cloud Log Service answered SearchLog with " + said
	switch family {
	case "UnauthorizedOperation":
		return errors.New(said + ": the pool's key needs the permission cls:SearchLog on the function's log topic")
	case "AuthFailure":
		return errors.New(said + ": the pool's key is wrong or needs the permission cls:SearchLog, or this machine's clock is wrong")
	case "ResourceNotFound":
		return errors.New(said + ": the function's log topic was deleted; choose another in its configuration")
	case "RequestLimitExceeded", "LimitExceeded":
		return errors.New(said + ": others read a lot too, try again later")
	case "FailedOperation", "OperationDenied":
		return errors.New(said + ": has the log topic an index of SCF's fields, and is the account paid?")
	}
	return errors.New(said)
}

// figure is a field that is written as a number or as text.
type figure string

func (f *figure) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*f = figure(s)
		return nil
	}
	var n json.Number
	err := json.Unmarshal(b, &n)
	*f = figure(n)
	return err
}

var configured = regexp.MustCompile(`\bMemory:\s?([0-9]{1,6})\s?MB`)

// execution reads a report as SCF writes it to the log service: whole milliseconds,
// as they are billed. at is when it was written, in ms since 1970.
func execution(line string, at int64) (spillway.Usage, bool) {
	var r struct {
		ID       string `json:"SCF_RequestId"`
		Message  string `json:"SCF_Message"`
		Duration figure `json:"SCF_Duration"`
		Started  figure `json:"SCF_StartTime"`
		Memory   figure `json:"SCF_MemUsage"`
	}
	if len(line) > 64<<10 || json.Unmarshal([]byte(line), &r) != nil || r.ID == "" || clip(r.ID) == "" {
		return spillway.Usage{}, false
	}
	ms, err := strconv.ParseFloat(string(r.Duration), 64)
	if err != nil || !(ms >= 0 && ms <= maxFigure/1000) || at < 0 || at > lastMilli {
		return spillway.Usage{}, false
	}
	u := spillway.Usage{ProviderID: r.ID, DurationMicros: max(1, int64(math.Ceil(ms*1000))), BilledMillis: max(1, int64(math.Ceil(ms)))}
	u.Started = spillway.InstantOf(time.UnixMilli(at).Add(-time.Duration(u.DurationMicros) * time.Microsecond))
	if n, err := strconv.ParseInt(string(r.Started), 10, 64); err == nil && n > 0 && n <= at {
		u.Started = spillway.InstantOf(time.UnixMilli(n))
	}
	if bytes, err := strconv.ParseFloat(string(r.Memory), 64); err == nil && bytes > 0 && bytes <= maxFigure {
		u.MaxMemoryMiB = (int64(bytes) + 1<<20 - 1) >> 20
	}
	if m := configured.FindStringSubmatch(r.Message); m != nil {
		u.MemoryMiB, _ = strconv.ParseInt(m[1], 10, 64) // six digits
	}
	return u, true
}
