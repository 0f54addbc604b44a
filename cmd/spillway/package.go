package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newPackage(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "package",
		Short: "Put the code of functions where a server finds it",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newPackagePush(s))
	return cmd
}

func newPackagePush(s streams) *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "push DIR | FILE.zip | URL",
		Short: "Send a package to a server and print its digest",
		Long: `Send a package to a server and print its digest, which a Function of a cluster
names as spec.revisions[].package.digest. The server keeps packages by their
content; one that no function names goes an hour after its last use.`,
		Example: `  kubectl -n spillway-system port-forward spillway-0 8081 &
  spillway package push bin/functions/hello
  spillway package push hello.zip --admin http://127.0.0.1:8081`,
		Args: cobra.ExactArgs(1),
	}
	adminFlag(cmd, &f.admin)
	cmd.Flags().StringVar(&f.sha256, "sha256", "", "`hex` SHA-256 that the zip file must have; needed with a URL")
	cmd.Flags().StringVar(&f.handler, "handler", "", "`path` of the program in the package, to see that it can be started (default bootstrap)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		digest, err := f.upload(cmd.Context(), s, args[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.out, digest)
		return err
	}
	return cmd
}
