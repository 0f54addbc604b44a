// Command cluster runs a real Kubernetes on one machine, for tests: etcd, the API
// server, the controllers, the scheduler, and a kubelet with containerd and runc, all
// in namespaces of their own, out of which nothing is left when it is down. README.md
// says how tests use it.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

const usage = `usage: cluster COMMAND [flags] [arguments]

  assets                    a directory with etcd, kube-apiserver and kubectl, built if missing
  kwok [KUBECONFIG]         play nodes to an API server; without one, where the program
                            is that does it, built if missing
  check                     fails if this machine lacks something to run a cluster
  up                        bring a cluster up
  down                      take it down; fails if anything of it is left
  kubectl ARGUMENTS         kubectl, as an administrator
  exec PROGRAM ARGUMENTS    a program in the cluster's network
  image NAME BINARY ARGUMENTS  an image of one static program, put on the node; prints its digest
  stop COMPONENT            kill a component and keep it down
  start COMPONENT           start it again; kwok, for the first time, which builds it if missing

Every command but assets and kwok takes -dir, where the cluster keeps its files (default: %s).
KUBE_MINOR chooses a minor version of Kubernetes.
`

// invocation is one command with what it was given.
type invocation struct {
	site   site
	args   []string
	out    io.Writer
	flags  *flag.FlagSet
	attach *bool
	cached *bool
	kube   *string
}

var commands = map[string]func(*invocation) error{
	"assets":  (*invocation).assets,
	"kwok":    (*invocation).kwok,
	"check":   func(*invocation) error { return preflight() },
	"up":      (*invocation).up,
	"down":    (*invocation).down,
	"kubectl": (*invocation).kubectl,
	"exec":    (*invocation).exec,
	"image":   (*invocation).image,
	"stop":    (*invocation).stop,
	"start":   (*invocation).start,
	"pid1":    (*invocation).pid1,
	"pause":   (*invocation).pause,
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprintf(os.Stderr, usage, defaultDir())
		os.Exit(2)
	}
	c := &invocation{out: out, flags: flag.NewFlagSet(args[0], flag.ExitOnError)}
	dir := c.flags.String("dir", defaultDir(), "where the cluster keeps its files")
	c.attach = c.flags.Bool("attached", false, "up: stay, and take the cluster down when standard input ends")
	c.cached = c.flags.Bool("cached", false, "assets, kwok: fail instead of building")
	c.kube = c.flags.String("kubebox", "", "pid1: the program that holds the components")
	own, theirs := ownFlags(args[0], args[1:])
	if err := c.flags.Parse(own); err != nil {
		return err
	}
	c.args = append(c.flags.Args(), theirs...)
	var err error
	if c.site, err = siteAt(*dir); err != nil {
		return err
	}
	return commands[args[0]](c)
}

// ownFlags splits what is for this command from what is for the program that kubectl and
// exec run: theirs begins with whatever is not -dir, or after a --.
func ownFlags(command string, args []string) (own, theirs []string) {
	if command != "kubectl" && command != "exec" {
		return args, nil
	}
	n := 0
	for n+1 < len(args) && args[n] == "-dir" {
		n += 2
	}
	own, theirs = args[:n], args[n:]
	if len(theirs) > 0 && theirs[0] == "--" {
		theirs = theirs[1:]
	}
	return own, theirs
}

// need checks how many arguments there are, which are named in what.
func (c *invocation) need(n int, what string) error {
	if len(c.args) < n {
		return fmt.Errorf("%s needs %s; given: %q", c.flags.Name(), what, strings.Join(c.args, " "))
	}
	return nil
}
