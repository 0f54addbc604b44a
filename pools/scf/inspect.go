package scf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	sdkerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"

	"github.com/spillway-dev/spillway/clouddrift"
)

// readWithin bounds each request of an Inspector.
const readWithin = 10 * time.Second

// Inspector reads how functions and the account are configured. It runs and
// changes nothing, repeats nothing, and never asks for code or hands on a
// function's environment. It is safe for concurrent use while its Pool is open.
type Inspector struct {
	client    *api.Client
	namespace string
	pace      func(context.Context) error
}

// Inspector returns one for the pool's account, region and namespace. It calls
// pace before each request, and gives up with its error.
func (p *Pool) Inspector(pace func(context.Context) error) *Inspector {
	namespace := p.namespace
	if namespace == "" {
		namespace = "default"
	}
	return &Inspector{p.client, namespace, pace}
}

const (
	latest       = "$LATEST"
	defaultAlias = "$DEFAULT" // what InvokeFunction calls without a qualifier
)

var versionForm = regexp.MustCompile(`^(\$LATEST|[1-9][0-9]{0,9})$`)

// Function tells what name is under qualifier: a version, or an alias.
func (i *Inspector) Function(ctx context.Context, name, qualifier string) (clouddrift.Found, error) {
	if qualifier == "" {
		qualifier = defaultAlias
	}
	version, split := qualifier, false
	if !versionForm.MatchString(qualifier) {
		var err error
		version, split, err = i.alias(ctx, name, qualifier)
		if what := absent(err); what != "" {
			return clouddrift.Found{Missing: what}, nil
		}
		if err != nil {
			return clouddrift.Found{}, err
		}
	}
	found, err := i.version(ctx, name, version)
	if what := absent(err); what != "" {
		return clouddrift.Found{Missing: what}, nil
	}
	if err != nil {
		return clouddrift.Found{}, err
	}
	found.Split = split
	found.Reserved, err = i.reserved(ctx, name)
	return found, err
}

// alias tells the version behind an alias, and whether others get calls too.
func (i *Inspector) alias(ctx context.Context, name, alias string) (version string, split bool, err error) {
	in := api.NewGetAliasRequest()
	in.FunctionName, in.Name, in.Namespace = &name, &alias, &i.namespace
	out, err := ask(ctx, i, "GetAlias", in, i.client.GetAliasWithContext)
	if err != nil {
		return "", false, err
	}
	if out.Response == nil || !versionForm.MatchString(text(out.Response.FunctionVersion)) {
		return "", false, errors.New("the answer to GetAlias has no version, so it is not SCF's")
	}
	routes := out.Response.RoutingConfig
	split = routes != nil && len(routes.AdditionalVersionWeights)+len(routes.AddtionVersionMatchs) > 0
	return *out.Response.FunctionVersion, split, nil
}

func (i *Inspector) version(ctx context.Context, name, version string) (clouddrift.Found, error) {
	in := api.NewGetFunctionRequest()
	in.FunctionName, in.Qualifier, in.Namespace = &name, &version, &i.namespace
	in.ShowCode = common.StringPtr("FALSE")
	out, err := ask(ctx, i, "GetFunction", in, i.client.GetFunctionWithContext)
	if err != nil {
		return clouddrift.Found{}, err
	}
	return described(out.Response, version)
}

// described reads a description. Only forms that SCF documents are handed on: an
// endpoint could put there what it was sent.
func described(out *api.GetFunctionResponseParams, version string) (clouddrift.Found, error) {
	if out == nil || number(out.MemorySize) <= 0 || number(out.Timeout) <= 0 {
		return clouddrift.Found{}, errors.New("the answer to GetFunction has no memory or timeout, so it is not SCF's")
	}
	found := clouddrift.Found{
		Version: version, MiB: number(out.MemorySize), Timeout: time.Duration(number(out.Timeout)) * time.Second,
		InitTimeout: time.Duration(number(out.InitTimeout)) * time.Second,
		NoDigest:    "SCF tells no digest of the code",
	}
	switch status := text(out.Status); {
	case status == "Active" || status == "":
	case slices.Contains(statuses, status):
		found.State = status
	default:
		found.State = "a status that is not documented"
	}
	if available := text(out.AvailableStatus); available != "" && available != "Available" && found.State == "" {
		found.State = "suspended for billing"
	}
	return found, nil
}

// statuses of a function that is not active.
var statuses = []string{
	"Creating", "CreateFailed", "Updating", "UpdateFailed", "Publishing", "PublishFailed", "Deleting", "DeleteFailed",
	"ConfigUpdating", "ConfigUpdateFailed", "CodeUpdating", "CodeUpdateFailed", "Unstable", "InActive", "UpdatingAndPublishing",
}

