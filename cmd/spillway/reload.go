package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/internal/safetext"
)

func newReload(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the server load its configuration again",
		Long: `Have the server read its configuration directory again and put it in place while
it serves. Calls in flight end under the rules they began with. A configuration
with faults changes nothing: they are said here, and the exit code is 2.

The server also does this by itself when a *.yaml file in the directory changes,
on SIGHUP, and when a price that it uses ends. Use 'spillway validate' before.`,
		Example: `  spillway reload
  spillway reload -o json`,
		Args: cobra.NoArgs,
	}
	adminFlag(cmd, &admin)
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		base, err := baseURL("--admin", admin)
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(cmd.Context(), http.MethodPost, base.JoinPath("v1", "reload").String(), nil)
		if err != nil {
			return wrongInput("--admin: %w", err)
		}
		resp, body, err := exchange(r)
		if err != nil {
			return err
		}
		var said reloaded
		if json.Unmarshal(body, &said) != nil || said.Generation == 0 {
			return fmt.Errorf("%s", safetext.Line(adminError(resp, body)))
		}
		if said.Error != "" {
			return wrongInput("%s\nthe configuration was refused; generation %d goes on serving", said.Error, said.Generation)
		}
		return output.print(s.out, said, func(w io.Writer) error { return printReload(w, &said) })
	}
	return cmd
}

func printReload(w io.Writer, said *reloaded) error {
	what := "nothing has changed; generation %d serves\n"
	if said.Changed {
		what = "generation %d serves now\n"
	}
	fmt.Fprintf(w, what, said.Generation)
	for _, fault := range said.Faults {
		fmt.Fprintln(w, "not as it is written:", safetext.Line(fault))
	}
	for _, warning := range said.Warnings {
		fmt.Fprintln(w, "warning:", safetext.Line(warning))
	}
	return nil
}
