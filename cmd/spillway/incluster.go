package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/config/deployed"
)

// inCluster is the objects and policies of a Kubernetes cluster, besides the files of a
// directory, which may be "".
type inCluster struct {
	source   *cluster.Source
	dir      string
	policies string // directory where the policies of the cluster are put
	packages *deployed.Store

	log *slog.Logger

	mu      sync.Mutex
	serving bool            // something does
	loader  config.Cluster  // with the objects that serve
	kept    keptObjects     // of what serves
	served  judged          // of what serves
	next    loadedObjects   // by the last load that found something to serve
	said    map[string]bool // faults that are known
	// looked are the policies that were judged last, by the name of their file.
	looked map[string]string
	faults config.Faults // of looked
}

// loadedObjects are those of a load, which may come to serve or not.
type loadedObjects struct {
	loader config.Cluster
	judged judged
	// revision of the platform that they make; "" if they are those that were good last.
	revision string
	// instead are the faults of the objects in whose place those that were good last are.
	instead config.Faults
}

// readObjects bounds the reading of what is in memory already.
const readObjects = 10 * time.Second

// load takes a function with faults as it was when it last served. At the start it does
// so with all objects.
func (c *inCluster) load(checks config.Checks) (*config.Loaded, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readObjects)
	defer cancel()
	all, err := c.source.All(ctx)
	if err != nil {
		return nil, err
	}
	objects := cluster.Kept(all)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.putPolicies(ctx); err != nil {
		return nil, err
	}
	if checks.NamespaceUIDs, err = c.source.NamespaceUIDs(ctx); err != nil {
		return nil, err
	}
	checks.PolicyDir, checks.Package, checks.InCluster = c.policies, c.packages.Package, true
	loader := c.begin()
	loaded, faults, err := loader.Load(c.dir, objects, time.Now(), checks)
	switch {
	case err != nil:
		return nil, err
	case loaded == nil && checks.Previous == nil:
		return c.loadKept(all, faults, checks)
	case loaded == nil:
		return nil, faults
	}
	c.next = loadedObjects{loader: loader, judged: judge(all, loaded.Platform, faults), revision: loaded.Platform.Revision}
	c.say(faults)
	return loaded, nil
}

// begin returns a loader in which functions that were good last serve where they have
// faults now: those that serve, and at the start those of the start before.
func (c *inCluster) begin() config.Cluster {
	loader := c.loader
	if c.serving {
		return loader
	}
	objects, err := c.kept.read()
	if err != nil {
		c.log.Warn("functions that have faults now are left out", "error", err)
	}
	loader.Begin(objects)
	return loader
}

// loadKept begins with the objects that were good last, in place of those that have faults.
func (c *inCluster) loadKept(all []cluster.Object, faults config.Faults, checks config.Checks) (*config.Loaded, error) {
	objects, err := c.kept.read()
	if err != nil || len(objects) == 0 {
		return nil, errors.Join(faults, err, errors.New("no objects were good before in this data directory, so there is nothing to serve: mend the faults"))
	}
	loader := c.begin()
	loaded, others, err := loader.Load(c.dir, objects, time.Now(), checks)
	switch {
	case err != nil:
		return nil, err
	case loaded == nil:
		return nil, fmt.Errorf("%w\nwhat was good last in this data directory is not any more:\n%w", faults, others)
	}
	if c.next.instead == nil && !c.serving {
		c.log.Error("objects of the cluster refused, those that were good last serve", "faults", faults.Error())
	}
	c.next = loadedObjects{loader: loader, judged: judgeKept(all, objects), instead: faults}
	c.say(others)
	return loaded, nil
}

// say tells once of functions that are not served as they are written.
func (c *inCluster) say(faults config.Faults) {
	known := map[string]bool{}
	for _, f := range faults {
		text := f.String()
		if known[text] = true; !c.said[text] {
			c.log.Warn("a function with a fault is served as it was before, if it ever was good", "fault", text)
		}
	}
	c.said = known
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
