// Package config reads a directory of objects (package api/v1alpha1), fills in
// defaults, reports every mistake at once with its place, and compiles the rest
// to a spillway.Platform. The same input always gives the same Platform.
package config

//go:generate go run ./internal/gendoc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// PolicyDir is the name of the sub-directory that holds Rego.
const PolicyDir = "policy"

// Bounds on a directory.
const (
	maxFiles      = 1000
	maxTotalBytes = 64 << 20
	maxWarnings   = 100
)

// Checks are the parts of loading that can be done in other ways. Zero fields
// have their defaults.
type Checks struct {
	// Digest returns sha256:<64 hex digits> of the directory or zip file at path,
	// which is absolute. Default: pkgdigest.Digest.
	Digest func(path string) (string, error)
	// Policy returns the faults of the Rego in dir, for a platform p, which is
	// nil when other objects have faults. Default: nothing is checked.
	Policy func(dir string, p *spillway.Platform) []Fault
	// Machine is what a process pool may hold by default. Zero asks the machine.
	Machine spillway.Resources
	// Previous is the platform that the new one will replace while serving: its
	// pools keep their indices, those that are gone are retired. Nil at the start.
	Previous *spillway.Platform
	// Deployed are more files to read, after those of the directory.
	Deployed []string
	// QuotaOverlays change quotas of the directory, one after the other.
	QuotaOverlays []QuotaOverlay
	// Given are more objects, after those of files: pointers to Function, Pool, Quota,
	// BurstPolicy or PriceBook of package v1alpha1, or Objects. Their faults have no
	// line.
	Given []any
	// Package returns where the package with a digest is, which was uploaded; false if
	// it is not there. For Objects; by default nothing is checked and paths are empty.
	Package func(digest string) (path string, ok bool)
	// NamespaceUIDs are those of namespaces of a cluster. Others are made from names.
	NamespaceUIDs map[string]string
	// PolicyDir holds Rego; by default DIR/policy, if that is there.
	PolicyDir string
	// InCluster says that a cluster has the objects and knows the callers: no pool is made
	// where there is none, nobody calls without credentials unless that is written, and
	// keys and tokens may be left out.
	InCluster bool
	// WithoutCode leaves the packages of functions alone, and the files that Objects
	// name, since nothing will run.
	WithoutCode bool
}

// Loaded is a whole configuration: compiled, and as written with defaults.
type Loaded struct {
	Platform *spillway.Platform
	Server   Server
	// PolicyDir holds Rego; empty if the directory has none.
	PolicyDir string
	// Warnings are for people, at most maxWarnings and a line that says how many
	// more there are; none of them stops the program.
	Warnings []string
	// FunctionFaults are of functions of a cluster that are not in Platform as they are
	// written.
	FunctionFaults Faults
	// Files are the YAML files that were read, sorted.
	Files []string
	// PricesUntil is when a price, exchange rate or quota overlay in Platform stops
	// holding and the directory should be loaded again; zero if no end is known.
	PricesUntil time.Time
	// Conflicts are the overlays that do not apply, by name, and why.
	Conflicts map[string]string
	// Misfits are those of Conflicts with which there would be faults, by name.
	Misfits map[string]Faults

	effective []any                         // objects with defaults, in the order of Render
	written   map[string]v1alpha1.QuotaSpec // of overlaid quotas, as the directory has them
}

// Load reads the directory dir, or only defaults if dir is empty. Prices are
// those that hold at now. Mistakes in the input are returned together as Faults;
// any other error is a failure to read. The directory must be good without overlays,
// too; those with which it is not are left out, and are among Conflicts and Misfits.
func Load(dir string, now time.Time, checks Checks) (*Loaded, error) {
	if checks.QuotaOverlays = held(checks.QuotaOverlays, now); len(checks.QuotaOverlays) > 0 {
		return loadFitting(dir, now, checks)
	}
	return loadOnce(dir, now, checks)
}

