package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

const about = `Spillway runs functions on machines that you already own and overflows to a
public cloud only when, and only as far as, policy, quota and budget allow. It
says of every call why it went where it went and what it cost.`

const firstSteps = `Type these two first:
  spillway validate DIR       check a directory of *.yaml files and say what it means
  spillway up --config DIR    run it; without --config everything has its default
`

// newRoot returns the whole command tree.
func newRoot(s streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "spillway",
		Short:         "Hybrid scheduler for functions: on-prem first, cloud when allowed",
		Long:          about,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printMap(s.out, cmd)
		},
	}
	root.AddCommand(newUp(s), newServe(s), newOperator(s), newInvoke(s), newExplain(s), newReport(s), newQuota(s), newBurst(s), newStatus(s), newList(s), newReload(s), newValidate(s), newImport(s),
		newDeploy(s), newPackage(s), newRollback(s), newDelete(s), newLogs(s), newReconcile(s),
		newPolicy(s), newCloud(s), newSimulate(s), newPlan(s), newTrace(s), newUsage(s), newVersion(s))
	root.Version = thisBuild().Version
	root.SetVersionTemplate("spillway {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// execute runs the command tree. What cobra refuses before a command runs is
// wrong input.
func execute(ctx context.Context, s streams, args []string) (command string, err error) {
	root := newRoot(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	running := false
	root.PersistentPreRun = func(*cobra.Command, []string) { running = true }
	cmd, err := root.ExecuteContextC(ctx)
	var input inputError
	if err != nil && !running && !errors.As(err, &input) {
		err = withHint(cmd, err)
	}
	return cmd.CommandPath(), err
}

// printMap writes what commands there are and what to type first.
func printMap(w io.Writer, root *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nCommands:\n", about)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" {
			fmt.Fprintf(t, "  %s\t%s\n", c.Name(), c.Short)
		}
	}
	_ = t.Flush() // to memory
	fmt.Fprintf(&b, "\n%s\n'spillway COMMAND --help' has examples. Exit codes: 0 ok, 1 failed, 2 wrong input.\n", firstSteps)
	_, err := io.WriteString(w, b.String())
	return err
}
