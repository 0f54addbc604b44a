package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/internal/safetext"
)

type deployFlags struct {
	admin, sha256, revision, handler, spec string
	canary                                 percent
	concurrency                            int64
	memory, cpu, timeout, contract, burst  string
	env                                    map[string]string
}

func newDeploy(s streams) *cobra.Command {
	var f deployFlags
	cmd := &cobra.Command{
		Use:   "deploy NAMESPACE/FUNCTION [DIR | FILE.zip | URL]",
		Short: "Put a new revision of a function on a running server",
		Long: `Put a function on a running server, or a new revision of it, and serve it at once.
Calls in flight end on the revision they began with. The package is a directory,
a zip file, or the URL of one with its --sha256; it holds a program for Amazon
Linux under the name 'bootstrap', as for Lambda's provided.al2023.

The server checks the function as it checks its configuration files; one with
faults changes nothing. What is deployed is kept in the server's data directory.
A function of the configuration directory is changed there and not here. So is one
that is an object of a cluster, with kubectl; there, deploy is for trying things out:
what it makes is no object, so RBAC and 'kubectl get functions' do not know it.

The package of the newest revision makes no new one, unless --revision names it.

Settings stay from one revision to the next unless a flag names them; they hold
for all revisions, so a rollback does not bring older ones back. Without a
package, deploy changes settings, or with --canary the share of the newest
revision. The cloud half is deployed by your own pipeline: 'spillway cloud export
terraform' writes it and 'spillway cloud check' names what differs.`,
		Example: `  spillway deploy shop/hello bin/functions/hello --memory 256Mi --timeout 10s
  spillway deploy shop/hello hello.zip --canary 10   # 10 % of the calls
  spillway deploy shop/hello --canary 100            # all of them
  spillway deploy shop/hello https://example.com/hello.zip --sha256 9f86d0818…
  spillway rollback shop/hello`,
		Args: cobra.RangeArgs(1, 2),
	}
	adminFlag(cmd, &f.admin)
	flags := cmd.Flags()
	flags.StringVar(&f.sha256, "sha256", "", "`hex` SHA-256 that the zip file must have; needed with a URL")
	flags.StringVar(&f.revision, "revision", "", "`name` of the new revision, a DNS label; r1, r2, … if not given")
	flags.StringVar(&f.handler, "handler", "", "`path` of the program in the package (default bootstrap)")
	flags.Var(&f.canary, "canary", "`percent` of the calls for the newest revision; the rest stays where most is")
	flags.StringVar(&f.spec, "spec", "", "`file` with the fields of a Function's spec but revisions and traffic, in place of all settings")
	flags.StringVar(&f.memory, "memory", "", "memory of an instance, such as 256Mi")
	flags.StringVar(&f.cpu, "cpu", "", "cores of an invocation, such as 500m")
	flags.StringVar(&f.timeout, "timeout", "", "longest execution, such as 10s")
	flags.StringVar(&f.contract, "contract", "", "lambda, or http for a web server on $PORT")
	flags.Int64Var(&f.concurrency, "concurrency", 1, "requests that an instance takes at once; more than 1 with --contract http")
	flags.StringVar(&f.burst, "burst", "", "allow or deny calls in clouds; allow needs cloud bindings, from --spec")
	flags.StringToStringVar(&f.env, "env", nil, "environment, `KEY=VALUE`,…; in place of all of it; not for secrets")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := functionKey(args[0])
		if err != nil {
			return err
		}
		request, err := f.request(cmd)
		if err != nil {
			return err
		}
		if len(args) == 2 {
			if request.Digest, err = f.upload(cmd.Context(), s, args[1]); err != nil {
				return err
			}
		} else if f.sha256 != "" || f.revision != "" || f.handler != "" {
			return wrongInput("--sha256, --revision and --handler are of a package; name one")
		}
		body, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("write the request: %w", err)
		}
		now, err := changeFunction(cmd.Context(), f.admin, key, http.MethodPut, "", body)
		if err != nil {
			return err
		}
		return output.print(s.out, now, func(w io.Writer) error { return printDeployed(w, now) })
	}
	return cmd
}

// percent is a flag of whole percent, with or without the sign.
type percent int64

func (p *percent) Type() string   { return "percent" }
func (p *percent) String() string { return strconv.FormatInt(int64(*p), 10) }

func (p *percent) Set(text string) error {
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "%"), 10, 64)
	if err != nil {
		return errors.New("not a whole number; allowed: 0 to 100 percent")
	}
	*p = percent(n)
	return nil
}

// request is what the flags ask for, without the package.
func (f *deployFlags) request(cmd *cobra.Command) (r deployed.Request, err error) {
	r.Revision, r.Handler = f.revision, f.handler
	if cmd.Flags().Changed("canary") {
		r.Canary = (*int64)(&f.canary)
	}
	if f.spec != "" {
		if r.Spec, err = readSpec(f.spec); err != nil {
			return r, err
		}
	}
	settings := map[string]any{}
	resources := map[string]string{}
	for _, o := range []struct {
		name, value string
		into        func(string)
	}{
		{"memory", f.memory, func(v string) { resources["memory"] = v }},
		{"cpu", f.cpu, func(v string) { resources["cpu"] = v }},
		{"timeout", f.timeout, func(v string) { settings["timeout"] = v }},
		{"contract", f.contract, func(v string) { settings["contract"] = v }},
		{"burst", f.burst, func(v string) { settings["burst"] = v }},
	} {
		if cmd.Flags().Changed(o.name) {
			o.into(o.value)
		}
	}
	if cmd.Flags().Changed("concurrency") {
		settings["concurrency"] = f.concurrency
	}
	if cmd.Flags().Changed("env") {
		settings["env"] = f.env
	}
	if len(resources) > 0 {
		settings["resources"] = resources
	}
	r.Set = map[string]json.RawMessage{}
	for name, value := range settings {
		if r.Set[name], err = json.Marshal(value); err != nil {
			return r, fmt.Errorf("write --%s: %w", name, err)
		}
	}
	return r, nil
}

