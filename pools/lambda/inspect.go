package lambda

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/spillway-dev/spillway/clouddrift"
)

// readWithin bounds each request of an Inspector.
const readWithin = 10 * time.Second

// Inspector reads how functions and the account are configured. It runs and
// changes nothing, repeats nothing, and never asks for code or hands on a
// function's environment. It is safe for concurrent use while its Pool is open.
type Inspector struct {
	client *lambda.Client
	pace   func(context.Context) error
}

// Inspector returns one for the pool's account and region. It calls pace before
// each request, and gives up with its error.
func (p *Pool) Inspector(pace func(context.Context) error) *Inspector {
	return &Inspector{p.client, pace}
}

var (
	numberForm  = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)
	versionForm = regexp.MustCompile(`^(\$LATEST|[1-9][0-9]{0,9})$`)
)

// Function tells what name, a function's name or ARN, is under qualifier.
func (i *Inspector) Function(ctx context.Context, name, qualifier string) (clouddrift.Found, error) {
	found, err := i.configuration(ctx, name, qualifier)
	if absent(err) {
		return i.absence(ctx, name, qualifier)
	}
	if err != nil {
		return clouddrift.Found{}, err
	}
	if qualifier != "" && qualifier != "$LATEST" && !numberForm.MatchString(qualifier) {
		if found.Split, err = i.split(ctx, name, qualifier); err != nil {
			return clouddrift.Found{}, err
		}
	}
	found.Reserved, err = i.reserved(ctx, name)
	return found, err
}

// absence tells whether a whole function is missing, or only what qualifier names.
func (i *Inspector) absence(ctx context.Context, name, qualifier string) (clouddrift.Found, error) {
	if qualifier != "" && qualifier != "$LATEST" {
		_, err := i.configuration(ctx, name, "")
		if err == nil {
			return clouddrift.Found{Missing: clouddrift.MissingQualifier}, nil
		}
		if !absent(err) {
			return clouddrift.Found{}, err
		}
	}
	return clouddrift.Found{Missing: clouddrift.MissingFunction}, nil
}

func (i *Inspector) configuration(ctx context.Context, name, qualifier string) (clouddrift.Found, error) {
	in := &lambda.GetFunctionConfigurationInput{FunctionName: aws.String(name)}
	if qualifier != "" {
		in.Qualifier = aws.String(qualifier)
	}
	out, err := ask(ctx, i, "GetFunctionConfiguration", in, i.client.GetFunctionConfiguration)
	if err != nil {
		return clouddrift.Found{}, err
	}
	return described(out)
}

// described reads a configuration. Only forms that Lambda documents are handed on:
// an endpoint could put there what it was sent.
func described(out *lambda.GetFunctionConfigurationOutput) (clouddrift.Found, error) {
	if out.MemorySize == nil || out.Timeout == nil || *out.MemorySize <= 0 || *out.Timeout <= 0 {
		return clouddrift.Found{}, errors.New("the answer to GetFunctionConfiguration has no memory or timeout, so it is not Lambda's")
	}
	found := clouddrift.Found{MiB: int64(*out.MemorySize), Timeout: time.Duration(*out.Timeout) * time.Second}
	if v := aws.ToString(out.Version); versionForm.MatchString(v) {
		found.Version = v
	}
	found.Digest, found.NoDigest = digest(out)
	if len(out.Architectures) == 1 && slices.Contains(types.Architecture("").Values(), out.Architectures[0]) {
		found.Architecture = string(out.Architectures[0])
	}
	switch {
	case out.State == types.StateActive || out.State == "":
	case slices.Contains(out.State.Values(), out.State):
		found.State = string(out.State)
	default:
		found.State = "a state that is not documented"
	}
	return found, nil
}

// digest returns the digest of the code as Spillway writes it, or why there is none.
func digest(out *lambda.GetFunctionConfigurationOutput) (sum, why string) {
	if out.PackageType == types.PackageTypeImage {
		return "", "its code in the cloud is a container image"
	}
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(out.CodeSha256))
	if err != nil || len(raw) != sha256.Size {
		return "", "the cloud told no digest of the code"
	}
	return "sha256:" + hex.EncodeToString(raw), ""
}

