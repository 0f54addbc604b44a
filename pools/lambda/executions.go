package lambda

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/spillway-dev/spillway"
)

const (
	// reportPattern finds the platform's last line of an execution, in either format.
	reportPattern = `?"REPORT RequestId:" ?"platform.report"`
	// maxExecutions bounds what one read keeps in memory.
	maxExecutions = 1_000_000
	// lastMilli is the last ms since 1970 that times can hold, in the year 2248.
	lastMilli = 1 << 43
)

// Log reads from CloudWatch Logs what functions ran. It changes nothing and repeats
// nothing. It is safe for concurrent use while its Pool is open.
type Log struct {
	inspector *Inspector
	logs      *cloudwatchlogs.Client
	pace      func(context.Context) error

	mu     sync.Mutex
	groups map[string]string // log group by function
}

// Log returns one for the account and region of p, which the pool was made for. It
// calls pace before each request, and gives up with its error. A pool whose
// endpoint is not Amazon's is asked for logs at the same address.
func (p *Pool) Log(of *spillway.Pool, pace func(context.Context) error) *Log {
	o := p.client.Options()
	logs := cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: o.Region, Credentials: o.Credentials, HTTPClient: o.HTTPClient, Retryer: aws.NopRetryer{}, Logger: o.Logger,
		BaseEndpoint: logsEndpoint(of.Lambda.Endpoint),
	})
	return &Log{inspector: p.Inspector(pace), logs: logs, pace: pace, groups: map[string]string{}}
}

// logsEndpoint is nil for Amazon's own in the region, which no environment variable
// moves.
func logsEndpoint(endpoint string) *string {
	u, err := url.Parse(endpoint)
	if endpoint == "" || err != nil || strings.HasSuffix(u.Hostname(), ".amazonaws.com") || strings.HasSuffix(u.Hostname(), ".amazonaws.com.cn") {
		return nil
	}
	return aws.String(endpoint)
}

// Executions returns what ran of a function, whose name may be an ARN, and ended
// from a time to another, both included, in the order of the log. Records may
// repeat: a function that writes reports of its own is believed as well.
func (l *Log) Executions(ctx context.Context, name string, from, to time.Time) ([]spillway.Usage, error) {
	group, err := l.group(ctx, name)
	if err != nil {
		return nil, err
	}
	in := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String(group), FilterPattern: aws.String(reportPattern),
		StartTime: aws.Int64(from.UnixMilli()), EndTime: aws.Int64(to.UnixMilli()),
	}
	var all []spillway.Usage
	for {
		out, err := l.page(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, e := range out.Events {
			if e.Message == nil || e.Timestamp == nil || !ofFunction(aws.ToString(e.LogStreamName), BareName(name)) {
				continue
			}
			if u, ok := execution(*e.Message, time.UnixMilli(*e.Timestamp)); ok {
				all = append(all, u)
			}
		}
		next := aws.ToString(out.NextToken)
		switch {
		case next == "":
			return all, nil
		case next == aws.ToString(in.NextToken):
			return nil, errors.New("the pages of FilterLogEvents go round in a circle, so they are not CloudWatch's")
		case len(all) > maxExecutions:
			return nil, fmt.Errorf("the log group %s has more than %d executions from %s to %s: take a shorter time", group, maxExecutions, from.Format(time.RFC3339), to.Format(time.RFC3339))
		}
		in.NextToken = aws.String(next)
	}
}

var (
	groupForm  = regexp.MustCompile(`^[.\-_/#A-Za-z0-9]{1,512}$`)
	streamForm = regexp.MustCompile(`^\d{4}/\d{2}/\d{2}/([A-Za-z0-9_-]*)\[`)
)

// group is the log group that a function writes to; Lambda's own unless it was
// configured to another.
func (l *Log) group(ctx context.Context, name string) (string, error) {
	l.mu.Lock()
	group := l.groups[name]
	l.mu.Unlock()
	if group != "" {
		return group, nil
	}
	in := &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(name)}
	out, err := ask(ctx, l.inspector, "GetFunctionConfiguration", in, l.inspector.client.GetFunctionConfiguration)
	if absent(err) {
		return "", fmt.Errorf("there is no function %s any more, so its log group is not known", BareName(name))
	}
	if err != nil {
		return "", err
	}
	group = "/aws/lambda/" + BareName(name)
	if c := out.LoggingConfig; c != nil && groupForm.MatchString(aws.ToString(c.LogGroup)) {
		group = *c.LogGroup
	}
	l.mu.Lock()
	l.groups[name] = group
	l.mu.Unlock()
	return group, nil
}

