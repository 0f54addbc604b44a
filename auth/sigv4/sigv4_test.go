package sigv4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/spillway-dev/spillway/auth"
)

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var testNow = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

func lookup(id string) (string, bool) {
	if id == testKey {
		return testSecret, true
	}
	return "", false
}

func authorizationOf(scope, headers, signature string) string {
	return "AWS4-HMAC-SHA256 Credential=" + testKey + "/" + scope + "/aws4_request, SignedHeaders=" + headers + ", Signature=" + signature
}

// TestKnownAnswers uses signatures that AWS publishes in its test suite
// (get-vanilla, post-vanilla, get-vanilla-query-order-key-case).
func TestKnownAnswers(t *testing.T) {
	tests := []struct{ name, method, target, signature string }{
		{"get", "GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post", "POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"query", "GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	}
	v := New("us-east-1", "service")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.target, nil)
			r.Host = "example.amazonaws.com"
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			r.Header.Set("Authorization", authorizationOf("20150830/us-east-1/service", "host;x-amz-date", test.signature))
			id, err := v.Verify(r, nil, testNow, lookup)
			if err != nil || id != testKey {
				t.Fatalf("got %q, %v", id, err)
			}
		})
	}
}

// signed returns a signed POST as a server would receive it.
func signed(t testing.TB, body string, change func(*http.Request)) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations?Qualifier=%24LATEST&x=a%20b", strings.NewReader(body))
	r.Header.Set("X-Amz-Client-Context", "e30=")
	r.Header.Set("User-Agent", "test")
	if change != nil {
		change(r)
	}
	sign(t, r, body, "us-east-1", "lambda", testNow)
	return r
}

func sign(t testing.TB, r *http.Request, body, region, service string, at time.Time) {
	t.Helper()
	sum := sha256.Sum256([]byte(body))
	id := aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret}
	if err := v4.NewSigner().SignHTTP(context.Background(), id, r, hex.EncodeToString(sum[:]), service, region, at); err != nil {
		t.Fatal(err)
	}
}

