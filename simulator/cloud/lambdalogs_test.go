package cloud

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
)

func logsClient(t testing.TB, web *httptest.Server, secret string) *cloudwatchlogs.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return cloudwatchlogs.New(cloudwatchlogs.Options{
		Region: "us-east-1", Retryer: aws.NopRetryer{}, BaseEndpoint: aws.String(web.URL), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(testKey, secret, ""),
	})
}

// calls makes n calls of a function and an answer that is lost.
func calls(t *testing.T, s *Server, c *lambda.Client, name string, n int) {
	t.Helper()
	for range n {
		if _, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Inject(Fault{Kind: ResetAfter, Count: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name, Payload: []byte(`{}`)}); err == nil {
		t.Fatal("the answer was not lost")
	}
}

// TestLambdaLogs wants the log to tell what the bill does, also of a lost answer,
// page by page, and no more than was asked for.
func TestLambdaLogs(t *testing.T) {
	now := newClock()
	talks := func(_ context.Context, e Event) ([]byte, error) {
		fmt.Fprintln(e.Log, "hello\nREPORT by hand")
		return e.Payload, nil
	}
	s, web := serve(t, Config{Functions: []Function{handled("talks", talks), handled("idle", echo)}, Clock: now.Now})
	calls(t, s, client(t, web), "talks", 4)
	logs := logsClient(t, web, testSecret)
	in := &cloudwatchlogs.FilterLogEventsInput{
		LogGroupName: aws.String("/aws/lambda/talks"), FilterPattern: aws.String(`?"REPORT RequestId:" ?"platform.report"`),
		StartTime: aws.Int64(now.Now().UnixMilli() - 1000), EndTime: aws.Int64(now.Now().UnixMilli()), Limit: aws.Int32(2),
	}
	seen := map[string]string{}
	for pages := cloudwatchlogs.NewFilterLogEventsPaginator(logs, in); pages.HasMorePages(); {
		now.Advance(time.Second)
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Events) > 2 {
			t.Errorf("%d events, the limit is 2", len(page.Events))
		}
		for _, e := range page.Events {
			id, _, _ := strings.Cut(strings.TrimPrefix(*e.Message, "REPORT RequestId: "), "\t")
			seen[id] = *e.Message
			if !strings.Contains(*e.LogStreamName, "/[$LATEST]") {
				t.Errorf("stream %s", *e.LogStreamName)
			}
		}
	}
	bill := s.Bill()
	if len(seen) != 5 || len(bill.Lines) != 5 {
		t.Fatalf("%d of %d executions are in the log", len(seen), len(bill.Lines))
	}
	for _, l := range bill.Lines {
		if !strings.Contains(seen[l.RequestID], fmt.Sprintf("\tBilled Duration: %d ms\tMemory Size: %d MB\t", l.BilledMs, l.MiB)) {
			t.Errorf("%+v is logged as %q", l, seen[l.RequestID])
		}
	}
	in.StartTime, in.EndTime, in.Limit = in.EndTime, nil, nil
	*in.StartTime++
	now.Advance(time.Second)
	if later, err := logs.FilterLogEvents(t.Context(), in); err != nil || len(later.Events) != 0 {
		t.Errorf("%v: later there is %+v", err, later)
	}
	now.Advance(time.Second)
	all, err := logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: in.LogGroupName})
	if err != nil || len(all.Events) != 5*5 {
		t.Errorf("%v: %d events without a pattern, want START, two lines, END and REPORT of each", err, len(all.Events))
	}
	now.Advance(time.Second)
	mine, err := logs.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: in.LogGroupName, FilterPattern: aws.String(`hand "REPORT by"`)})
	if err != nil || len(mine.Events) != 5 {
		t.Errorf("%v: %d events with both terms", err, len(mine.Events))
	}
}

func TestLambdaLogsRefuse(t *testing.T) {
	now := newClock()
	s, web := serve(t, Config{Functions: []Function{handled("talks", echo), handled("idle", echo)}, Clock: now.Now})
	calls(t, s, client(t, web), "talks", 1)
	group := aws.String("/aws/lambda/talks")
	for name, c := range map[string]struct {
		in   cloudwatchlogs.FilterLogEventsInput
		code string
	}{
		"never executed": {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/idle")}, "ResourceNotFoundException"},
		"unknown":        {cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("talks")}, "ResourceNotFoundException"},
		"no group":       {cloudwatchlogs.FilterLogEventsInput{}, "InvalidParameterException"},
		"streams":        {cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, LogStreamNamePrefix: aws.String("2026")}, "InvalidParameterException"},
		"pattern":        {cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: aws.String(`{ $.a = 1 }`)}, "InvalidParameterException"},
		"mixed pattern":  {cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, FilterPattern: aws.String(`a ?b`)}, "InvalidParameterException"},
		"backwards":      {cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, StartTime: aws.Int64(2), EndTime: aws.Int64(1)}, "InvalidParameterException"},
		"limit":          {cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, Limit: aws.Int32(10_001)}, "InvalidParameterException"},
		"token":          {cloudwatchlogs.FilterLogEventsInput{LogGroupName: group, NextToken: aws.String("1-00")}, "InvalidParameterException"},
	} {
		now.Advance(time.Second)
		_, err := logsClient(t, web, testSecret).FilterLogEvents(t.Context(), &c.in)
		if got := smithyCode(err); got != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	_, err := logsClient(t, web, "another").FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group})
	if code := smithyCode(err); code != "InvalidSignatureException" {
		t.Errorf("a wrong secret: %v", err)
	}
	_, err = logsClient(t, web, testSecret).DescribeLogGroups(t.Context(), &cloudwatchlogs.DescribeLogGroupsInput{})
	if code := smithyCode(err); code != "UnknownOperationException" {
		t.Errorf("another operation: %v", err)
	}
	now.Advance(time.Second)
	codes := map[string]int{}
	for range logsRate + 1 {
		_, err := logsClient(t, web, testSecret).FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: group})
		codes[smithyCode(err)]++
	}
	if codes["ThrottlingException"] != 1 || codes[""] != logsRate {
		t.Errorf("%d in one second: %v", logsRate+1, codes)
	}
}

func smithyCode(err error) string {
	var e smithy.APIError
	if !errors.As(err, &e) {
		return ""
	}
	return e.ErrorCode()
}
