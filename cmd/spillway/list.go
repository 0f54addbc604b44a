package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
)

// functionLine is one revision of a function, as the admin port lists it.
type functionLine struct {
	Function string   `json:"function"` // namespace/name
	Revision string   `json:"revision"`
	Weight   int64    `json:"weight"` // percent of the function's calls
	Contract string   `json:"contract"`
	Digest   string   `json:"digest"`
	Pools    []string `json:"pools"` // that may run it, most preferred first
}

func functionList(p *spillway.Platform) []functionLine {
	all := make([]functionLine, 0, len(p.Functions))
	for _, f := range p.Functions {
		l := functionLine{Function: f.String(), Revision: f.Revision, Weight: f.Weight, Contract: f.Contract.String(), Digest: f.Package.Digest, Pools: []string{}}
		for _, i := range p.BurstPolicies[f.Policy].Order {
			if f.Permitted.Has(i) {
				l.Pools = append(l.Pools, p.Pools[i].Name)
			}
		}
		all = append(all, l)
	}
	return all
}

func newList(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE]",
		Short: "List the functions that the server serves",
		Long: `List every revision of every function: its part of the function's calls, its
package, and the pools that configuration lets it use, most preferred first.
Policy may take some of them away from a call; 'spillway policy eval' says which.`,
		Example: `  spillway list
  spillway list shop -o json`,
		Args: cobra.MaximumNArgs(1),
	}
	adminFlag(cmd, &admin)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := fromAdmin[[]functionLine](cmd.Context(), admin, "v1", "functions")
		if err != nil {
			return err
		}
		shown := *all
		if len(args) == 1 {
			shown = inNamespace(shown, args[0])
			if len(shown) == 0 {
				return wrongInput("namespace %q has no functions here; 'spillway list' shows all", args[0])
			}
		}
		return output.print(s.out, shown, func(w io.Writer) error { return printFunctions(w, shown) })
	}
	return cmd
}

func inNamespace(all []functionLine, namespace string) []functionLine {
	var some []functionLine
	for _, l := range all {
		if strings.HasPrefix(l.Function, namespace+"/") {
			some = append(some, l)
		}
	}
	return some
}

func printFunctions(w io.Writer, all []functionLine) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "there are no functions; 'spillway up --config DIR' serves those of a directory")
		return err
	}
	rows := [][]string{{"FUNCTION", "REVISION", "WEIGHT", "CONTRACT", "PACKAGE", "MAY USE"}}
	for _, l := range all {
		rows = append(rows, []string{l.Function, l.Revision, fmt.Sprintf("%d%%", l.Weight), l.Contract, shortDigest(l.Digest), orDash(strings.Join(l.Pools, ", "))})
	}
	return table(w, rows)
}
