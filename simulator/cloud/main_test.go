package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	runtime "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"go.uber.org/goleak"
)

// asFunction makes the test binary the Lambda function under test.
const asFunction = "CLOUD_TEST_FUNCTION=1"

func TestMain(m *testing.M) {
	if os.Getenv("CLOUD_TEST_FUNCTION") != "" {
		runtime.Start(deployed)
		return
	}
	if start := os.Getenv("CLOUD_TEST_BOOTSTRAP"); start != "" {
		customBootstrap(start)
		return
	}
	goleak.VerifyTestMain(m)
}

// deployed is the function that runs behind the Runtime API.
func deployed(ctx context.Context, in struct{ Do string }) (any, error) {
	switch in.Do {
	case "fail":
		return nil, errors.New("no luck")
	case "exit":
		os.Exit(3)
	case "sleep":
		time.Sleep(time.Hour)
	}
	lc, _ := lambdacontext.FromContext(ctx)
	fmt.Println("did", in.Do)
	return map[string]any{"id": lc.AwsRequestID, "custom": lc.ClientContext.Custom, "pid": os.Getpid(), "version": lambdacontext.FunctionVersion}, nil
}

const (
	testKey    = "AKIDCLOUDTEST"
	testSecret = "cloud-test-secret-0123456789"
)

// clock is a time that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func echo(_ context.Context, e Event) ([]byte, error) {
	if e.ClientContext != "" && json.Valid([]byte(e.ClientContext)) {
		fmt.Fprintln(e.Log, "context", e.ClientContext)
	}
	return e.Payload, nil
}

// serve starts a Server with test keys behind a real listener.
func serve(t testing.TB, c Config) (*Server, *httptest.Server) {
	t.Helper()
	if c.Keys == nil {
		c.Keys = map[string]string{testKey: testSecret}
	}
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s)
	t.Cleanup(func() {
		web.CloseClientConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		web.Close()
	})
	return s, web
}

func client(t testing.TB, web *httptest.Server, change ...func(*lambda.Options)) *lambda.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	options := lambda.Options{
		Region: "us-east-1", Retryer: aws.NopRetryer{},
		HTTPClient:  &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, ""),
	}
	if web != nil {
		options.BaseEndpoint = aws.String(web.URL)
	}
	for _, f := range change {
		f(&options)
	}
	return lambda.New(options)
}

func handled(name string, h Handler) Function { return Function{Name: name, Handle: h} }