func TestVerify(t *testing.T) {
	const body = `{"n":1}`
	tests := []struct {
		name  string
		after func(r *http.Request) // what happens to the request on its way
		now   time.Time
		body  string
		want  string // error type; empty if it verifies
		says  string
	}{
		{name: "untouched"},
		{name: "unsigned header added", after: func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.1.1.1") }},
		{name: "user agent changed", after: func(r *http.Request) { r.Header.Set("User-Agent", "other") }},
		{name: "5 minutes late", now: testNow.Add(MaxSkew)},
		{name: "5 minutes early", now: testNow.Add(-MaxSkew)},
		{name: "expired", now: testNow.Add(MaxSkew + time.Second), want: auth.TypeInvalidSignature, says: "Signature expired"},
		{name: "early", now: testNow.Add(-MaxSkew - time.Second), want: auth.TypeInvalidSignature, says: "not yet current"},
		{name: "body", body: `{"n":2}`, want: auth.TypeInvalidSignature},
		{name: "query", after: func(r *http.Request) { r.RequestURI = strings.Replace(r.RequestURI, "LATEST", "OTHER", 1) }, want: auth.TypeInvalidSignature},
		{name: "query pair that does not parse", after: func(r *http.Request) { r.RequestURI += "&a;b=1" }, want: auth.TypeIncompleteSignature},
		{name: "path", after: func(r *http.Request) { r.RequestURI = "/2015-03-31/functions/other/invocations" }, want: auth.TypeInvalidSignature},
		{name: "rewritten URL", after: func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/invocations", "" }},
		{name: "method", after: func(r *http.Request) { r.Method = "PUT" }, want: auth.TypeInvalidSignature},
		{name: "host", after: func(r *http.Request) { r.Host = "evil.example" }, want: auth.TypeInvalidSignature},
		{name: "signed header", after: func(r *http.Request) { r.Header.Set("X-Amz-Client-Context", "e30") }, want: auth.TypeInvalidSignature},
		{name: "signed header gone", after: func(r *http.Request) { r.Header.Del("X-Amz-Client-Context") }, want: auth.TypeInvalidSignature},
		{name: "unsigned x-amz header", after: func(r *http.Request) { r.Header.Set("X-Amz-Log-Type", "Tail") }, want: auth.TypeIncompleteSignature, says: "X-Amz-Log-Type"},
		{name: "second date", after: func(r *http.Request) { r.Header.Add("X-Amz-Date", "20150830T123600Z") }, want: auth.TypeIncompleteSignature},
		{name: "no date", after: func(r *http.Request) { r.Header.Del("X-Amz-Date") }, want: auth.TypeIncompleteSignature},
		{name: "presigned", after: func(r *http.Request) { r.RequestURI += "&X-Amz-Signature=00" }, want: auth.TypeIncompleteSignature, says: "presigned"},
		{name: "no authorization", after: func(r *http.Request) { r.Header.Del("Authorization") }, want: auth.TypeMissingToken},
		{name: "two authorizations", after: func(r *http.Request) { r.Header.Add("Authorization", "x") }, want: auth.TypeIncompleteSignature},
		{name: "unknown key", after: func(r *http.Request) { replace(r, testKey, "AKIDOTHER") }, want: auth.TypeUnrecognizedClient},
		{name: "date of the scope", after: func(r *http.Request) { replace(r, "20150830", "20150829") }, want: auth.TypeInvalidSignature},
		{name: "host not signed", after: func(r *http.Request) { replace(r, "host;", "") }, want: auth.TypeIncompleteSignature},
		{name: "length", after: func(r *http.Request) { r.ContentLength++ }, want: auth.TypeInvalidSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := signed(t, body, nil)
			if test.after != nil {
				test.after(r)
			}
			sent, now := test.body, test.now
			if sent == "" {
				sent = body
			}
			if now.IsZero() {
				now = testNow
			}
			id, err := New("us-east-1", "lambda").Verify(r, []byte(sent), now, lookup)
			if test.want == "" {
				if err != nil || id != testKey {
					t.Fatalf("got %q, %v", id, err)
				}
				return
			}
			refused(t, err, test.want, test.says)
		})
	}
}

func replace(r *http.Request, from, to string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
}

func refused(t *testing.T, err error, want, says string) {
	t.Helper()
	var e *auth.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *auth.Error", err)
	}
	if e.Type != want || e.Status != 403 || !strings.Contains(e.Message, says) {
		t.Errorf("got %d %v, want %s saying %q", e.Status, e, want, says)
	}
	if strings.Contains(e.Error(), testSecret) {
		t.Error("the error has the secret in it")
	}
}

func TestScopeAndPayload(t *testing.T) {
	tests := []struct {
		name, region, service, declared, want string
	}{
		{"region", "eu-west-1", "lambda", "", auth.TypeInvalidSignature},
		{"service", "us-east-1", "s3", "", auth.TypeInvalidSignature},
		{"unsigned payload", "us-east-1", "lambda", "UNSIGNED-PAYLOAD", auth.TypeIncompleteSignature},
		{"streaming payload", "us-east-1", "lambda", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", auth.TypeIncompleteSignature},
		{"other payload", "us-east-1", "lambda", strings.Repeat("0", 64), auth.TypeInvalidSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
			if test.declared != "" {
				r.Header.Set("X-Amz-Content-Sha256", test.declared)
			}
			sign(t, r, "x", test.region, test.service, testNow)
			_, err := New("us-east-1", "lambda").Verify(r, []byte("x"), testNow, lookup)
			refused(t, err, test.want, "")
		})
	}
}

func TestAnyRegion(t *testing.T) {
	v := New("", "lambda")
	for _, region := range []string{"eu-west-1", "us-east-1", "eu-west-1"} {
		r := httptest.NewRequest("POST", "/", nil)
		sign(t, r, "", region, "lambda", testNow)
		if _, err := v.Verify(r, nil, testNow, lookup); err != nil {
			t.Errorf("%s: %v", region, err)
		}
	}
}

func TestSessionTokenIsRefused(t *testing.T) {
	r := signed(t, "", func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "session") })
	_, err := New("us-east-1", "lambda").Verify(r, nil, testNow, lookup)
	refused(t, err, auth.TypeUnrecognizedClient, "")
}

