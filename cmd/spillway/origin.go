package main

import (
	"context"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// origin is where a server's configuration comes from.
type origin interface {
	// load reads and compiles it. Mistakes are config.Faults.
	load(config.Checks) (*config.Loaded, error)
	// watch sends to changes when it may be another than before, until ctx ends.
	watch(ctx context.Context, changes chan<- struct{}) error
}

// inDirectory is a directory of files; "" is only defaults.
type inDirectory string

func (d inDirectory) load(checks config.Checks) (*config.Loaded, error) {
	return config.Load(string(d), time.Now(), checks)
}

func (d inDirectory) watch(ctx context.Context, changes chan<- struct{}) error {
	return watchDir(ctx, string(d), changes)
}

// loadFrom reads the successor of the configuration that previous was compiled from;
// nil for the first.
func loadFrom(from origin, previous *spillway.Platform, with additions) (*config.Loaded, error) {
	loaded, err := from.load(config.Checks{Digest: pkgdigest.Digest, Policy: policyFaults, Previous: previous, Deployed: with.files, QuotaOverlays: with.overlays})
	if err != nil {
		return nil, withDeployedHint(err, with.files)
	}
	return loaded, nil
}