func loadOnce(dir string, now time.Time, checks Checks) (*Loaded, error) {
	l := &loading{now: now, checks: checks, paths: map[string]string{}, digests: map[string]digested{}}
	if l.checks.Digest == nil {
		l.checks.Digest = pkgdigest.Digest
	}
	files, err := l.list(dir)
	if err != nil {
		return nil, err
	}
	files = append(files, checks.Deployed...)
	for _, file := range files {
		if err := l.read(file); err != nil {
			return nil, err
		}
	}
	for _, o := range checks.Given {
		l.give(o)
	}
	l.finish(dir)
	if len(l.faults) > 0 {
		sortFaults(l.faults)
		return nil, l.faults
	}
	l.result.Files = files
	if more := l.warned - maxWarnings; more > 0 {
		l.result.Warnings = append(l.result.Warnings, fmt.Sprintf("and %d more warnings", more))
	}
	return &l.result, nil
}

// loading is the state of one Load.
type loading struct {
	now     time.Time
	checks  Checks
	all     objects
	faults  Faults
	broken  bool // a file did not parse, so what is missing may be in there
	bytes   int64
	visits  int // values of the current file
	warned  int
	paths   map[string]string
	digests map[string]digested
	book    *billing.Book
	rates   []billing.ExchangeRate
	quotes  map[string]billing.Quote // by plan, of the plans that pools use
	result  Loaded
}

// finish checks and compiles what was read. Each step needs what the one before
// established, so that one mistake is reported once.
func (l *loading) finish(dir string) {
	l.checkNames()
	if l.result.PolicyDir = l.checks.PolicyDir; dir != "" && l.result.PolicyDir == "" {
		if info, err := os.Stat(filepath.Join(dir, PolicyDir)); err == nil && info.IsDir() {
			l.result.PolicyDir = filepath.Join(dir, PolicyDir)
		}
	}
	l.fillDefaults()
	l.overlayQuotas()
	l.validate()
	if !l.broken {
		l.checkReferences()
	}
	if len(l.faults) > 0 {
		l.checkPolicy(nil)
		return
	}
	l.compile()
	if len(l.faults) == 0 {
		l.checkPolicy(l.result.Platform)
	}
}

// checkPolicy runs the policy check; p is nil if there is no platform to check
// it against.
func (l *loading) checkPolicy(p *spillway.Platform) {
	if l.checks.Policy != nil && l.result.PolicyDir != "" {
		l.faults = append(l.faults, l.checks.Policy(l.result.PolicyDir, p)...)
	}
}

// list returns the YAML files directly in dir, sorted.
func (l *loading) list(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Faults{{File: dir, Problem: "no such directory", Allowed: "a directory of *.yaml files"}}
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, Faults{{File: dir, Problem: "is not a directory", Allowed: "a directory of *.yaml files"}}
	}
	if err != nil {
		return nil, fmt.Errorf("read configuration directory: %w", err)
	}
	var files []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) > maxFiles {
		return nil, Faults{{File: dir, Problem: fmt.Sprintf("%d files", len(files)), Allowed: fmt.Sprintf("at most %d", maxFiles)}}
	}
	if len(files) == 0 {
		l.warn("no *.yaml files in %s: everything has its default", dir)
	}
	return files, nil
}

// read adds the objects of one file.
func (l *loading) read(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if !info.Mode().IsRegular() {
		l.faults = append(l.faults, Fault{File: file, Problem: "is not a regular file"})
		return nil
	}
	content, err := readAtMost(file, maxFileBytes+1)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if l.bytes += int64(len(content)); l.bytes > maxTotalBytes {
		return Faults{{File: file, Problem: fmt.Sprintf("with this file the directory has more than %d MiB", maxTotalBytes>>20)}}
	}
	docs, fault := parse(file, content)
	if fault != nil {
		l.broken = true
		l.faults = append(l.faults, *fault)
		return nil
	}
	l.visits = 0
	for _, doc := range docs {
		l.document(doc, file)
	}
	return nil
}

func readAtMost(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func (l *loading) warn(format string, args ...any) {
	if l.warned++; l.warned > maxWarnings {
		return
	}
	l.result.Warnings = append(l.result.Warnings, fmt.Sprintf(format, args...))
}

// Server is the program's own configuration, with paths made absolute.
type Server struct {
	Listen       string // IP:port
	Admin        string // IP:port, loopback
	DataDir      string
	DrainTimeout time.Duration
	Anonymous    bool
	Keys         []v1alpha1.AccessKey
	Tokens       []v1alpha1.Token
	Alerts       v1alpha1.Alerts
}
