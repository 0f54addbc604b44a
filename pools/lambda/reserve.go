package lambda

import (
	"context"
	"fmt"
	"math"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/spillway-dev/spillway/clouddrift"
)

// Reserver reads and changes the concurrency that is reserved for functions: calls at
// once, which are also the most that a function may have. It needs the permissions
// lambda:GetFunctionConcurrency, PutFunctionConcurrency and DeleteFunctionConcurrency.
// Errors of functions that are not there have clouddrift.ErrNoFunction behind them.
// It repeats nothing, and is safe for concurrent use while its Pool is open.
type Reserver struct{ inspector *Inspector }

// Reserver returns one for the pool's account and region. It calls pace before each
// request, and gives up with its error.
func (p *Pool) Reserver(pace func(context.Context) error) *Reserver {
	return &Reserver{p.Inspector(pace)}
}

// Reserved tells what name, a function's name or ARN, has; nil for none.
func (r *Reserver) Reserved(ctx context.Context, name string) (*int64, error) {
	n, err := r.inspector.reserved(ctx, name)
	return n, missing(err)
}

// missing has clouddrift.ErrNoFunction behind it where the cloud says that.
func missing(err error) error {
	if absent(err) {
		return fmt.Errorf("%w: %w", err, clouddrift.ErrNoFunction)
	}
	return err
}

// Reserve has n calls at once reserved for name; 0 refuses every call. Lambda keeps 100
// of an account unreserved.
func (r *Reserver) Reserve(ctx context.Context, name string, n int64) error {
	if n < 0 || n > math.MaxInt32 {
		return fmt.Errorf("%d calls at once cannot be reserved", n)
	}
	in := &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String(name), ReservedConcurrentExecutions: aws.Int32(int32(n))}
	_, err := ask(ctx, r.inspector, "PutFunctionConcurrency", in, r.inspector.client.PutFunctionConcurrency)
	return missing(err)
}

// Unreserve takes a reservation away; none is no error.
func (r *Reserver) Unreserve(ctx context.Context, name string) error {
	in := &lambda.DeleteFunctionConcurrencyInput{FunctionName: aws.String(name)}
	_, err := ask(ctx, r.inspector, "DeleteFunctionConcurrency", in, r.inspector.client.DeleteFunctionConcurrency)
	return missing(err)
}
