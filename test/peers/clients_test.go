package peers

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awskeys "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// call is an Invoke as any client can make it.
type call struct {
	function, qualifier string
	kind                string // InvocationType; RequestResponse if empty
	tail                bool
	context             string // JSON
	payload             string
	keyID, secret       string // those of the tester if empty
	repeat              bool   // the client may repeat it as it sees fit
}

// reply is what a client made of the answer.
type reply struct {
	status        int // 200, 202, 204; an error's own if the client tells it, else 0
	payload       string
	functionError string
	version       string
	log           string
	refused       string // code of an error
}

// A client sends a call to an endpoint.
type client func(t *testing.T, endpoint string, c call) reply

func (c call) keys() (id, secretKey string) {
	id, secretKey = keyID, secret
	if c.keyID != "" {
		id = c.keyID
	}
	if c.secret != "" {
		secretKey = c.secret
	}
	return id, secretKey
}

// sdk is aws-sdk-go-v2.
func sdk(t *testing.T, endpoint string, c call) reply {
	t.Helper()
	id, secretKey := c.keys()
	transport := awshttp.NewBuildableClient().GetTransport()
	defer transport.CloseIdleConnections()
	options := lambda.Options{Region: region, BaseEndpoint: &endpoint,
		HTTPClient:  &http.Client{Transport: transport},
		Credentials: awskeys.NewStaticCredentialsProvider(id, secretKey, "")}
	if !c.repeat {
		options.Retryer = aws.NopRetryer{}
	}
	in := &lambda.InvokeInput{FunctionName: &c.function, Payload: []byte(c.payload), InvocationType: types.InvocationType(c.kind)}
	if c.qualifier != "" {
		in.Qualifier = &c.qualifier
	}
	if c.tail {
		in.LogType = types.LogTypeTail
	}
	if c.context != "" {
		in.ClientContext = aws.String(base64.StdEncoding.EncodeToString([]byte(c.context)))
	}
	out, err := lambda.New(options).Invoke(t.Context(), in)
	if err != nil {
		return sdkError(t, err)
	}
	return reply{status: int(out.StatusCode), payload: string(out.Payload), functionError: aws.ToString(out.FunctionError),
		version: aws.ToString(out.ExecutedVersion), log: decoded(t, aws.ToString(out.LogResult))}
}

func sdkError(t *testing.T, err error) reply {
	t.Helper()
	var api smithy.APIError
	var response *awshttp.ResponseError
	if !errors.As(err, &api) || !errors.As(err, &response) {
		t.Fatalf("not an error of the API: %v", err)
	}
	if response.ServiceRequestID() == "" {
		t.Errorf("%v has no request id", err)
	}
	return reply{status: response.HTTPStatusCode(), refused: api.ErrorCode()}
}

var (
	cliError = regexp.MustCompile(`An error occurred \(([A-Za-z.]+)\) when calling the Invoke operation`)
	cliOrder = []string{"/usr/bin/aws", "aws"} // Debian's before any other
)

// awscli is the command aws of Debian's package awscli.
func awscli(t *testing.T, endpoint string, c call) reply {
	t.Helper()
	dir := t.TempDir()
	event, answer := filepath.Join(dir, "event"), filepath.Join(dir, "answer")
	must(t, os.WriteFile(event, []byte(c.payload), 0o600))
	args := []string{"lambda", "invoke", "--endpoint-url", endpoint, "--function-name", c.function, "--payload", "fileb://" + event}
	for _, option := range [][2]string{{"--qualifier", c.qualifier}, {"--invocation-type", c.kind}} {
		if option[1] != "" {
			args = append(args, option[0], option[1])
		}
	}
	if c.tail {
		args = append(args, "--log-type", "Tail")
	}
	if c.context != "" {
		args = append(args, "--client-context", base64.StdEncoding.EncodeToString([]byte(c.context)))
	}
	id, secretKey := c.keys()
	cmd := exec.CommandContext(t.Context(), debianAWS(t), append(args, answer)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "LANG=C.UTF-8", "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_DEFAULT_REGION=" + region, "AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secretKey}
	if !c.repeat {
		cmd.Env = append(cmd.Env, "AWS_MAX_ATTEMPTS=1")
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return cliRefusal(t, err, stderr.String())
	}
	return cliReply(t, out, answer)
}

// debianAWS returns the path of the command.
func debianAWS(t *testing.T) string {
	t.Helper()
	for _, name := range cliOrder {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	absent(t, "aws (Debian's package awscli)")
	return ""
}

// cliRefusal reads an error of the service, for which aws exits with 254.
func cliRefusal(t *testing.T, err error, stderr string) reply {
	t.Helper()
	var exit *exec.ExitError
	found := cliError.FindStringSubmatch(stderr)
	if !errors.As(err, &exit) || exit.ExitCode() != 254 || found == nil {
		t.Fatalf("aws: %v\n%s", err, stderr)
	}
	return reply{refused: found[1]}
}

func cliReply(t *testing.T, out []byte, answer string) reply {
	t.Helper()
	var said struct {
		StatusCode                                int
		FunctionError, LogResult, ExecutedVersion string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		t.Fatalf("aws wrote %q: %v", out, err)
	}
	payload, err := os.ReadFile(answer)
	must(t, err)
	return reply{status: said.StatusCode, payload: string(payload), functionError: said.FunctionError,
		version: said.ExecutedVersion, log: decoded(t, said.LogResult)}
}

func decoded(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	must(t, err)
	return string(b)
}
