package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/clouddrift"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/internal/safetext"
	"github.com/spillway-dev/spillway/pools/lambda"
	"github.com/spillway-dev/spillway/pools/scf"
)

const (
	// checkEvery spaces the requests to one account: clouds take 15 a second of
	// everybody who asks for configurations, and others ask too.
	checkEvery = time.Second / 12
	// checkAtOnce bounds the bindings of one pool that are asked for at once.
	checkAtOnce = 4
)

// notAsked is why nothing is known of a binding whose cloud cannot be asked.
const notAsked = "not asked, for what is said of the account"

// inspector tells how a cloud has functions and the account configured.
type inspector interface {
	Function(ctx context.Context, name, qualifier string) (clouddrift.Found, error)
	Account(ctx context.Context) (clouddrift.Account, error)
}

type checkFlags struct{ config, pool string }

func newCloudCheck(s streams) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Compare the functions in clouds with the configuration",
		Long: `Ask each cloud how the functions are configured that the configuration binds, and
say what is not as it should be: a function, version or alias that is missing;
memory and timeout, which the money reserved for a call depends on; code, where
the package is a zip file; the processor, where the price plan is for one;
reserved concurrency, and the account's against the pool's limits.

Nothing is run and nothing changed there: the credentials of each pool need read
permissions only, which 'spillway cloud export terraform' lists. A cloud is sent
at most 12 requests a second.

Exit codes: 0 all as it should be, 1 something is not, or a cloud did not tell,
2 wrong input. Use it after every deployment, and every night.`,
		Example: `  spillway cloud check --config examples/platform
  spillway cloud check --config examples/platform --pool lambda-us -o json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "`directory` of the configuration (required)")
	flags.StringVar(&f.pool, "pool", "", "check the pool with this `name` only")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := loadForClouds(f)
		if err != nil {
			return err
		}
		report := checkClouds(cmd.Context(), loaded, f.pool)
		if err := output.print(s.out, report, func(w io.Writer) error { return printDrift(w, report) }); err != nil {
			return err
		}
		if err := cmd.Context().Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
		if !report.Counts.Clean() {
			return errSaid
		}
		return nil
	}
	return cmd
}

// loadForClouds loads a configuration that has the cloud pools that are asked for.
func loadForClouds(f checkFlags) (*config.Loaded, error) {
	if f.config == "" {
		return nil, wrongInput("--config is missing; name the directory of the configuration")
	}
	loaded, err := loadConfig(f.config)
	if err != nil {
		return nil, err
	}
	if len(clouddrift.CloudPools(loaded.Platform, f.pool)) > 0 {
		return loaded, nil
	}
	var names []string
	for _, p := range clouddrift.CloudPools(loaded.Platform, "") {
		names = append(names, p.Name)
	}
	if f.pool == "" || len(names) == 0 {
		return nil, wrongInput("the configuration %s has no cloud pool", f.config)
	}
	return nil, wrongInput("--pool: no cloud pool is called %s; allowed: %s", safetext.Line(f.pool), strings.Join(names, ", "))
}

// checkClouds asks all clouds at once and reports in the order of pools.
func checkClouds(ctx context.Context, l *config.Loaded, only string) clouddrift.Report {
	pools := clouddrift.CloudPools(l.Platform, only)
	wants := clouddrift.Wants(l.Platform, only, func(p *spillway.Pool) string { return architecture(l, p) })
	found := make([][]clouddrift.Finding, len(pools))
	pacers := map[string]*pacer{} // pools of one region may be one account
	var all errgroup.Group
	for i, pool := range pools {
		place := pool.Kind.String() + " " + pool.Region
		if pacers[place] == nil {
			pacers[place] = &pacer{every: checkEvery}
		}
		pace := pacers[place].wait
		own := slices.DeleteFunc(slices.Clone(wants), func(w clouddrift.Want) bool { return w.Pool != pool })
		all.Go(func() error { found[i] = checkPool(ctx, pool, own, pace); return nil })
	}
	_ = all.Wait() // findings hold what failed
	return clouddrift.NewReport(slices.Concat(found...))
}

// checkPool returns the findings of one pool, its account's first.
func checkPool(ctx context.Context, pool *spillway.Pool, wants []clouddrift.Want, pace func(context.Context) error) []clouddrift.Finding {
	cloud, closePool, err := openInspector(ctx, pool, pace)
	if err != nil {
		found := []clouddrift.Finding{clouddrift.FailedAccount(pool, err.Error())}
		for _, w := range wants {
			found = append(found, clouddrift.Failed(w, notAsked))
		}
		return found
	}
	defer closePool()
	return inspect(ctx, cloud, pool, wants)
}

// inspect asks for the account first: a cloud that says nothing to that is not
// asked for functions.
func inspect(ctx context.Context, cloud inspector, pool *spillway.Pool, wants []clouddrift.Want) []clouddrift.Finding {
	found := make([]clouddrift.Finding, 1+len(wants))
	account, err := cloud.Account(ctx)
	found[0] = clouddrift.CompareAccount(pool, account)
	if err != nil {
		found[0] = clouddrift.FailedAccount(pool, err.Error())
	}
	silent := errors.Is(err, clouddrift.ErrNoAnswer)
	var all errgroup.Group
	all.SetLimit(checkAtOnce)
	for i, w := range wants {
		if silent {
			found[1+i] = clouddrift.Failed(w, notAsked)
			continue
		}
		all.Go(func() error {
			is, err := cloud.Function(ctx, w.Binding.Name, w.Binding.Qualifier)
			found[1+i] = clouddrift.Compare(w, is)
			if err != nil {
				found[1+i] = clouddrift.Failed(w, err.Error())
			}
			return nil
		})
	}
	_ = all.Wait() // findings hold what failed
	return found
}

// openInspector reads the pool's credentials, and connects later. What it returns
// besides ends it.
func openInspector(ctx context.Context, pool *spillway.Pool, pace func(context.Context) error) (inspector, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, openWithin)
	defer cancel()
	if pool.Kind == spillway.PoolSCF {
		p, err := scf.New(ctx, pool)
		if err != nil {
			return nil, nil, err
		}
		return p.Inspector(pace), p.Close, nil
	}
	p, err := lambda.New(ctx, pool)
	if err != nil {
		return nil, nil, err
	}
	return p.Inspector(pace), p.Close, nil
}

// architecture is the processor that a Lambda pool's price plan is for; empty if
// the plan's name does not say it as those of the built-in price book do.
func architecture(l *config.Loaded, pool *spillway.Pool) string {
	for _, o := range l.Effective() {
		p, ok := o.(*v1alpha1.Pool)
		switch {
		case !ok || p.Metadata.Name != pool.Name || pool.Kind != spillway.PoolLambda:
		case strings.HasPrefix(p.Spec.PricePlan, "lambda-x86-"):
			return clouddrift.X86
		case strings.HasPrefix(p.Spec.PricePlan, "lambda-arm-"):
			return clouddrift.ARM
		}
	}
	return ""
}
