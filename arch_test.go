package spillway_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/spillway-dev/spillway"

// rule says what a package, and what it pulls in, may not depend on.
type rule struct {
	from   string // package path below the module
	deny   []string
	reason string
}

var (
	awsSDK     = "github.com/aws/aws-sdk-go-v2"
	tencentSDK = "github.com/tencentcloud/tencentcloud-sdk-go"
	opa        = "github.com/open-policy-agent/opa"
	sql        = "modernc.org/sqlite"
)

var rules = []rule{
	{from: "", deny: []string{module + "/", "golang.org/", "github.com/"}, reason: "the vocabulary is standard library only, so that everything may import it"},
	{from: "quota", deny: []string{awsSDK, opa, sql, "net/http", "log/slog", "os"}, reason: "quota is pure: it is simulated as it runs"},
	{from: "dispatcher/placement", deny: []string{awsSDK, opa, sql, "net/http", "log/slog", "os", module + "/quota", module + "/pools"}, reason: "placement is pure and asks a Prober"},
	{from: "dispatcher", deny: []string{awsSDK, opa, sql, "net/http", "log/slog", module + "/auth", module + "/config", module + "/api", module + "/simulator", module + "/dispatcher/server", module + "/dispatcher/httpapi"}, reason: "the Engine decides and does nothing else; what we simulate is what we run"},
	{from: "dispatcher/server", deny: []string{awsSDK, opa, sql, module + "/config", module + "/api", module + "/simulator", module + "/pools/process", module + "/pools/lambda", module + "/billing/sqlite"}, reason: "the live driver is given its pools, policy and ledger"},
	{from: "dispatcher/httpapi", deny: []string{awsSDK, opa, sql, module + "/config", module + "/simulator"}, reason: "the front door speaks HTTP and knows no cloud"},
	{from: "policy", deny: []string{opa}, reason: "policy/rego is the only importer of OPA"},
	{from: "billing", deny: []string{awsSDK, opa, sql, "net/http", "database/sql"}, reason: "rating and statements are pure; stores are below"},
	{from: "billing/reconcile", deny: []string{awsSDK, tencentSDK, opa, sql, "net/http", "database/sql", "log/slog", "os", module + "/billing/ledger", module + "/billing/sqlite", module + "/pools"}, reason: "reconciliation is given lines and records; commands read ledgers and logs"},
	{from: "pools", deny: []string{awsSDK, opa, sql, module + "/dispatcher", module + "/quota"}, reason: "a pool runs what it is told and decides nothing"},
	{from: "pools/process", deny: []string{awsSDK, opa, sql, module + "/dispatcher", module + "/config"}, reason: "SDKs stay in their own leaf"},
	{from: "pools/lambda", deny: []string{opa, sql, module + "/dispatcher", module + "/config", module + "/billing"}, reason: "SDKs stay in their own leaf"},
	{from: "agent", deny: []string{awsSDK, opa, sql, module + "/dispatcher", module + "/config", module + "/billing"}, reason: "the agent stands beside a function and stays small"},
	{from: "config", deny: []string{awsSDK, opa, sql, "k8s.io", "sigs.k8s.io", module + "/dispatcher"}, reason: "loading a configuration needs no engine and no SDK; config/cluster hands it objects"},
	{from: "api/v1alpha1", deny: []string{module + "/", "k8s.io/", "sigs.k8s.io/", "github.com/", "golang.org/"}, reason: "what people write is standard library only; package kube makes custom resources of it"},
	{from: "clouddrift", deny: []string{awsSDK, tencentSDK, opa, sql, "net/http", "log/slog", "os", module + "/pools", module + "/config"}, reason: "the comparison is given what clouds say; the pools ask"},
	{from: "export/terraform", deny: []string{awsSDK, tencentSDK, opa, sql, "net/http", "log/slog", "os", module + "/config"}, reason: "an export is text of what is wanted; the command writes it"},
	{from: "auth", deny: []string{awsSDK, opa, sql, module + "/dispatcher"}, reason: "identity comes before dispatch; signing is auth/sigv4's"},
	{from: "dispatcher/keepalive", deny: []string{awsSDK, opa, sql, "net/http", "log/slog", "os", module + "/quota", module + "/config", module + "/pools"}, reason: "keep-alive policies are pure: they are simulated as they run"},
	{from: "simulator", deny: []string{awsSDK, tencentSDK, opa, sql, "net/http", "log/slog", "os", "time/tzdata", module + "/config", module + "/api", module + "/pools", module + "/dispatcher/server"}, reason: "the simulator drives the Engine in virtual time and is given all else"},
	{from: "simulator/planner", deny: []string{awsSDK, tencentSDK, opa, sql, "net/http", "log/slog", "os", module + "/dispatcher", module + "/config", module + "/pools"}, reason: "the planner is arithmetic; what checks its answer is given to it"},
	{from: "simulator/trace", deny: []string{awsSDK, tencentSDK, opa, sql, "net/http", module + "/dispatcher", module + "/quota", module + "/pools", module + "/config"}, reason: "a trace knows nothing of what it is replayed on"},
	{from: "provider/idle", deny: []string{awsSDK, tencentSDK, opa, sql, "k8s.io", "net/http", "log/slog", "os", module + "/dispatcher", module + "/quota", module + "/config", module + "/pools"}, reason: "idle capacity is arithmetic on what the node's shell saw"},
	{from: "provider/guest", deny: []string{awsSDK, opa, sql, "k8s.io/client-go", "sigs.k8s.io/controller-runtime", "net/http", "log/slog", "os", module + "/dispatcher", module + "/config"}, reason: "what a guest is follows from objects alone"},
	{from: "provider/course", deny: []string{awsSDK, opa, sql, "k8s.io/client-go", "sigs.k8s.io/controller-runtime", "net/http", "log/slog", "os", module + "/dispatcher", module + "/config"}, reason: "what happens next follows from facts; provider/node fetches them and does it"},
	{from: "simulator/cloud", deny: []string{module + "/billing", module + "/dispatcher", module + "/quota", module + "/pools/lambda", opa, sql}, reason: "the stand-in keeps a bill of its own, so it shares no billing and no client with us"},
}

