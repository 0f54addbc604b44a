package requested

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

const digestPrefix = "sha256:"

// reportFile is where a report of that digest is.
func (s *Store) reportFile(report string) string {
	return filepath.Join(s.dir, "reports", strings.TrimPrefix(report, digestPrefix)+".json")
}

// dropReport removes a report that no request names as its latest.
func (s *Store) dropReport(report string) error {
	all, err := s.All()
	if err != nil || named(all)[report] {
		return err
	}
	if err := os.Remove(s.reportFile(report)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the report of an earlier simulation: %w", err)
	}
	return nil
}

// named are the reports of the latest simulations, which approvals rest on too.
func named(all []v1alpha1.QuotaRequest) map[string]bool {
	reports := map[string]bool{}
	for _, r := range all {
		if r.Status.Simulation != nil {
			reports[r.Status.Simulation.Report] = true
		}
	}
	return reports
}

// NewTrace makes a file for the calls of a simulation, which the caller removes.
func (s *Store) NewTrace() (*os.File, error) {
	if err := s.makeDir(s.dir); err != nil {
		return nil, fmt.Errorf("keep the trace: %w", err)
	}
	f, err := os.CreateTemp(s.dir, traceFile)
	if err != nil {
		return nil, fmt.Errorf("keep the trace: %w", err)
	}
	return f, nil
}

// Sweep removes what a server that was killed left behind, and reports that no
// request names. No other server may use the store.
func (s *Store) Sweep() error {
	all, err := s.All()
	if err != nil {
		return err
	}
	keep := named(all)
	var faults []error
	for _, pattern := range []string{nextFile, traceFile, filepath.Join("reports", nextFile), filepath.Join("reports", "*.json")} {
		files, err := filepath.Glob(filepath.Join(s.dir, pattern))
		faults = append(faults, err)
		for _, file := range files {
			digest, report := strings.CutSuffix(filepath.Base(file), ".json")
			if report && keep[digestPrefix+digest] {
				continue
			}
			faults = append(faults, os.Remove(file))
		}
	}
	return errors.Join(faults...)
}
