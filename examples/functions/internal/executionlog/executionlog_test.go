package executionlog

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

func TestBeginAndEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	t.Setenv("EXECUTION_LOG", path)
	lc := &lambdacontext.LambdaContext{AwsRequestID: "request"}
	lc.ClientContext.Custom = map[string]string{InvocationKey: "call", AttemptKey: "2"}
	end, err := Begin(lambdacontext.NewContext(context.Background(), lc))
	if err != nil {
		t.Fatal(err)
	}
	end()
	end() // once is enough
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []Line
	for l := range strings.Lines(string(text)) {
		var line Line
		if err := json.Unmarshal([]byte(l), &line); err != nil {
			t.Fatalf("%q: %v", l, err)
		}
		lines = append(lines, line)
	}
	if len(lines) != 2 || lines[0].Event != Start || lines[1].Event != End || lines[1].At < lines[0].At {
		t.Fatalf("lines %+v, want a start and one end", lines)
	}
	for _, l := range lines {
		if l.Invocation != "call" || l.Attempt != 2 {
			t.Errorf("line of %s, attempt %d; want call, attempt 2", l.Invocation, l.Attempt)
		}
	}
}

func TestRequestsAreNamedByTheirCaller(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	t.Setenv("EXECUTION_LOG", path)
	end, err := BeginRequest("web-7")
	if err != nil {
		t.Fatal(err)
	}
	end()
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), `"invocation":"web-7","attempt":1`) != 2 {
		t.Errorf("%v; recorded\n%s\nwant a start and an end of web-7", err, text)
	}
}

func TestNothingIsRecordedWithoutALog(t *testing.T) {
	t.Setenv("EXECUTION_LOG", "")
	end, err := Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	end()
}

func TestRequestIDStandsForTheInvocation(t *testing.T) {
	lc := &lambdacontext.LambdaContext{AwsRequestID: "request"}
	if got := lineOf(lambdacontext.NewContext(context.Background(), lc)); got.Invocation != "request" || got.Attempt != 1 {
		t.Errorf("got %+v, want request, attempt 1", got)
	}
}
