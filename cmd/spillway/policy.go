package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/internal/safetext"
	"github.com/spillway-dev/spillway/policy"
	"github.com/spillway-dev/spillway/policy/rego"
)

func newPolicy(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Test a placement policy, or ask it one question",
		Long: `Work on placement policies written in Rego: which pools a call may use.

Use 'test' while writing a policy, and 'eval' to see what it says of one call and
which rule said it.`,
		Example: `  spillway policy test examples/platform
  spillway policy eval examples/platform --function media/thumbnail`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyTest(s), newPolicyEval(s))
	return cmd
}

func newPolicyTest(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test DIR",
		Short: "Run the *_test.rego of a policy directory",
		Long: `Run every rule named test_… in the *_test.rego files of DIR, against the policy
in DIR. DIR is a policy directory, or a configuration directory that has one.

Use it before a policy goes live and in CI: exit code 1 when a test fails or there
is none, 2 when the policy does not compile.`,
		Example: `  spillway policy test examples/platform/policy
  spillway policy test examples/platform -o json`,
		Args: exactly("DIR"),
	}
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		dir, err := policyDir(args[0])
		if err != nil {
			return err
		}
		var lines strings.Builder
		results, err := rego.Test(cmd.Context(), dir, &lines)
		if err != nil {
			return err
		}
		err = output.print(s.out, results, func(w io.Writer) error {
			_, err := io.WriteString(w, lines.String())
			return err
		})
		if err == nil && !results.OK() {
			return errSaid
		}
		return err
	}
	return cmd
}

type evalFlags struct{ input, function, caller string }

func newPolicyEval(s streams) *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval DIR",
		Short: "Ask a policy which pools one call may use, and why",
		Long: `Evaluate the policy of the configuration directory DIR for one call and say
which pools it permits, which it denies, and which rule denied them. Nothing runs.

Use --function for a configured function as it would be called now, or --input
for any call: members namespace, department, function, revision, caller,
dataClass, residency (list), burst (allow or deny), payloadKiB, and minute (Unix
seconds). Limits of the configuration itself (mode, residency, bindings) are
shown by 'spillway validate'.`,
		Example: `  spillway policy eval examples/platform --function media/thumbnail
  spillway policy eval examples/platform --function media/thumbnail --caller ci -o json
  spillway policy eval examples/platform --input '{"namespace":"media","function":"thumbnail","burst":"allow"}'`,
		Args: exactly("DIR"),
	}
	cmd.Flags().StringVar(&f.input, "input", "", "the call as `JSON`, @file, or - for standard input")
	cmd.Flags().StringVar(&f.function, "function", "", "a configured function, `namespace/name`")
	cmd.Flags().StringVar(&f.caller, "caller", "", "`identity` that calls; with --function")
	output := formatFlag(cmd, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		loaded, err := loadConfig(args[0])
		if err != nil {
			return err
		}
		in, err := f.question(s, loaded.Platform)
		if err != nil {
			return err
		}
		x, err := rego.Explain(cmd.Context(), loaded.PolicyDir, loaded.Platform, in)
		if err != nil {
			return err
		}
		if err := output.print(s.out, x, func(w io.Writer) error { return printVerdict(w, x) }); err != nil {
			return err
		}
		if x.Failed != "" {
			return fmt.Errorf("the policy gave no answer, so nothing is permitted: %s", x.Failed)
		}
		return nil
	}
	return cmd
}

// question makes the policy input that the flags ask about.
func (f *evalFlags) question(s streams, p *spillway.Platform) (policy.Input, error) {
	now := spillway.InstantOf(time.Now())
	switch {
	case (f.input == "") == (f.function == ""):
		return policy.Input{}, wrongInput("say which call: one of --input and --function")
	case f.input != "" && f.caller != "":
		return policy.Input{}, wrongInput(`--caller goes with --function; in --input it is the member "caller"`)
	case f.function != "":
		key, err := functionKey(f.function)
		if err != nil {
			return policy.Input{}, err
		}
		fn := p.Function(key)
		if fn == nil {
			return policy.Input{}, wrongInput("function %s is not in this configuration; 'spillway validate' lists them", key)
		}
		return policy.InputOf(p, fn, f.caller, 0, now, strings.Join(fn.Residency, ",")), nil
	}
	text, err := payload(f.input, s.in)
	if err != nil {
		return policy.Input{}, err
	}
	in, err := rego.ParseInput(text)
	if err != nil {
		return policy.Input{}, wrongInput("--input: %w", err)
	}
	if in.Minute == 0 {
		in.Minute = int64(now) / 1e9 / 60 * 60
	}
	return in, nil
}

// policyDir finds the Rego of dir: dir itself, or its sub-directory named policy.
func policyDir(dir string) (string, error) {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return "", wrongInput("%s: no such directory; name one with *.rego files", dir)
	}
	if err != nil {
		return "", fmt.Errorf("look for a policy: %w", err)
	}
	if below, err := os.Stat(filepath.Join(dir, config.PolicyDir)); err == nil && below.IsDir() {
		return filepath.Join(dir, config.PolicyDir), nil
	}
	return dir, nil
}

func printVerdict(w io.Writer, x *rego.Explanation) error {
	rows := [][]string{{"POOL", "PERMITTED", "WHY NOT"}}
	for _, p := range x.Pools {
		rows = append(rows, []string{p.Pool, yesNo(p.Permitted), p.Reason})
	}
	if err := table(w, rows); err != nil {
		return err
	}
	for _, d := range x.Denials {
		fmt.Fprintf(w, "denied by %s:%d: pool %s: %s\n", d.File, d.Line, safetext.Line(d.Pool), safetext.Line(d.Reason))
	}
	_, err := fmt.Fprintf(w, "policy revision %s\n", x.Revision)
	return err
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
