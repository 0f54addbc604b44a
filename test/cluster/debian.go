package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const cniPlugins = "/usr/lib/cni"

// packages of Debian, with a program of each that must be there.
var packages = []struct{ name, program string }{
	{"containerd", "containerd"},
	{"containerd", "ctr"},
	{"runc", "runc"},
	{"containernetworking-plugins", cniPlugins + "/bridge"},
	{"iptables", "iptables"},
	{"conntrack", "conntrack"},
	{"iproute2", "ip"},
	{"util-linux", "nsenter"},
}

// prepare lets programs of the system be found, also by those that we start.
func prepare() error {
	return os.Setenv("PATH", os.Getenv("PATH")+":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

// preflight says what this machine lacks to run a node, all of it at once.
func preflight() error {
	if err := prepare(); err != nil {
		return err
	}
	var missing []string
	for _, p := range packages {
		if _, err := exec.LookPath(p.program); err != nil && (len(missing) == 0 || missing[len(missing)-1] != p.name) {
			missing = append(missing, p.name)
		}
	}
	switch {
	case len(missing) > 0:
		return fmt.Errorf("not on this machine: %s; run test/cluster/install as root, or: apt-get install --no-install-recommends %[1]s", strings.Join(missing, " "))
	case os.Geteuid() != 0:
		return fmt.Errorf("a cluster needs root, for its namespaces and cgroups; this is user %d", os.Geteuid())
	}
	if _, err := cgroupRoots(); err != nil {
		return err
	}
	return nil
}

// source finds a folder of what is built here, from the working directory or above.
func source(folder string) (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		for _, sub := range []string{folder, filepath.Join("test/cluster", folder)} {
			if found := filepath.Join(dir, sub); exists(filepath.Join(found, "go.mod")) {
				return found, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no test/cluster/%s in %s or above; call this inside the work tree", folder, here)
		}
	}
}