// readSpec reads the fields of a spec, which the server checks.
func readSpec(file string) (map[string]json.RawMessage, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, wrongInput("--spec: %w", err)
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, wrongInput("--spec %s: %s", file, yaml.FormatError(err, false, false))
	}
	spec := map[string]json.RawMessage{}
	if err := json.Unmarshal(asJSON, &spec); err != nil {
		return nil, wrongInput("--spec %s: is not a map of fields; allowed: what stands under spec: of a Function, such as 'timeout: 10s'", file)
	}
	if _, whole := spec["apiVersion"]; whole {
		return nil, wrongInput("--spec %s: is a whole object; allowed: only what stands under its spec:", file)
	}
	return spec, nil
}

// changeFunction asks the server for a change and returns what serves then. action
// follows the function's path.
func changeFunction(ctx context.Context, admin string, key spillway.FunctionKey, method, action string, body []byte) (*deployedNow, error) {
	base, err := baseURL("--admin", admin)
	if err != nil {
		return nil, err
	}
	at := base.JoinPath("v1", "functions", url.PathEscape(key.Namespace), url.PathEscape(key.Name)).String() + action
	r, err := http.NewRequestWithContext(ctx, method, at, bytes.NewReader(body))
	if err != nil {
		return nil, wrongInput("--admin: %w", err)
	}
	return serverSays(r)
}

func serverSays(r *http.Request) (*deployedNow, error) {
	resp, text, err := exchange(r)
	if err != nil {
		return nil, err
	}
	now := &deployedNow{}
	switch {
	case resp.StatusCode == http.StatusOK && json.Unmarshal(text, now) == nil && now.Function != "":
		return now, nil
	case resp.StatusCode == http.StatusUnprocessableEntity || resp.StatusCode == http.StatusNotFound:
		return nil, wrongInput("%s\nnothing has changed", safetext.Lines(adminError(resp, text)))
	}
	return nil, fmt.Errorf("%s", safetext.Lines(adminError(resp, text)))
}

func printDeployed(w io.Writer, now *deployedNow) error {
	rows := [][]string{{"FUNCTION", "REVISION", "WEIGHT", "PACKAGE"}}
	for _, r := range now.Revisions {
		rows = append(rows, []string{now.Function, r.Name, fmt.Sprintf("%d%%", r.Weight), shortDigest(r.Digest)})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	for _, warning := range now.Warnings {
		if strings.Contains(warning, now.Function) {
			fmt.Fprintln(w, "warning:", safetext.Line(warning))
		}
	}
	return nil
}

func newRollback(s streams) *cobra.Command {
	var admin, to string
	cmd := &cobra.Command{
		Use:   "rollback NAMESPACE/FUNCTION",
		Short: "Give all calls of a deployed function to an earlier revision",
		Long: `Take the newest revision of a deployed function back. A canary ends in favour of
the revision that has most of the other calls; else all calls go to the revision
before, leaving out those that were taken back themselves. --to names any other,
also a later one. Settings such as memory and environment stay as they are.`,
		Example: `  spillway rollback shop/hello
  spillway rollback shop/hello --to r3`,
		Args: exactly("NAMESPACE/FUNCTION"),
	}
	adminFlag(cmd, &admin)
	cmd.Flags().StringVar(&to, "to", "", "`revision` to go to; the one before if not given")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := functionKey(args[0])
		if err != nil {
			return err
		}
		now, err := changeFunction(cmd.Context(), admin, key, http.MethodPost, "/rollback?revision="+url.QueryEscape(to), nil)
		if err != nil {
			return err
		}
		return output.print(s.out, now, func(w io.Writer) error { return printDeployed(w, now) })
	}
	return cmd
}

func newDelete(s streams) *cobra.Command {
	var admin string
	cmd := &cobra.Command{
		Use:   "delete NAMESPACE/FUNCTION",
		Short: "Take a deployed function away with all its revisions",
		Long: `Take a deployed function away with all its revisions. Calls in flight end; new ones
get 404. Its log and its lines in the ledger stay. What it is in clouds is not
touched. A function of the configuration directory is deleted there.`,
		Example: `  spillway delete shop/hello`,
		Args:    exactly("NAMESPACE/FUNCTION"),
	}
	adminFlag(cmd, &admin)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := functionKey(args[0])
		if err != nil {
			return err
		}
		now, err := changeFunction(cmd.Context(), admin, key, http.MethodDelete, "", nil)
		if err != nil {
			return err
		}
		fmt.Fprintf(s.out, "%s is deleted; generation %d serves now\n", now.Function, now.Generation)
		return nil
	}
	return cmd
}
