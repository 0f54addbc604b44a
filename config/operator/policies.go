package operator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
)

// judgePolicies makes an event of each policy ConfigMap whose Rego does not load, once
// for each text, and of each that loads again.
func (r *rounds) judgePolicies(ctx context.Context, loaded *config.Loaded) error {
	if r.o.Policy == nil {
		return nil
	}
	maps, err := cluster.PolicyMaps(ctx, r.client, r.o.Namespace)
	if err != nil {
		return err
	}
	var p *spillway.Platform
	if loaded != nil {
		p = loaded.Platform
	}
	faults, err := r.policyFaults(cluster.PolicyFiles(maps), p)
	if err != nil {
		return err
	}
	said := map[string]string{}
	for i := range maps {
		m := &maps[i]
		text := policyText(m, faults)
		said[m.Name] = text
		switch was := r.policies[m.Name]; {
		case text == was:
		case text != "":
			r.event(m, corev1.EventTypeWarning, "PolicyInvalid", "Judge", text+"\nWhat the policies were when they last had no faults goes on to hold.")
		default:
			r.event(m, corev1.EventTypeNormal, "PolicyValid", "Judge", "The policy holds as it is written.")
		}
	}
	r.policies = said
	return nil
}

// policyFaults are of files that are written to a folder of their own.
func (r *rounds) policyFaults(files map[string]string, p *spillway.Platform) (faults []config.Fault, err error) {
	if len(files) == 0 {
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "spillway-policy-")
	if err != nil {
		return nil, fmt.Errorf("write policies down: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write policies down: %w", err)
		}
	}
	return r.o.Policy(dir, p), nil
}

// policyText is what is said of one ConfigMap: its own faults, or those of no file.
func policyText(m *corev1.ConfigMap, faults []config.Fault) string {
	var lines []string
	for _, f := range faults {
		name := filepath.Base(f.File)
		owner, key, inFile := strings.Cut(name, "_")
		if inFile && owner != m.Name {
			continue
		}
		if inFile {
			f.File = key
		} else {
			f.File = "policies"
		}
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}
