package main

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/internal/safetext"
)

const (
	defaultAdmin = "http://127.0.0.1:8081"
	stateFile    = "server.json"
)

// upFlags override what the configuration's Server object says.
type upFlags struct {
	config, listen, admin, data string
	log                         *format
}

func newUp(s streams) *cobra.Command {
	var f upFlags
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run the server: front door, scheduler, on-prem pool, ledger",
		Long: `Run everything in this process: the front door that clients call, the scheduler,
supervised function processes, overflow to the configured clouds, and the ledger.

Use it to serve. Without --config every setting has its default and there are no
functions yet. SIGTERM or Ctrl-C drains: no new calls, those in flight may finish
within the drain timeout, then the ledger is flushed. A kill -9 loses no line and
bills none twice. DATA/` + stateFile + ` names the addresses while the server runs.`,
		Example: `  spillway up --config examples/platform
  spillway up                                     # defaults, to look around
  spillway up --config /etc/spillway --listen 10.0.0.5:8080 --log-format json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "`directory` of *.yaml files and policy/; without it, only defaults")
	flags.StringVar(&f.listen, "listen", "", "`address` of the front door, IP:port; port 0 picks a free one; overrides the configuration (127.0.0.1:8080)")
	flags.StringVar(&f.admin, "admin", "", "`address` of health, metrics and explanations, loopback only; overrides the configuration (127.0.0.1:8081)")
	flags.StringVar(&f.data, "data", "", "`directory` of the ledger and caches; overrides the configuration (the user's state directory)")
	f.log = &format{"text", []string{"text", "json"}}
	flags.Var(f.log, "log-format", "form of the log on standard error: text, json")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return launch(cmd.Context(), s, &f, inDirectory(f.config))
	}
	return cmd
}

// logger writes the program's log to w.
func (f *upFlags) logger(w io.Writer) *slog.Logger {
	if f.log.value == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// override lets flags go before the configuration. What it says of addresses is
// checked again, because flags may have changed it.
func (f *upFlags) override(s *config.Server) error {
	for _, o := range []struct {
		flag string
		into *string
	}{{f.listen, &s.Listen}, {f.admin, &s.Admin}, {f.data, &s.DataDir}} {
		if o.flag != "" {
			*o.into = o.flag
		}
	}
	for _, at := range [2][2]string{{"--listen", s.Listen}, {"--admin", s.Admin}} {
		if err := checkAddress(at[0], at[1]); err != nil {
			return err
		}
	}
	if err := auth.CheckListen(s.Listen, s.Anonymous); err != nil {
		return wrongInput("--listen: %w", err)
	}
	if auth.CheckListen(s.Admin, true) != nil {
		return wrongInput("--admin: %q is reachable from other machines, and the admin port asks for no credentials; allowed: loopback only, such as 127.0.0.1:8081", s.Admin)
	}
	dir, err := filepath.Abs(s.DataDir)
	if err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	s.DataDir = dir
	return nil
}

// banner says, for people, what runs and how to use it.
func (a *app) banner(w io.Writer, at addresses) {
	say := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	s := &a.loaded.Server
	fmt.Fprintf(w, "spillway is up: %s, %s\n", counted(len(a.loaded.Platform.Functions), "function"), counted(len(a.pools), "pool"))
	say("call", "spillway invoke --server %s NAMESPACE/FUNCTION", at.Front)
	say("AWS SDK", "endpoint %s/namespaces/NAMESPACE", at.Front)
	say("admin", "%s/healthz /readyz /metrics; explain and report take --admin %s", at.Admin, at.Admin)
	say("data", "%s", s.DataDir)
	for _, n := range a.notes {
		say(n[0], "%s", n[1])
	}
	say("policy", "%s", a.policyNote())
	if until := a.loaded.PricesUntil; !until.IsZero() {
		say("holds until", "%s: a price, an exchange rate or an approved quota ends then, and the configuration is loaded again", until.Format(time.RFC3339))
	}
	if len(a.loaded.Platform.Functions) == 0 {
		say("next", "there is nothing to call yet: 'spillway up --config DIR' serves a directory of")
		say("", "functions; examples/platform is one, docs/reference/configuration.md has every field")
	}
	for _, fault := range faultLines(a.loaded.FunctionFaults) {
		say("FUNCTION", "%s", safetext.Line(fault))
	}
	for _, warning := range a.loaded.Warnings {
		say("WARNING", "%s", safetext.Line(warning))
	}
}

func (a *app) policyNote() string {
	if a.loaded.PolicyDir == "" {
		return "the default one; " + a.policy.Revision()
	}
	if names, _ := filepath.Glob(filepath.Join(a.loaded.PolicyDir, "*.rego")); len(names) == 0 {
		return "WARNING: " + a.loaded.PolicyDir + " has no *.rego, so the default policy applies; " + a.policy.Revision()
	}
	return a.loaded.PolicyDir + ", reloaded when it changes; " + a.policy.Revision()
}
