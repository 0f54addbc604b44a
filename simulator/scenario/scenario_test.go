package scenario_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/simulator"
	"github.com/spillway-dev/spillway/simulator/scenario"
	"github.com/spillway-dev/spillway/simulator/trace"
)

var prices = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// opened is a usage export of rows "tenant,function,durationMicros,MiB".
func opened(t *testing.T, rows ...string) *trace.Trace {
	t.Helper()
	var b strings.Builder
	b.WriteString("admitted,namespace,function,revision,department,pool,reason,outcome,duration_us,init_us,memory_mib,milli_cpu,billed_ms,amount,currency,waited_us\n")
	for i, row := range rows {
		f := strings.Split(row, ",")
		fmt.Fprintf(&b, "2026-11-02T09:00:%02dZ,%s,%s,v1,,onprem,preferred,executed,%s,0,%s,0,1,0.01,USD,0\n", i, f[0], f[1], f[2], f[3])
	}
	path := filepath.Join(t.TempDir(), "usage.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Open(t.Context(), path, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

var small = scenario.Standard{Nodes: 2, Concurrency: 1000}

// TestAdopted functions are as their trace shows them, under names that are DNS labels
// and each their own.
func TestAdopted(t *testing.T) {
	hash := strings.Repeat("0123456789abcdef", 4)
	other := hash[:63] + "0"
	tr := opened(t, "shop,hello,100000,200", hash+",f,1,4000", other+",f,1,64", "Ünï Cödé/Team,a b,1,128", "unï cödé/team,A-B,1,128")
	s, err := scenario.Load(tr, scenario.Options{Standard: small, Longest: 90 * time.Second, PricesAt: prices})
	if err != nil {
		t.Fatal(err)
	}
	if s.Adopted != 5 || s.Unknown != 0 {
		t.Errorf("%d adopted, %d unknown", s.Adopted, s.Unknown)
	}
	seen := map[string]bool{}
	for i, at := range s.Functions {
		f := s.Platform.Functions[at]
		if seen[f.FunctionKey.Namespace] {
			t.Errorf("two tenants are %s", f.FunctionKey.Namespace)
		}
		seen[f.FunctionKey.Namespace] = true
		if f.Timeout != 90*time.Second || f.Permitted.Len() != 2 {
			t.Errorf("function %d: timeout %s, pools %b", i, f.Timeout, f.Permitted)
		}
	}
	if f := s.Platform.Functions[s.Functions[0]]; f.String() != "shop/hello" && f.FunctionKey.Namespace != "shop" || f.Instance.MiB != 200 || f.Instance.MilliCPU != 113 {
		t.Errorf("%s holds %s", f, f.Instance)
	}
	if f := s.Platform.Functions[s.Functions[1]]; f.FunctionKey.Namespace != hash[:12] || f.Instance.MilliCPU != 2261 || f.Bindings[0].MiB != 4000 {
		t.Errorf("%s holds %s, and %d MiB in the cloud", f, f.Instance, f.Bindings[0].MiB)
	}
	if f := s.Platform.Functions[s.Functions[2]]; f.Instance.MilliCPU != 100 || f.Bindings[0].MiB != 128 {
		t.Errorf("%s holds %s, and %d MiB in the cloud", f, f.Instance, f.Bindings[0].MiB)
	}
	if owned := s.Platform.Pools[1]; owned.Capacity.MilliCPU != 124_000 || owned.Capacity.MiB != 500*1024 || owned.HourlyNano < 2*450_000_000 {
		t.Errorf("two servers hold %s and cost %s an hour", owned.Capacity, owned.HourlyNano)
	}
}

// TestDepartments of a usage export pay for their namespaces.
func TestDepartments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "usage.csv")
	text := "admitted,namespace,function,revision,department,pool,reason,outcome,duration_us,init_us,memory_mib,milli_cpu,billed_ms,amount,currency,waited_us\n"
	for i, ns := range []string{"shop", "stock", "lab"} {
		text += fmt.Sprintf("2026-11-02T09:00:%02dZ,%s,f,v1,%s,onprem,preferred,executed,1,0,128,0,1,0.01,USD,0\n", i, ns, []string{"retail", "retail", "research"}[i])
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tr, err := trace.Open(t.Context(), path, trace.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tr.Close() }()
	s, err := scenario.Load(tr, scenario.Options{Standard: small, Longest: time.Second, PricesAt: prices})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, n := range s.Platform.Namespaces {
		got += n.Name + "=" + n.Department + " "
	}
	if got != "lab=research shop=retail stock=retail " || len(s.Platform.Quotas) != 3 {
		t.Errorf("%s in %d quotas", got, len(s.Platform.Quotas))
	}
}

const directory = `
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: shop}
spec: {parent: company, namespaces: [shop]}
---
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: hello, namespace: shop}
spec: {revisions: [{name: v1, package: {path: nowhere}}], resources: {memory: 1Gi}}
`

// TestKnown functions are those of the directory; others come below the quota that is
// named, but not into a namespace that the directory governs.
func TestKnown(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(directory), 0o600); err != nil {
		t.Fatal(err)
	}
	rows := []string{"shop,hello,1,128", "shop,other,1,128", "team,job,1,128"}
	for adopt, want := range map[string][3]bool{"": {true, false, false}, "company": {true, false, true}} {
		s, err := scenario.Load(opened(t, rows...), scenario.Options{Dir: dir, Adopt: adopt, Longest: time.Second, PricesAt: prices})
		if err != nil {
			t.Fatal(err)
		}
		for i, known := range want {
			if (s.Functions[i] >= 0) != known {
				t.Errorf("adopt %q: %s is function %d", adopt, rows[i], s.Functions[i])
			}
		}
		if f := s.Platform.Functions[s.Functions[0]]; f.Instance.MiB != 1024 {
			t.Errorf("adopt %q: shop/hello holds %s", adopt, f.Instance)
		}
	}
	var missing *scenario.NoQuotaError
	if _, err := scenario.Load(opened(t, rows...), scenario.Options{Dir: dir, Adopt: "nobody", PricesAt: prices}); !errors.As(err, &missing) || missing.Name != "nobody" {
		t.Errorf("below a quota that is not there: %v", err)
	}
	if _, err := scenario.Load(opened(t, rows...), scenario.Options{Dir: dir, PricesAt: prices, Models: scenario.Models{"moon": {}}}); err == nil || !strings.Contains(err.Error(), "moon") {
		t.Errorf("a model of a pool that is not there: %v", err)
	}
}

