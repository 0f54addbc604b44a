// Command spillway-node is a node of a Kubernetes cluster whose capacity is what the
// real nodes have idle. See provider/node.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := command()
	cmd.SetArgs(os.Args[1:])
	if err := cmd.ExecuteContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "spillway-node:", err)
		stop()
		os.Exit(exitCode(err)) //nolint:gocritic // what is deferred has run
	}
}

// inputError is a fault of flags, files or the environment: exit code 2.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

func wrongInput(format string, args ...any) error { return inputError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	if _, wrong := errors.AsType[inputError](err); wrong {
		return 2
	}
	return 1
}

func command() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "spillway-node",
		Short: "A node whose capacity is what the cluster has idle",
		Long: `Register a virtual node in a Kubernetes cluster. Its capacity is what the real nodes
have idle; pods of teams that opted in are bound to it by the cluster's own scheduler.
Each is run by a guest pod on a real node, at a priority below everything online, once
the dispatcher ('spillway serve') has admitted it: the same quota, budget and ledger as
any call. When online work needs the room, guests go and their pods go on elsewhere, or
wait; they do not fail.

Several may run: one leads, by a Lease in the system namespace, and another goes on
within half a minute when it ends. Guests run on meanwhile.`,
		Example: `  spillway-node                                  # in a pod; see manifests/
  spillway-node --kubeconfig admin.kubeconfig --dispatcher http://10.0.0.5:8082 \
      --address 10.0.0.5 --cert-dir /var/lib/spillway-node`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	f.register(cmd.Flags())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return wrongInput("%w; see spillway-node --help", err) })
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log := f.logger(os.Stderr)
		klog.SetSlogLogger(log.With("from", "client-go"))
		slog.SetDefault(log)
		return f.run(cmd.Context(), log)
	}
	return cmd
}