func (i *Inspector) reserved(ctx context.Context, name string) (*int64, error) {
	in := api.NewGetReservedConcurrencyConfigRequest()
	in.FunctionName, in.Namespace = &name, &i.namespace
	out, err := ask(ctx, i, "GetReservedConcurrencyConfig", in, i.client.GetReservedConcurrencyConfigWithContext)
	if err != nil || out.Response == nil || out.Response.ReservedMem == nil {
		return nil, err
	}
	n := int64(min(*out.Response.ReservedMem, 1<<40))
	return &n, nil
}

// Account tells the account's memory in the region.
func (i *Inspector) Account(ctx context.Context) (clouddrift.Account, error) {
	out, err := ask(ctx, i, "GetAccount", api.NewGetAccountRequest(), i.client.GetAccountWithContext)
	if err != nil {
		return clouddrift.Account{}, err
	}
	if out.Response == nil || out.Response.AccountUsage == nil {
		return clouddrift.Account{}, errors.New("the answer to GetAccount has no usage, so it is not SCF's")
	}
	usage := out.Response.AccountUsage
	quota := number(usage.TotalConcurrencyMem)
	if own := number(usage.UserConcurrencyMemLimit); own > 0 && (quota <= 0 || own < quota) {
		quota = own
	}
	if quota <= 0 {
		return clouddrift.Account{}, errors.New("the answer to GetAccount has no memory quota, so it is not SCF's")
	}
	return clouddrift.Account{MemoryMiB: quota}, nil
}

func number(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// ask sends one request of action, in its turn and time.
func ask[In, Out any](ctx context.Context, i *Inspector, action string, in In, send func(context.Context, In) (Out, error)) (out Out, err error) {
	if err := i.pace(ctx); err != nil {
		return out, fmt.Errorf("%s was not sent: %w", action, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	ctx, seen := watch(ctx)
	out, err = send(ctx, in)
	if err != nil {
		return out, refusal(ctx, action, err, seen)
	}
	return out, nil
}

// readError is an API error, or no answer.
type readError struct {
	code  string // Tencent's own; empty if it gave none
	text  string
	cause error // clouddrift.ErrNoAnswer, or nil
}

func (e *readError) Error() string { return e.text }
func (e *readError) Unwrap() error { return e.cause }

// absent says what is missing according to err; nothing if it is another error.
func absent(err error) clouddrift.Absence {
	var e *readError
	if !errors.As(err, &e) {
		return ""
	}
	switch e.code {
	case "ResourceNotFound.Function", "ResourceNotFound.FunctionName", "ResourceNotFound.Namespace":
		return clouddrift.MissingFunction
	case "ResourceNotFound.Alias", "ResourceNotFound.Version", "ResourceNotFound.Qualifier":
		return clouddrift.MissingQualifier
	}
	return ""
}

// refusal says what came of action. Texts of the SDK's are not repeated: those
// quote requests and answers.
func refusal(ctx context.Context, action string, err error, seen *sight) error {
	var said *sdkerrors.TencentCloudSDKError
	if errors.As(err, &said) && said.Code != "" && !strings.HasPrefix(said.Code, "ClientError") {
		_, _, code := classOf(said.Code)
		e := &readError{code: said.Code, text: "SCF answered " + action + " with " + code}
		switch family, _, _ := strings.Cut(said.Code, "."); family {
		case "LimitExceeded":
			e.text += ": more than the account has left, of which 12,800 MiB stay unreserved; lower the limits here, or have the account's raised"
		case "UnauthorizedOperation":
			e.text += ": the pool's key needs the permission scf:" + action
		case "AuthFailure":
			e.text += ": the pool's key is wrong, or this machine's clock"
		case "RequestLimitExceeded":
			e.text += ": others ask a lot too, try again"
		}
		return e
	}
	switch status := int(seen.status.Load()); {
	case status != 0 && status != http.StatusOK:
		return &readError{text: fmt.Sprintf("SCF answered %s with HTTP %d", action, status)}
	case ctx.Err() != nil:
		return &readError{text: "SCF did not answer " + action + " in time", cause: clouddrift.ErrNoAnswer}
	case status == 0 && !seen.sent.Load():
		return &readError{text: "no connection to SCF for " + action + ": is the pool's endpoint right, and the network up?", cause: clouddrift.ErrNoAnswer}
	}
	return &readError{text: "the answer to " + action + " could not be read"}
}
