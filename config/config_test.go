package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/spillway-dev/spillway"
)

// loadText loads one file below a new current directory; see unpack.
func loadText(t testing.TB, text string, more ...txtar.File) (*Loaded, error) {
	t.Helper()
	unpack(t, &txtar.Archive{Files: append(more, txtar.File{Name: "conf/a.yaml", Data: []byte(text)})})
	return Load("conf", testDay, testChecks)
}

func mustLoad(t testing.TB, text string, more ...txtar.File) *Loaded {
	t.Helper()
	l, err := loadText(t, text, more...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const head = "apiVersion: spillway.dev/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec: %s\n---\n"

func object(kind, name, spec string) string { return fmt.Sprintf(head, kind, name, spec) }

func function(name, spec string) string {
	return fmt.Sprintf("apiVersion: spillway.dev/v1alpha1\nkind: Function\nmetadata: {name: %s, namespace: shop}\n"+
		"spec: {revisions: [{name: v1, package: {path: ../fn}}], %s}\n---\n", name, spec)
}

func TestNoConfigurationHasDefaults(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/state")
	l, err := Load("", testDay, testChecks)
	if err != nil {
		t.Fatal(err)
	}
	p := l.Platform
	if len(p.Pools) != 1 || p.Pools[0].Name != "onprem" || p.Pools[0].Capacity != testChecks.Machine {
		t.Errorf("pools: %+v", p.Pools)
	}
	if p.Pools[0].HourlyNano <= 0 || p.Pools[0].PriceVersion == "" {
		t.Errorf("the pool has no price: %+v", p.Pools[0])
	}
	if b := p.BurstPolicies[0]; b.Name != "default" || b.Mode != spillway.ModeOnPremOnly || !slices.Equal(b.Order, []int{0}) {
		t.Errorf("burst policy: %+v", b)
	}
	s := l.Server
	if s.Listen != "127.0.0.1:8080" || s.Admin != "127.0.0.1:8081" || !s.Anonymous || s.DataDir != "/state/spillway" || s.DrainTimeout != 30*time.Second {
		t.Errorf("server: %+v", s)
	}
	if l.PolicyDir != "" || len(l.Files) != 0 {
		t.Errorf("policy %q, files %q", l.PolicyDir, l.Files)
	}
}

func TestThisMachineHasRoom(t *testing.T) {
	if m := thisMachine(); m.Slots < 1 || m.MilliCPU < 1000 || m.MiB < 256 {
		t.Errorf("machine: %s", m)
	}
}

func TestDirectoryThatIsNotThere(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "nowhere"), testDay, testChecks)
	var faults Faults
	if !errors.As(err, &faults) || len(faults) != 1 || !strings.Contains(err.Error(), "no such directory") {
		t.Errorf("got %v", err)
	}
}

func TestEmptyDirectoryIsDefaultsWithAWarning(t *testing.T) {
	l, err := Load(t.TempDir(), testDay, testChecks)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(l.Warnings, "\n"), "everything has its default") {
		t.Errorf("warnings: %q", l.Warnings)
	}
}

// TestOnlyYAMLFilesDirectlyInTheDirectoryCount has files of other names that
// would be faults.
func TestOnlyYAMLFilesDirectlyInTheDirectoryCount(t *testing.T) {
	bad := []byte("{")
	l := mustLoad(t, "", txtar.File{Name: "conf/b.yml", Data: []byte(object("Pool", "b", "{kind: process}"))},
		txtar.File{Name: "conf/.hidden.yaml", Data: bad}, txtar.File{Name: "conf/c.json", Data: bad},
		txtar.File{Name: "conf/below/d.yaml", Data: bad}, txtar.File{Name: "conf/policy/data.yaml", Data: bad})
	if want := []string{"conf/a.yaml", "conf/b.yml"}; !slices.Equal(l.Files, want) {
		t.Errorf("files %q, want %q", l.Files, want)
	}
	if len(l.Platform.Pools) != 1 || l.Platform.Pools[0].Name != "b" {
		t.Errorf("pools: %+v", l.Platform.Pools)
	}
	if l.PolicyDir != "conf/policy" {
		t.Errorf("policy directory %q", l.PolicyDir)
	}
}

