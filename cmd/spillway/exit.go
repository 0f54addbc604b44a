package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/policy/rego"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // the work was tried and did not succeed
	exitInput  = 2 // wrong flags, arguments, configuration or policy; nothing was done
)

// inputError is wrong input from whoever typed the command.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

func wrongInput(format string, args ...any) error {
	return inputError{fmt.Errorf(format, args...)}
}

// errSaid ends a command with exit code 1 after it has said why itself.
var errSaid = errors.New("already reported")

// exitCode is the only place where an error becomes an exit code.
func exitCode(err error) int {
	var input inputError
	var faults config.Faults
	var policy *rego.LoadError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &input), errors.As(err, &faults), errors.As(err, &policy):
		return exitInput
	default:
		return exitFailed
	}
}

// complain says on w what went wrong, and returns the exit code. Lines of faults
// keep their form file:line:col so that editors find the place.
func complain(w io.Writer, command string, err error) int {
	code := exitCode(err)
	var faults config.Faults
	var policy *rego.LoadError
	switch {
	case err == nil, errors.Is(err, errSaid):
	case errors.As(err, &faults):
		fmt.Fprintf(w, "%v\n%s: %s in the configuration%s\n", err, command, counted(len(faults), "fault"), unstarted(command))
	case errors.As(err, &policy):
		fmt.Fprintf(w, "%v\n%s: %s in the policy%s\n", err, command, counted(len(policy.Problems), "fault"), unstarted(command))
	default:
		fmt.Fprintf(w, "%s: %v\n", command, err)
	}
	return code
}

// unstarted says of commands that start something that they did not.
func unstarted(command string) string {
	if command == "spillway up" || command == "spillway cloud" {
		return "; nothing was started"
	}
	return ""
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// withHint adds where to read on to what cobra refuses before a command runs.
func withHint(cmd *cobra.Command, err error) error {
	text := strings.TrimSpace(err.Error())
	return wrongInput("%s\nRun '%s --help' for examples and flags.", text, cmd.CommandPath())
}

// atMostOne wants one argument or none and says what it is.
func atMostOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("takes one argument at most, %s; there are %d", what, len(args))
		}
		return nil
	}
}

// exactly wants one argument and says what it is.
func exactly(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("needs one argument, %s; there are %d", what, len(args))
		}
		return nil
	}
}