// A derived key must not outlive its secret or its day.
func TestRotation(t *testing.T) {
	v := New("us-east-1", "lambda")
	r := signed(t, "", nil)
	if _, err := v.Verify(r, nil, testNow, lookup); err != nil {
		t.Fatal(err)
	}
	rotated := func(string) (string, bool) { return "another secret altogether", true }
	_, err := v.Verify(r, nil, testNow, rotated)
	refused(t, err, auth.TypeInvalidSignature, "")

	tomorrow := testNow.Add(24 * time.Hour)
	next := httptest.NewRequest("POST", "/", nil)
	sign(t, next, "", "us-east-1", "lambda", tomorrow)
	if _, err := v.Verify(next, nil, tomorrow, lookup); err != nil {
		t.Error(err)
	}
}

func TestRequestIsNotModified(t *testing.T) {
	r := signed(t, "x", nil)
	before, uri := r.Header.Clone(), r.URL.String()
	if _, err := New("us-east-1", "lambda").Verify(r, []byte("x"), testNow, lookup); err != nil {
		t.Fatal(err)
	}
	for name := range before {
		if before.Get(name) != r.Header.Get(name) {
			t.Errorf("header %s changed", name)
		}
	}
	if r.URL.String() != uri || len(before) != len(r.Header) {
		t.Error("the request changed")
	}
}

// TestLambdaClient verifies what the real client sends over a real connection.
func TestLambdaClient(t *testing.T) {
	v := New("us-west-2", "lambda")
	var id string
	var failure error
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, failure = v.Verify(r, body, time.Now(), lookup)
		w.Write([]byte("{}"))
	}))
	defer server.Close()
	client := lambda.New(lambda.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(server.URL), Retryer: aws.NopRetryer{}, HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, ""),
	})
	for _, in := range []*lambda.InvokeInput{
		{FunctionName: aws.String("f")},
		{FunctionName: aws.String("arn:aws:lambda:us-west-2:123456789012:function:f:live"), Payload: []byte(`{"a":"é"}`)},
		{FunctionName: aws.String("f"), Qualifier: aws.String("$LATEST"), ClientContext: aws.String("e30="), LogType: "Tail", Payload: bytes.Repeat([]byte("1"), 1<<16)},
	} {
		id, failure = "", nil
		if _, err := client.Invoke(context.Background(), in); err != nil {
			t.Fatal(err)
		}
		if failure != nil || id != testKey {
			t.Errorf("%s: got %q, %v", *in.FunctionName, id, failure)
		}
	}
}

// Botocore signs host, x-amz-date and the content type, but not the length.
func TestBotocoreShape(t *testing.T) {
	r := httptest.NewRequest("POST", "/2015-03-31/functions/f/invocations", strings.NewReader("{}"))
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	c := r.Clone(context.Background())
	c.ContentLength = 0
	sign(t, c, "{}", "us-east-1", "lambda", testNow)
	r.Header.Set("Authorization", c.Header.Get("Authorization"))
	if strings.Contains(r.Header.Get("Authorization"), "content-length") {
		t.Fatal("the test signs the length")
	}
	r.Header.Set("Amz-Sdk-Invocation-Id", "1")
	if _, err := New("us-east-1", "lambda").Verify(r, []byte("{}"), testNow, lookup); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(authorizationOf("20150830/us-east-1/service", "host;x-amz-date", strings.Repeat("a", 64)))
	f.Add("AWS4-HMAC-SHA256 Credential=/////,SignedHeaders=;;,Signature=")
	f.Add("AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request,Credential=b")
	f.Add("AWS4-HMAC-SHA256 ")
	f.Fuzz(func(t *testing.T, value string) {
		a, err := parse(value)
		if err != nil {
			return
		}
		if !a.signs("Host") || !a.signs("X-Amz-Date") || len(a.Signature) != 64 || a.AccessKeyID == "" {
			t.Errorf("accepted %+v", a)
		}
		again := "AWS4-HMAC-SHA256 Credential=" + a.AccessKeyID + "/" + a.Date + "/" + a.Region + "/" + a.Service +
			"/aws4_request, SignedHeaders=" + strings.Join(a.SignedHeaders, ";") + ", Signature=" + a.Signature
		if len(again) > maxAuthorization {
			return
		}
		if b, err := parse(again); err != nil || b.AccessKeyID != a.AccessKeyID || b.Signature != a.Signature {
			t.Errorf("not stable: %v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	r := signed(b, `{"n":1}`, nil)
	v := New("us-east-1", "lambda")
	body := []byte(`{"n":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(r, body, testNow, lookup); err != nil {
			b.Fatal(err)
		}
	}
}