func TestPolicyFaultsCountLikeOthers(t *testing.T) {
	unpack(t, &txtar.Archive{Files: []txtar.File{
		{Name: "conf/policy/a.rego", Data: []byte("package")},
		{Name: "conf/a.yaml", Data: []byte(function("resize", "burst: maybe"))},
	}})
	var with []bool
	checks := testChecks
	checks.Policy = func(dir string, p *spillway.Platform) []Fault {
		with = append(with, p != nil)
		return []Fault{{File: filepath.Join(dir, "a.rego"), Line: 1, Col: 8, Problem: "unexpected end"}}
	}
	_, err := Load("conf", testDay, checks)
	if want := "conf/a.yaml:4:64: spec.burst: unknown value \"maybe\"; allowed: allow, deny\nconf/policy/a.rego:1:8: unexpected end"; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if err := os.WriteFile("conf/a.yaml", []byte(function("resize", "burst: deny")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load("conf", testDay, checks); err == nil {
		t.Error("loaded with a bad policy")
	}
	if !slices.Equal(with, []bool{false, true}) {
		t.Errorf("the policy was checked with a platform: %v", with)
	}
}

func TestAliasesStandForWhatTheyName(t *testing.T) {
	l := mustLoad(t, `apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: resize, namespace: shop}
spec:
  revisions: [{name: v1, package: {path: ../fn}}]
  timeout: &t 4s
  maxWait: *t
  dataClass: &c open
  env:
    A: *c
    B: |
      two
      lines
`)
	f := l.Platform.Functions[0]
	if f.MaxWait != 4*time.Second || !slices.Equal(f.Env, []string{"A=open", "B=two\nlines\n"}) {
		t.Errorf("maxWait %s, env %q", f.MaxWait, f.Env)
	}
}

func TestFaultsAreListedUpToALimit(t *testing.T) {
	faults := make(Faults, maxListed+5)
	lines := strings.Split(faults.Error(), "\n")
	if len(lines) != maxListed+1 || lines[maxListed] != "and 5 more" {
		t.Errorf("%d lines, last %q", len(lines), lines[len(lines)-1])
	}
}

// TestSecretsAreNotRepeated puts a secret where people might, by mistake.
func TestSecretsAreNotRepeated(t *testing.T) {
	const secret = "wJalrXUtnFEMI-CANARY"
	for _, key := range []string{"secretFrom: " + secret, "secretFrom: {file: " + secret + "}", "secretFrom: {env: " + secret + "}",
		"secretFrom: {value: " + secret + "}", "secret: " + secret, "secretFrom: [" + secret + "]", "secretFrom: {file: {x: " + secret + "}}"} {
		_, err := loadText(t, object("Server", "s", "{auth: {keys: [{accessKeyID: ABCDEFGHIJKLMNOP, identity: a, invoke: ['*'], "+key+"}]}}"))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", key, err)
		}
	}
	_, err := loadText(t, object("Pool", "p", "{kind: lambda, region: us-east-1, lambda: {endpoint: 'http://user:"+secret+"@host', credentials: "+secret+"}}"))
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("pool: %v", err)
	}
}

func TestEffectiveIsTheSameInBothFormats(t *testing.T) {
	l := mustLoad(t, function("resize", "cloud: [{pool: x}]")+object("Pool", "x", "{kind: lambda, region: us-east-1}")+object("Pool", "y", "{kind: process}"))
	text, err := l.Render("json")
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(text, &list); err != nil || len(list) != len(l.Effective()) {
		t.Errorf("%d objects of %d, %v", len(list), len(l.Effective()), err)
	}
}