// TestLargest default platform is one that a configuration may be.
func TestLargest(t *testing.T) {
	sum := &trace.Summary{Length: time.Second, GiBSeconds: 1e12, PeakConcurrency: 1e9}
	if _, err := scenario.Load(opened(t, "shop,hello,1,128"), scenario.Options{Standard: scenario.StandardFor(sum), PricesAt: prices}); err != nil {
		t.Error(err)
	}
}

// TestTooMany functions are refused with the number that is allowed.
func TestTooMany(t *testing.T) {
	tr, err := trace.New(trace.Workload{Preset: trace.Online, Functions: 100_001, Tenants: 5, Days: 1, CallsPerDay: 10})
	if err != nil {
		t.Fatal(err)
	}
	var faults config.Faults
	if _, err := scenario.Load(tr, scenario.Options{Standard: small, PricesAt: prices}); !errors.As(err, &faults) || !strings.Contains(err.Error(), "100000") {
		t.Errorf("%v", err)
	}
}

// TestReplayOfGenerated: the default platform has room for the trace that it is sized by.
func TestReplayOfGenerated(t *testing.T) {
	tr, err := trace.New(trace.Workload{Preset: trace.Mixed, Functions: 40, Tenants: 6, Days: 1, CallsPerDay: 20_000, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := trace.Inspect(t.Context(), tr)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Load(tr, scenario.Options{Standard: scenario.StandardFor(sum), Longest: sum.Duration.At(1), PricesAt: prices, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := simulator.Run(t.Context(), s.Config)
	if err != nil || r.Calls != sum.Calls || r.Refused != 0 || r.Skipped != 0 {
		t.Errorf("%d calls of %d, %d refused, %d skipped (%v)", r.Calls, sum.Calls, r.Refused, r.Skipped, err)
	}
}
