package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway-dev/spillway/agent/remote"
)

// memoryLimit is what the collector keeps the agent's memory to: its part of a pod's is
// 32 MiB, and what the collector does not count has to fit in too. GOMEMLIMIT overrides it.
const memoryLimit = 24 << 20 // bytes

// serve is the agent of a pod.
func serve(ctx context.Context, arguments, environ []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("spillway-agent serve", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", ":"+strconv.Itoa(remote.Port), "`address` to listen on")
	dir := flags.String("dir", filepath.Join(os.TempDir(), "spillway-agent"), "`directory` for the package and the function's HOME")
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	server, err := newServer(*dir, flags.Args(), environ, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "spillway-agent:", err)
		return 2
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		fmt.Fprintln(stderr, "spillway-agent:", err)
		return 2
	}
	// The function may have our user: it must not read our key, nor end up in our memory.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fmt.Fprintln(stderr, "spillway-agent: keep the function out of its memory:", err)
		return 2
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	fmt.Fprintln(stderr, "spillway-agent: serving on", l.Addr())
	if err := server.Serve(ctx, l); err != nil {
		fmt.Fprintln(stderr, "spillway-agent:", err)
		return 1
	}
	return 0
}

func newServer(dir string, command, environ []string, log io.Writer) (*remote.Server, error) {
	work, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find its working directory: %w", err)
	}
	authority := ""
	for _, pair := range environ {
		if value, ok := strings.CutPrefix(pair, remote.AuthorityVariable+"="); ok {
			authority = value
		}
	}
	return remote.NewServer(remote.ServerConfig{
		Authority: []byte(authority), Dir: dir, Command: command, Environ: environ, WorkDir: work,
		Confine: remote.Container(), Log: log,
	})
}

// ready reports whether an agent serves here.
func ready(ctx context.Context, arguments []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("spillway-agent ready", flag.ContinueOnError)
	flags.SetOutput(stderr)
	address := flags.String("address", net.JoinHostPort("127.0.0.1", strconv.Itoa(remote.Port)), "`address` it listens on")
	if err := flags.Parse(arguments); err != nil {
		return 2
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "tcp", *address)
	if err != nil {
		fmt.Fprintln(stderr, "spillway-agent:", err)
		return 1
	}
	_ = conn.Close()
	return 0
}

// install copies this program to DIR/agent, whole or not at all.
func install(arguments []string, stderr io.Writer) int {
	if len(arguments) != 1 {
		fmt.Fprintln(stderr, "usage: spillway-agent install DIR")
		return 2
	}
	if err := copySelf(filepath.Join(arguments[0], "agent")); err != nil {
		fmt.Fprintln(stderr, "spillway-agent: install itself:", err)
		return 1
	}
	return 0
}

func copySelf(to string) (err error) {
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	stage, err := os.CreateTemp(filepath.Dir(to), ".agent-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(stage.Name()))
		}
	}()
	_, err = io.Copy(stage, self)
	if err = errors.Join(err, stage.Chmod(0o555), stage.Close()); err != nil {
		return err
	}
	return os.Rename(stage.Name(), to)
}