// split reports whether an alias sends a part of its calls to a second version.
func (i *Inspector) split(ctx context.Context, name, alias string) (bool, error) {
	in := &lambda.GetAliasInput{FunctionName: aws.String(name), Name: aws.String(alias)}
	out, err := ask(ctx, i, "GetAlias", in, i.client.GetAlias)
	if err != nil {
		return false, err
	}
	return out.RoutingConfig != nil && len(out.RoutingConfig.AdditionalVersionWeights) > 0, nil
}

func (i *Inspector) reserved(ctx context.Context, name string) (*int64, error) {
	in := &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String(name)}
	out, err := ask(ctx, i, "GetFunctionConcurrency", in, i.client.GetFunctionConcurrency)
	if err != nil || out.ReservedConcurrentExecutions == nil {
		return nil, err
	}
	n := int64(*out.ReservedConcurrentExecutions)
	return &n, nil
}

// Account tells the account's concurrency in the region.
func (i *Inspector) Account(ctx context.Context) (clouddrift.Account, error) {
	out, err := ask(ctx, i, "GetAccountSettings", &lambda.GetAccountSettingsInput{}, i.client.GetAccountSettings)
	if err != nil {
		return clouddrift.Account{}, err
	}
	if out.AccountLimit == nil || out.AccountLimit.ConcurrentExecutions <= 0 {
		return clouddrift.Account{}, errors.New("the answer to GetAccountSettings has no concurrency, so it is not Lambda's")
	}
	account := clouddrift.Account{Concurrency: int64(out.AccountLimit.ConcurrentExecutions)}
	if n := out.AccountLimit.UnreservedConcurrentExecutions; n != nil {
		account.Unreserved = int64(*n)
	}
	return account, nil
}

// ask sends one request of operation, in its turn and time.
func ask[In, Out any](ctx context.Context, i *Inspector, operation string, in In, send func(context.Context, In, ...func(*lambda.Options)) (*Out, error)) (*Out, error) {
	if err := i.pace(ctx); err != nil {
		return nil, fmt.Errorf("%s was not sent: %w", operation, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	ctx, sent := watch(ctx)
	out, err := send(ctx, in)
	if err != nil {
		return nil, refusal(ctx, operation, err, sent.Load())
	}
	return out, nil
}

// readError is an answer other than 200, or none.
type readError struct {
	code  string // Lambda's own; empty if it is none of the documented
	text  string
	cause error // clouddrift.ErrNoAnswer, or nil
}

func (e *readError) Error() string { return e.text }
func (e *readError) Unwrap() error { return e.cause }

func absent(err error) bool {
	var e *readError
	return errors.As(err, &e) && e.code == "ResourceNotFoundException"
}

// refusal says what came of operation. Texts of the SDK's are not repeated: those
// may quote a request.
func refusal(ctx context.Context, operation string, err error, sent bool) error {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.HTTPStatusCode() == 0 || response.HTTPStatusCode() == http.StatusOK {
		switch {
		case !sent && ctx.Err() == nil:
			return &readError{text: "no connection to Lambda for " + operation + ": is the pool's endpoint right, and the network up?", cause: clouddrift.ErrNoAnswer}
		case ctx.Err() != nil:
			return &readError{text: "Lambda did not answer " + operation + " in time", cause: clouddrift.ErrNoAnswer}
		}
		return &readError{text: "the answer to " + operation + " could not be read"}
	}
	status, e := response.HTTPStatusCode(), &readError{}
	if code := codeOf(err); slices.Contains(otherErrors, code) {
		e.code = code
	}
	e.text = "Lambda answered " + operation + " with " + strconv.Itoa(status)
	if e.code != "" {
		e.text += " " + e.code
	}
	switch {
	case status == http.StatusTooManyRequests:
		e.text += ": others ask a lot too, try again"
	case e.code == "InvalidParameterValueException" && operation == "PutFunctionConcurrency":
		e.text += ": more than the account has left, of which 100 stay unreserved; lower the limits here, or have the account's raised"
	case e.code == "AccessDeniedException":
		e.text += ": the pool's credentials need the permission lambda:" + operation
	case status == http.StatusForbidden:
		e.text += ": the pool's credentials are wrong or have expired"
	}
	return e
}
