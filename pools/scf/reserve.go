package scf

import (
	"context"
	"fmt"

	api "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/scf/v20180416"

	"github.com/spillway-dev/spillway/clouddrift"
)

// Reserver reads and changes the quota that is reserved for functions: MiB of the calls
// at once, which are also the most that a function may have. It needs the permissions
// scf:GetReservedConcurrencyConfig, PutReservedConcurrencyConfig and
// DeleteReservedConcurrencyConfig. Errors of functions that are not there have
// clouddrift.ErrNoFunction behind them. It repeats nothing, and is safe for concurrent use
// while its Pool is open.
type Reserver struct{ inspector *Inspector }

// Reserver returns one for the pool's account, region and namespace. It calls pace
// before each request, and gives up with its error.
func (p *Pool) Reserver(pace func(context.Context) error) *Reserver {
	return &Reserver{p.Inspector(pace)}
}

// Reserved tells what the function name has; nil for none.
func (r *Reserver) Reserved(ctx context.Context, name string) (*int64, error) {
	n, err := r.inspector.reserved(ctx, name)
	return n, missing(err)
}

// missing has clouddrift.ErrNoFunction behind it where the cloud says that.
func missing(err error) error {
	if absent(err) != "" {
		return fmt.Errorf("%w: %w", err, clouddrift.ErrNoFunction)
	}
	return err
}

// Reserve has MiB reserved for name; 0 refuses every call. SCF keeps 12,800 of an
// account unreserved.
func (r *Reserver) Reserve(ctx context.Context, name string, mib int64) error {
	if mib < 0 {
		return fmt.Errorf("%d MiB cannot be reserved", mib)
	}
	in, n := api.NewPutReservedConcurrencyConfigRequest(), uint64(mib)
	in.FunctionName, in.Namespace, in.ReservedConcurrencyMem = &name, &r.inspector.namespace, &n
	_, err := ask(ctx, r.inspector, "PutReservedConcurrencyConfig", in, r.inspector.client.PutReservedConcurrencyConfigWithContext)
	return missing(err)
}

// Unreserve takes a reservation away; none is no error.
func (r *Reserver) Unreserve(ctx context.Context, name string) error {
	in := api.NewDeleteReservedConcurrencyConfigRequest()
	in.FunctionName, in.Namespace = &name, &r.inspector.namespace
	_, err := ask(ctx, r.inspector, "DeleteReservedConcurrencyConfig", in, r.inspector.client.DeleteReservedConcurrencyConfigWithContext)
	return missing(err)
}