// sdkHomes are the only packages that may import an SDK directly.
var sdkHomes = map[string][]string{
	awsSDK:     {"pools/lambda", "auth/sigv4", "cmd/spillway-demo", "test/bench"}, // the demo and the bench are customers
	tencentSDK: {"pools/scf"},
	opa:        {"policy/rego"},
	sql:        {"billing/sqlite"},
}

type listed struct {
	ImportPath    string
	Imports, Deps []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	// Folders are looked at, so that a cached result is not taken for one of other
	// sources than those that go list will read.
	if err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != "." && (d.Name()[0] == '.' || path == "bin") {
			return filepath.SkipDir
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// TestImports holds every package to its rules, also through third packages.
func TestImports(t *testing.T) {
	packages := listPackages(t)
	seen := map[string]bool{}
	for _, p := range packages {
		short := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		seen[short] = true
		for _, r := range rules {
			if r.from != short {
				continue
			}
			for _, dep := range p.Deps {
				// The standard library is judged by what a package imports itself.
				if !isStd(dep) || slices.Contains(p.Imports, dep) {
					checkDep(t, r, short, dep)
				}
			}
		}
		for sdk, homes := range sdkHomes {
			for _, imported := range p.Imports {
				if under(imported, sdk) && !slices.Contains(homes, short) {
					t.Errorf("%s imports %s: only %v may, so that an SDK can be replaced in one place", short, imported, homes)
				}
			}
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, module+"/cmd") {
				t.Errorf("%s imports %s: nothing imports a command", short, imported)
			}
		}
	}
	for _, r := range rules {
		if !seen[r.from] {
			t.Errorf("a rule names package %q, which is not there", r.from)
		}
	}
}

func checkDep(t *testing.T, r rule, short, dep string) {
	t.Helper()
	for _, denied := range r.deny {
		if under(dep, strings.TrimSuffix(denied, "/")) || (strings.HasSuffix(denied, "/") && strings.HasPrefix(dep, denied)) {
			if r.from == "" && dep == module {
				continue
			}
			t.Errorf("%q depends on %s: %s", short, dep, r.reason)
		}
	}
}

func under(path, prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }

func isStd(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// pureFolders hold decision code: no clock, no global randomness, no goroutine.
var pureFolders = []string{".", "quota", "dispatcher", "dispatcher/placement", "policy", "billing", "billing/reconcile", "clouddrift", "export/terraform",
	"dispatcher/keepalive", "simulator", "simulator/planner", "provider/idle", "provider/guest", "provider/course"}

// TestPure reads the decision code itself.
func TestPure(t *testing.T) {
	banned := map[string]string{
		"time.Now": "the time is an argument", "time.Since": "the time is an argument", "time.Sleep": "nothing waits",
		"time.After": "nothing waits", "time.NewTimer": "nothing waits", "time.AfterFunc": "nothing waits",
		"rand.Int": "no randomness", "rand.IntN": "no randomness", "rand.Float64": "no randomness", "os.Getenv": "no environment",
	}
	for _, folder := range pureFolders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files (%v)", folder, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			checkPure(t, file, banned)
		}
	}
}

func checkPure(t *testing.T, file string, banned map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, file, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s: a goroutine in decision code", fset.Position(n.Pos()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok {
				if why, bad := banned[x.Name+"."+n.Sel.Name]; bad {
					t.Errorf("%s: %s.%s in decision code: %s", fset.Position(n.Pos()), x.Name, n.Sel.Name, why)
				}
			}
		}
		return true
	})
}
