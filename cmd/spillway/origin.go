package main

import (
	"context"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// origin is where a server's configuration comes from.
type origin interface {
	// load reads and compiles it. Mistakes are config.Faults.
	load(config.Checks) (*config.Loaded, error)
	// serves says that what was loaded last is what serves.
	serves()
	// sweep takes packages out of a store that neither it nor a platform has at now.
	sweep(ctx context.Context, from *deployed.Store, p *spillway.Platform, now time.Time) error
	// watch sends to changes when it may be another than before, until ctx ends.
	watch(ctx context.Context, changes chan<- struct{}) error
}

// inDirectory is a directory of files; "" is only defaults.
type inDirectory string

func (d inDirectory) load(checks config.Checks) (*config.Loaded, error) {
	return config.Load(string(d), time.Now(), checks)
}

func (inDirectory) serves() {}

func (inDirectory) sweep(_ context.Context, from *deployed.Store, p *spillway.Platform, now time.Time) error {
	return from.Sweep(now, packagesOf(p)...)
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
