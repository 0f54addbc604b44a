package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/policy/rego"
)

// loadConfig reads and checks a configuration directory; "" means only defaults.
// Mistakes are config.Faults, those of the policy too.
func loadConfig(dir string) (*config.Loaded, error) {
	return loadFrom(inDirectory(dir), nil, additions{})
}

// additions are what a server keeps of its configuration besides the directory.
type additions struct {
	files    []string // of deployed functions
	overlays []config.QuotaOverlay
}

// withDeployedHint says what to do about faults in what developers deployed.
func withDeployedHint(err error, deployed []string) error {
	var faults config.Faults
	if !errors.As(err, &faults) || !slices.ContainsFunc(faults, func(f config.Fault) bool { return slices.Contains(deployed, f.File) }) {
		return err
	}
	return fmt.Errorf("%w\n'spillway deploy' put the function there: take it away with 'spillway delete', or remove its file while no server runs", err)
}

// policyFaults compiles the Rego in dir; p is nil when the rest of the
// configuration has faults.
func policyFaults(dir string, p *spillway.Platform) []config.Fault {
	bundle, err := rego.Load(dir)
	if err == nil && p != nil {
		_, err = bundle.Bind(p)
	}
	var faults *rego.LoadError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &faults):
		return []config.Fault{{File: dir, Problem: err.Error()}}
	}
	all := make([]config.Fault, len(faults.Problems))
	for i, p := range faults.Problems {
		all[i] = config.Fault{File: p.File, Line: p.Line, Col: p.Col, Problem: p.Message}
	}
	return all
}
