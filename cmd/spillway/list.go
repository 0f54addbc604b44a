package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
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
	Digest   string   `json:"digest"` // of the package; of an image, its reference
	Pools    []string `json:"pools"`  // that may run it, most preferred first

	Memory      string   `json:"memory"`      // of an instance
	CPU         string   `json:"cpu"`         // of an instance
	Concurrency int      `json:"concurrency"` // invocations that an instance takes at once
	Timeout     string   `json:"timeout"`
	MinWarm     int      `json:"minWarm"`
	Burst       string   `json:"burst"`
	Env         []string `json:"env"` // names
}

func functionList(p *spillway.Platform) []functionLine {
	all := make([]functionLine, 0, len(p.Functions))
	for _, f := range p.Functions {
		l := functionLine{Function: f.String(), Revision: f.Revision, Weight: f.Weight, Contract: f.Contract.String(), Digest: cmp.Or(f.Package.Digest, f.Image), Pools: []string{}}
		l.settings(f)
		for _, i := range p.BurstPolicies[f.Policy].Order {
			if f.Permitted.Has(i) {
				l.Pools = append(l.Pools, p.Pools[i].Name)
			}
		}
		all = append(all, l)
	}
	return all
}

func (l *functionLine) settings(f *spillway.Function) {
	l.Memory, l.CPU = fmt.Sprintf("%dMi", f.Instance.MiB), fmt.Sprintf("%dm", f.Instance.MilliCPU)
	l.Concurrency, l.Timeout, l.MinWarm = f.Concurrency, f.Timeout.String(), f.MinWarm
	l.Burst, l.Env = "deny", []string{}
	if f.Burst == spillway.BurstAllow {
		l.Burst = "allow"
	}
	for _, e := range f.Env {
		name, _, _ := strings.Cut(e, "=")
		l.Env = append(l.Env, name)
	}
}

func newList(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "list [NAMESPACE | NAMESPACE/FUNCTION]",
		Short: "List the functions that the server serves",
		Long: `List every revision of every function: its part of the function's calls, its
package, and the pools that configuration lets it use, most preferred first.
Policy may take some of them away from a call; 'spillway policy eval' says which.`,
		Example: `  spillway list
  spillway list shop/hello         # with its settings
  spillway list shop -o json`,
		Args: atMostOne("NAMESPACE or NAMESPACE/FUNCTION"),
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
			if shown = inNamespace(shown, args[0]); len(shown) == 0 {
				return wrongInput("%q is neither a function nor a namespace with functions; 'spillway list' shows all", args[0])
			}
		}
		return output.print(s.out, shown, func(w io.Writer) error {
			if err := printFunctions(w, shown); err != nil || len(args) == 0 || shown[0].Function != args[0] {
				return err
			}
			return printSettings(w, &shown[0])
		})
	}
	return cmd
}

// inNamespace is the lines of a namespace, or of one function.
func inNamespace(all []functionLine, name string) []functionLine {
	var some []functionLine
	for _, l := range all {
		if l.Function == name || strings.HasPrefix(l.Function, name+"/") {
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

// printSettings prints what holds for all revisions of a function.
func printSettings(w io.Writer, l *functionLine) error {
	fmt.Fprintln(w)
	return table(w, [][]string{
		{"memory", l.Memory}, {"cpu", l.CPU}, {"timeout", l.Timeout}, {"concurrency", strconv.Itoa(l.Concurrency)},
		{"min warm", strconv.Itoa(l.MinWarm)}, {"burst", l.Burst}, {"environment", orDash(strings.Join(l.Env, ", "))},
	})
}
