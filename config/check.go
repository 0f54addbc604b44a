package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// Bounds on values, beyond what their types hold.
const (
	maxCount    = 1_000_000
	maxDeadline = v1alpha1.Duration(time.Hour)
	// maxExecution is the longest execution, on-prem as on Lambda.
	maxExecution = v1alpha1.Duration(15 * time.Minute)
	// maxSCFExecution is the longest that the API of SCF waits for a function.
	maxSCFExecution = v1alpha1.Duration(5 * time.Minute)
)

var (
	labelForm    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	currencyForm = regexp.MustCompile(`^[A-Z]{3}$`)
	identityForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@:/+-]{0,127}$`)
)

const (
	labelAllowed    = `1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit`
	currencyAllowed = "three capital letters such as USD or CNY"
	identityAllowed = "1 to 128 letters, digits and . _ @ : / + -"
)

// label checks a DNS label; an empty one is missing.
func (s *source) label(path, value string) bool {
	switch {
	case value == "":
		s.fault(path, "is required", labelAllowed)
	case !labelForm.MatchString(value):
		s.fault(path, quoteShort(value)+" is not a name", labelAllowed)
	default:
		return true
	}
	return false
}

// oneOf checks a word; values in refused exist but not in this version.
func (s *source) oneOf(path, value string, allowed []string, refused ...string) {
	switch {
	case slices.Contains(allowed, value):
	case slices.Contains(refused, value):
		s.fault(path, value+" is "+notYet, alternatives(allowed))
	case value == "":
		s.fault(path, "is required", alternatives(allowed))
	default:
		s.fault(path, "unknown value "+quoteShort(value)+s.suggest(value, allowed), alternatives(allowed))
	}
}

// duration checks that lo ≤ *d ≤ hi. A nil d was reported when it was read.
func (s *source) duration(path string, d *v1alpha1.Duration, lo, hi v1alpha1.Duration) {
	if d != nil && (*d < lo || *d > hi) {
		s.fault(path, d.String()+" is out of range", fmt.Sprintf("%s to %s", lo, hi))
	}
}

// count checks that lo ≤ *n ≤ hi; nil is not written.
func (s *source) count(path string, n *int64, lo, hi int64) {
	if n != nil && (*n < lo || *n > hi) {
		s.fault(path, fmt.Sprintf("%d is out of range", *n), fmt.Sprintf("%d to %d", lo, hi))
	}
}

func (s *source) cpu(path string, c *v1alpha1.MilliCPU, lo, hi v1alpha1.MilliCPU) {
	if c != nil && (*c < lo || *c > hi) {
		s.fault(path, c.String()+" is out of range", fmt.Sprintf("%s to %s", lo, hi))
	}
}

func (s *source) memory(path string, b *v1alpha1.Bytes, lo, hi v1alpha1.Bytes) {
	if b != nil && (*b < lo || *b > hi) {
		s.fault(path, b.String()+" is out of range", fmt.Sprintf("%s to %s", lo, hi))
	}
}

func (s *source) currency(path, code string) {
	if !currencyForm.MatchString(code) {
		s.fault(path, quoteShort(code)+" is not a currency code", currencyAllowed)
	}
}

// reference checks that name is one of known, which is sorted; kind says of what.
func (s *source) reference(path, kind, name string, known []string) bool {
	if _, found := slices.BinarySearch(known, name); found {
		return true
	}
	if len(known) == 0 {
		s.fault(path, fmt.Sprintf("there is no %s %s", kind, quoteShort(name)), "there is none; write one")
		return false
	}
	s.fault(path, fmt.Sprintf("there is no %s %s", kind, quoteShort(name))+s.suggest(name, known), alternatives(known))
	return false
}

// relative returns path as seen from the file that s was written in.
func (s *source) relative(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	joined := filepath.Join(filepath.Dir(s.file), path)
	if abs, err := filepath.Abs(joined); err == nil {
		return abs
	}
	return joined
}

func index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
