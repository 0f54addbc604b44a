package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/durable"
)

// inCluster is the objects and policies of a Kubernetes cluster, besides the files of a
// directory, which may be "".
type inCluster struct {
	source   *cluster.Source
	dir      string
	policies string // directory where the policies of the cluster are put
	packages *deployed.Store

	log *slog.Logger

	mu     sync.Mutex
	loader config.Cluster
	said   map[string]bool // faults that are known
	// refused are the faults of the policies that were refused last.
	refused string
}

// readObjects bounds the reading of what is in memory already.
const readObjects = 10 * time.Second

// load takes a function with faults as it was when it last had none; what is wrong with
// it is among the warnings.
func (c *inCluster) load(checks config.Checks) (*config.Loaded, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readObjects)
	defer cancel()
	objects, err := c.source.Objects(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.putPolicies(ctx); err != nil {
		return nil, err
	}
	checks.PolicyDir, checks.Package, checks.InCluster = c.policies, c.packages.Package, true
	loaded, faults, err := c.loader.Load(c.dir, objects, time.Now(), checks)
	switch {
	case err != nil:
		return nil, err
	case loaded == nil:
		return nil, faults
	}
	known := map[string]bool{}
	for _, f := range faults {
		text := f.String()
		loaded.Warnings = append(loaded.Warnings, text)
		if known[text] = true; !c.said[text] {
			c.log.Warn("a function with a fault is served as it was before, if it ever was good", "fault", text)
		}
	}
	c.said = known
	return loaded, nil
}

// putPolicies makes the policy directory hold what the cluster has, if that compiles:
// the last good policy stays there, for the next start too.
func (c *inCluster) putPolicies(ctx context.Context) error {
	want, err := c.source.Policies(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.policies, 0o700); err != nil {
		return fmt.Errorf("put the policies of the cluster: %w", err)
	}
	faults, err := judgePolicies(want)
	if err != nil {
		return err
	}
	said := fmt.Sprint(faults)
	if len(faults) > 0 {
		if said != c.refused {
			c.log.Error("policies of the cluster refused, the last good ones stay", "faults", said)
		}
		c.refused = said
		return nil
	}
	c.refused = ""
	for name, text := range want {
		path := filepath.Join(c.policies, name)
		if has, err := os.ReadFile(path); err == nil && string(has) == text {
			continue
		}
		if err := durable.Write(path, ".next-*", func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return fmt.Errorf("put a policy of the cluster: %w", err)
		}
	}
	have, err := os.ReadDir(c.policies)
	if err != nil {
		return fmt.Errorf("put the policies of the cluster: %w", err)
	}
	for _, e := range have {
		if _, wanted := want[e.Name()]; wanted || !strings.HasSuffix(e.Name(), ".rego") {
			continue
		}
		if err := os.Remove(filepath.Join(c.policies, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("take away a policy that the cluster has no more: %w", err)
		}
	}
	return nil
}

// judgePolicies compiles policies in a directory of their own.
func judgePolicies(files map[string]string) ([]config.Fault, error) {
	dir, err := os.MkdirTemp("", "spillway-policy-")
	if err != nil {
		return nil, fmt.Errorf("judge the policies of the cluster: %w", err)
	}
	defer os.RemoveAll(dir)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("judge the policies of the cluster: %w", err)
		}
	}
	faults := policyFaults(dir, nil)
	for i := range faults {
		faults[i].File = filepath.Base(faults[i].File)
	}
	return faults, nil
}

// watch tells of objects and policies of the cluster and of files of the directory.
func (c *inCluster) watch(ctx context.Context, changes chan<- struct{}) error {
	go func() {
		for {
			select {
			case <-c.source.Changes():
			case <-ctx.Done():
				return
			}
			select { // several objects that are applied together are one change
			case <-time.After(quietFor):
			case <-ctx.Done():
				return
			}
			select {
			case changes <- struct{}{}:
			default:
			}
		}
	}()
	return watchDir(ctx, c.dir, changes)
}
