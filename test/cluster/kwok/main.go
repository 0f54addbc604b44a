// Command kwok plays nodes and their pods to an API server, by what stages.yaml beside it
// says. It is the program of that name, built here so that its version is pinned.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		os.Exit(1)
	}
}

// run reads --config before the command is made, which takes its defaults from there.
func run() error {
	first := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	first.ParseErrorsAllowlist.UnknownFlags = true
	first.Usage = func() {}
	ctx, _ := log.InitFlags(signals.SetupSignalContext(), first)
	ctx, err := config.InitFlags(ctx, first)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	command := cmd.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(first)
	return command.ExecuteContext(ctx)
}