// BareName takes the name of a function out of an ARN or partial ARN.
func BareName(name string) string {
	_, after, found := strings.Cut(name, "function:")
	if found {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return name
}

// ofFunction reports whether a stream may be of a function: in a log group that
// several share, streams name theirs.
func ofFunction(stream, function string) bool {
	m := streamForm.FindStringSubmatch(stream)
	return m == nil || m[1] == "" || m[1] == function
}

func (l *Log) page(ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	if err := l.pace(ctx); err != nil {
		return nil, fmt.Errorf("FilterLogEvents was not sent: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	ctx, sent := watch(ctx)
	out, err := l.logs.FilterLogEvents(ctx, in)
	if err == nil {
		return out, nil
	}
	return nil, logsRefusal(ctx, *in.LogGroupName, err, sent.Load())
}

// logsRefusal says what came of FilterLogEvents and what to do. Texts of the SDK's
// are not repeated: those may quote a request.
func logsRefusal(ctx context.Context, group string, err error, sent bool) error {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.HTTPStatusCode() == 0 || response.HTTPStatusCode() == http.StatusOK {
		switch {
		case !sent && ctx.Err() == nil:
			return errors.New("no connection to CloudWatch Logs: is the pool's endpoint right, and the network up?")
		case ctx.Err() != nil:
			return errors.New("CloudWatch Logs did not answer FilterLogEvents in time: try again")
		}
		return errors.New("the answer to FilterLogEvents could not be read")
	}
	said := "CloudWatch Logs answered FilterLogEvents with " + strconv.Itoa(response.HTTPStatusCode())
	switch code := codeOf(err); code {
	case "ResourceNotFoundException":
		return fmt.Errorf("there is no log group %s: nothing of the function was ever logged, or the log was deleted; its role needs logs:CreateLogGroup, logs:CreateLogStream and logs:PutLogEvents", group)
	case "AccessDeniedException":
		return fmt.Errorf("%s %s: the pool's credentials need the permission logs:FilterLogEvents on the log group %s", said, code, group)
	case "ThrottlingException", "LimitExceededException":
		return fmt.Errorf("%s %s: others read a lot too, try again later", said, code)
	case "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "IncompleteSignatureException", "MissingAuthenticationTokenException":
		return fmt.Errorf("%s %s: the pool's credentials are wrong or have expired, or this machine's clock is wrong", said, code)
	case "ServiceUnavailableException", "InvalidParameterException", "OperationAbortedException", "UnknownOperationException":
		return fmt.Errorf("%s %s", said, code)
	}
	return errors.New(said)
}

// execution reads a log event that is a report, which was written at a time.
func execution(message string, at time.Time) (spillway.Usage, bool) {
	id := clip(reportID(message))
	if id == "" || at.UnixMilli() < 0 || at.UnixMilli() > lastMilli {
		return spillway.Usage{}, false
	}
	r, ok := parseReport([]byte(message), reportID(message))
	if !ok {
		return spillway.Usage{}, false
	}
	return spillway.Usage{
		Started:        spillway.InstantOf(at.Add(-time.Duration(r.durationMicros) * time.Microsecond)),
		DurationMicros: max(1, r.durationMicros), BilledMillis: r.billedMillis, InitMicros: r.initMicros,
		MemoryMiB: r.memoryMiB, MaxMemoryMiB: r.maxMemoryMiB, ProviderID: id,
	}, true
}

var (
	textID = regexp.MustCompile(`^REPORT RequestId: ([0-9a-fA-F-]{1,64})\t`)
	jsonID = regexp.MustCompile(`"requestId"\s*:\s*"([0-9a-fA-F-]{1,64})"`)
)

// reportID is the request that a report names; empty if it is none.
func reportID(message string) string {
	if m := textID.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	if m := jsonID.FindStringSubmatch(message); m != nil && strings.HasPrefix(message, "{") {
		return m[1]
	}
	return ""
}
