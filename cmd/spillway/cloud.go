package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/auth"
	"github.com/spillway-dev/spillway/simulator/cloud"
)

// providers are the names of the clouds there are stand-ins of.
var providers = map[string]string{cloud.Lambda: "Lambda", cloud.SCF: "SCF"}

type cloudFlags struct{ config, listen, admin string }

// newCloud returns the stand-in, and below it what concerns real clouds too.
func newCloud(s streams) *cobra.Command {
	var f cloudFlags
	cmd := &cobra.Command{
		Use:   "cloud",
		Short: "Run a strict stand-in of AWS Lambda or Tencent SCF on this machine",
		Long: `Serve the Invoke API of AWS Lambda or Tencent SCF on this machine: signatures are
verified, the account's limits are enforced, functions run as real processes, and
a bill of its own is kept. 'provider: lambda' or 'provider: scf' in the file says
which; without it, it is Lambda.

Use it to try overflow without a cloud account: point a pool's endpoint at it.
Ctrl-C ends it and prints its bill.

The sub-commands are for real clouds as well: 'check' compares the functions there
with the configuration, 'export' writes them for Terraform.`,
		Example: `  spillway cloud --config cloud.yaml
  curl http://127.0.0.1:9002/bill            # what it would cost so far
  curl -H 'Content-Type: application/json' -d '{"kind":"throttle","count":5}' http://127.0.0.1:9002/faults`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCloud(cmd, s, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "YAML `file` with keys, functions and limits (required)")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:9001", "`address` of the cloud's API, IP:port; port 0 picks a free one")
	flags.StringVar(&f.admin, "admin", "127.0.0.1:9002", "`address` of bill, state and faults; loopback only")
	cmd.AddCommand(newCloudCheck(s), newCloudExport(s))
	return cmd
}

func runCloud(cmd *cobra.Command, s streams, f cloudFlags) error {
	if f.config == "" {
		return wrongInput("--config is missing; name the YAML file with keys and functions")
	}
	if auth.CheckListen(f.admin, true) != nil {
		return wrongInput("--admin: %q is not on this machine only; allowed: loopback, such as 127.0.0.1:9002", f.admin)
	}
	config, err := cloud.LoadConfig(f.config)
	if err != nil {
		return inputError{err}
	}
	server, err := cloud.New(config)
	if err != nil {
		return inputError{err}
	}
	data, admin, err := listenBoth(f.listen, f.admin)
	if err != nil {
		_ = server.Close()
		return err
	}
	fmt.Fprintf(s.err, "stand-in cloud: %s API on http://%s (region %s), %s\n", providers[config.Provider], data.Addr(), server.State().Region, counted(len(config.Functions), "function"))
	fmt.Fprintln(s.err, "functions run with your rights and without limits: use it for trying things out only")
	fmt.Fprintf(s.err, "bill, state and faults on http://%s/bill, /state, /faults; Ctrl-C ends it\n", admin.Addr())
	err = server.Run(cmd.Context(), data, admin)
	bill, state := server.Bill(), server.State()
	fmt.Fprintf(s.err, "bill: %s %s for %s; most at once: %d; throttled: %d\n",
		bill.Currency, bill.Total, counted(bill.Executions, "execution"), state.PeakConcurrency, state.Throttles)
	return err
}

// listenBoth opens both listeners or none.
func listenBoth(front, admin string) (net.Listener, net.Listener, error) {
	a, err := listen("--listen", front)
	if err != nil {
		return nil, nil, err
	}
	b, err := listen("--admin", admin)
	if err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// listen opens a TCP listener; name is what set the address.
func listen(name, address string) (net.Listener, error) {
	if err := checkAddress(name, address); err != nil {
		return nil, err
	}
	var plain net.ListenConfig
	plain.SetMultipathTCP(false) // such sockets take no filter, which leaving needs
	l, err := plain.Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot listen on %s: %w; %s", name, address, err, listenAdvice(err))
	}
	return l, nil
}

func checkAddress(name, address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return wrongInput("%s: %q is not an address; allowed: IP:port with a port of 0 to 65535, such as 127.0.0.1:8080", name, address)
	}
	return nil
}

// listenAdvice says what to do about err.
func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "another program has it: end that one or choose another address; port 0 picks a free one"
	case errors.Is(err, syscall.EACCES):
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another"
	}
	return "choose an address of this machine; 127.0.0.1 is reachable from here only, 0.0.0.0 from everywhere"
}
