package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

var kwokVersion = regexp.MustCompile(`(?m)^\s*sigs\.k8s\.io/kwok (v\S+)$`)

// kwokRecipe is that of the program that plays nodes. It is built when somebody wants it.
func kwokRecipe() (recipe, error) {
	dir, err := source("kwok")
	if err != nil {
		return recipe{}, err
	}
	r := recipe{program: "kwok", source: dir, modfile: "go.mod", takes: "5 minutes"}
	mod, err := os.ReadFile(filepath.Join(dir, r.modfile))
	if err != nil {
		return r, err
	}
	found := kwokVersion.FindSubmatch(mod)
	if found == nil {
		return r, fmt.Errorf("%s in %s requires no sigs.k8s.io/kwok", r.modfile, dir)
	}
	r.version = string(found[1])
	r.key, err = r.digest()
	return r, err
}

// kwok becomes the program, which plays the nodes of the cluster that a file tells of.
// Without one it is built in good time, and prints where it is.
func (c *invocation) kwok() error {
	r, err := kwokRecipe()
	if err != nil {
		return err
	}
	if err := r.ensure(*c.cached); err != nil {
		return err
	}
	if len(c.args) == 0 {
		_, err = fmt.Fprintln(c.out, r.binary())
		return err
	}
	argv := append([]string{"kwok"}, kwokFlags(filepath.Join(r.source, "stages.yaml"), c.args[0])...)
	return fmt.Errorf("run kwok: %w", syscall.Exec(r.binary(), append(argv, "--server-address=127.0.0.1:0"), os.Environ()))
}

// installKwok puts the program and what it plays where the cluster's first process
// looks for it.
func (s site) installKwok() error {
	r, err := kwokRecipe()
	if err != nil {
		return err
	}
	if err := errors.Join(visible(r.assets()), r.ensure(false)); err != nil {
		return err
	}
	stages, err := os.ReadFile(filepath.Join(r.source, "stages.yaml"))
	if err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(s.path("kwok"), 0o755), os.WriteFile(s.path("kwok", "stages.yaml"), stages, 0o644), os.RemoveAll(s.path("kwok", "kwok"))); err != nil {
		return err
	}
	return os.Symlink(r.binary(), s.path("kwok", "kwok"))
}

// kwokFlags leave every node alone that is not marked as one to be played.
func kwokFlags(stages, kubeconfig string) []string {
	return []string{
		"--config=" + stages, "--kubeconfig=" + kubeconfig,
		"--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
		"--node-lease-duration-seconds=40", "--node-ip=" + nodeIP, "--cidr=" + playedPodRange,
	}
}
