package clouddrift_test

import (
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
)

var sum, other = "sha256:" + strings.Repeat("ab", 32), "sha256:" + strings.Repeat("cd", 32)

// fixture is a binding and what a cloud says of it when nothing is wrong.
func fixture() (clouddrift.Want, clouddrift.Found) {
	w := clouddrift.Want{
		Pool:         &spillway.Pool{Name: "east", Kind: spillway.PoolLambda, Region: "us-east-1", InitTimeout: 10 * time.Second},
		Function:     &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "team", Name: "fn"}, Revision: "v1", Package: spillway.Package{Path: "/p/fn.zip", Digest: sum}},
		Binding:      &spillway.Binding{Name: "fn", Qualifier: "live", MiB: 128, Timeout: 3 * time.Second},
		Architecture: clouddrift.X86,
		Burst:        30,
	}
	return w, clouddrift.Found{Version: "7", MiB: 128, Timeout: 3 * time.Second, Digest: sum, Architecture: clouddrift.X86}
}

func reserved(n int64) *int64 { return &n }

// TestCompare: each case changes one thing, and wants its field named, or nothing.
func TestCompare(t *testing.T) {
	type (
		want  = *clouddrift.Want
		found = *clouddrift.Found
	)
	for name, test := range map[string]struct {
		change func(want, found)
		field  string // of the only difference; empty for none
		says   string // in expected, found or why, or in a note if there is no difference
	}{
		"same":                  {func(want, found) {}, "", ""},
		"more memory":           {func(_ want, f found) { f.MiB = 256 }, "memory", "cost more than is reserved"},
		"less memory":           {func(_ want, f found) { f.MiB = 64 }, "memory", "less memory"},
		"longer timeout":        {func(_ want, f found) { f.Timeout = 4 * time.Second }, "timeout", "cost more"},
		"shorter timeout":       {func(_ want, f found) { f.Timeout = time.Second }, "timeout", "cut off earlier"},
		"longer init":           {func(_ want, f found) { f.InitTimeout = 65 * time.Second }, "initTimeout", "at most 10s"},
		"init within":           {func(_ want, f found) { f.InitTimeout = 10 * time.Second }, "", ""},
		"other code":            {func(_ want, f found) { f.Digest = other }, "code", other},
		"directory":             {func(w want, f found) { w.Function.Package.Path, f.Digest = "/p/fn", other }, "", "the package is a directory"},
		"no digest":             {func(_ want, f found) { f.Digest, f.NoDigest = "", "nobody knows" }, "", "not compared: nobody knows"},
		"other processor":       {func(_ want, f found) { f.Architecture = clouddrift.ARM }, "architecture", "x86_64"},
		"plan without one":      {func(w want, f found) { w.Architecture, f.Architecture = "", clouddrift.ARM }, "", ""},
		"cloud without one":     {func(_ want, f found) { f.Architecture = "" }, "", ""},
		"failed":                {func(_ want, f found) { f.State = "Failed" }, "state", "Failed"},
		"split":                 {func(_ want, f found) { f.Split = true }, "routing", "spec.traffic"},
		"kill switch":           {func(_ want, f found) { f.Reserved = reserved(0) }, "reservedConcurrency", "kill switch"},
		"kill switch, no limit": {func(w want, f found) { w.Burst, f.Reserved = spillway.Unlimited, reserved(0) }, "reservedConcurrency", "kill switch"},
		"reserved too little":   {func(_ want, f found) { f.Reserved = reserved(29) }, "reservedConcurrency", "at least 30 calls"},
		"reserved enough":       {func(_ want, f found) { f.Reserved = reserved(30) }, "", ""},
		"reserved, no limit":    {func(w want, f found) { w.Burst, f.Reserved = spillway.Unlimited, reserved(5) }, "", "it gets no more"},
		"SCF counts MiB":        {func(w want, f found) { w.Pool.Kind, f.Reserved = spillway.PoolSCF, reserved(30*128) }, "", ""},
		"SCF too little":        {func(w want, f found) { w.Pool.Kind, f.Reserved = spillway.PoolSCF, reserved(30*128-1) }, "reservedConcurrency", "3839 MiB"},
	} {
		w, f := fixture()
		test.change(&w, &f)
		got := clouddrift.Compare(w, f)
		if test.field == "" {
			notes := ""
			for _, n := range got.Notes {
				notes += n.Text
			}
			if got.Status != clouddrift.OK || len(got.Differences) != 0 || !strings.Contains(notes, test.says) || test.says == "" && notes != "" {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if got.Status != clouddrift.Drift || len(got.Differences) != 1 {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		d := got.Differences[0]
		if d.Field != test.field || d.Expected == "" || d.Found == "" || !strings.Contains(d.Expected+d.Found+d.Why, test.says) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestCompareAll: everything that is wrong is said at once.
func TestCompareAll(t *testing.T) {
	w, _ := fixture()
	got := clouddrift.Compare(w, clouddrift.Found{Version: "7", MiB: 1, Timeout: time.Second, InitTimeout: time.Minute, Digest: other, Architecture: clouddrift.ARM, State: "Failed", Split: true, Reserved: reserved(1)})
	if len(got.Differences) != 8 || got.Status != clouddrift.Drift || got.Version != "7" || got.Function != "team/fn" || got.Qualifier != "live" {
		t.Errorf("%+v", got)
	}
}

func TestMissing(t *testing.T) {
	w, _ := fixture()
	for absence, says := range map[clouddrift.Absence]string{
		clouddrift.MissingFunction: "no function fn in us-east-1", clouddrift.MissingQualifier: "no version or alias live",
	} {
		if got := clouddrift.Compare(w, clouddrift.Found{Missing: absence}); got.Status != clouddrift.Missing || !strings.Contains(got.Problem, says) || len(got.Differences) > 0 {
			t.Errorf("%+v", got)
		}
	}
}

func TestCompareAccount(t *testing.T) {
	calls, memory := spillway.CloudLimits{Concurrency: 1000}, spillway.CloudLimits{MemoryMiB: 128_000}
	for name, test := range map[string]struct {
		limits spillway.CloudLimits
		found  clouddrift.Account
		field  string
		notes  int
	}{
		"same":           {calls, clouddrift.Account{Concurrency: 1000, Unreserved: 1000}, "", 0},
		"more":           {calls, clouddrift.Account{Concurrency: 5000, Unreserved: 5000}, "", 0},
		"less":           {calls, clouddrift.Account{Concurrency: 999, Unreserved: 999}, "accountConcurrency", 0},
		"reserved":       {calls, clouddrift.Account{Concurrency: 1000, Unreserved: 900}, "", 1},
		"memory":         {memory, clouddrift.Account{MemoryMiB: 128_000}, "", 0},
		"less memory":    {memory, clouddrift.Account{MemoryMiB: 64_000}, "accountMemory", 0},
		"no mirror":      {spillway.CloudLimits{}, clouddrift.Account{Concurrency: 10}, "accountConcurrency", 0},
		"calls mirrored": {calls, clouddrift.Account{MemoryMiB: 64_000}, "", 0},
	} {
		got := clouddrift.CompareAccount(&spillway.Pool{Name: "p", Limits: test.limits}, test.found)
		if test.field == "" && (got.Status != clouddrift.OK || len(got.Differences) != 0) ||
			test.field != "" && (got.Status != clouddrift.Drift || len(got.Differences) != 1 || got.Differences[0].Field != test.field) || len(got.Notes) != test.notes {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// platform has an on-prem pool, two clouds and one that was removed, and functions
// that are bound to one of them, to both, and to none.
func platform() *spillway.Platform {
	p := &spillway.Platform{
		Pools: []*spillway.Pool{
			{Index: 0, Name: "onprem"},
			{Index: 1, Name: "east", Kind: spillway.PoolLambda, Limits: spillway.CloudLimits{Concurrency: 1000}},
			{Index: 2, Name: "canton", Kind: spillway.PoolSCF, Limits: spillway.CloudLimits{MemoryMiB: 1024}},
			{Index: 3, Name: "gone", Kind: spillway.PoolLambda, Retired: true},
		},
		BurstPolicies: []spillway.BurstPolicy{{MaxBurstConcurrency: spillway.Unlimited}, {MaxBurstConcurrency: 5}},
	}
	for i, pools := range [][]int{{1}, {1, 2, 3}, nil} {
		f := &spillway.Function{FunctionKey: spillway.FunctionKey{Namespace: "team", Name: string(rune('a' + i))}, Policy: i % 2}
		for _, at := range pools {
			f.Bindings[at] = spillway.Binding{Name: f.Name, MiB: 128}
		}
		p.Functions = append(p.Functions, f)
	}
	return p
}

func TestWants(t *testing.T) {
	p := platform()
	arm := func(pool *spillway.Pool) string { return map[string]string{"east": clouddrift.ARM}[pool.Name] }
	var got []string
	for _, w := range clouddrift.Wants(p, "", arm) {
		got = append(got, w.Pool.Name+" "+w.Function.Name+" "+w.Architecture)
		if w.Binding != &w.Function.Bindings[w.Pool.Index] {
			t.Error("a binding of another pool")
		}
	}
	if text := strings.Join(got, ","); text != "east a arm64,east b arm64,canton b " {
		t.Error(text)
	}
	burst := map[string]int64{}
	for _, w := range clouddrift.Wants(p, "", arm) {
		burst[w.Pool.Name+" "+w.Function.Name] = w.Burst
	}
	if burst["east a"] != 1000 || burst["east b"] != 5 || burst["canton b"] != 5 {
		t.Errorf("%v", burst)
	}
	p.BurstPolicies[1].MaxBurstConcurrency = 100
	if only := clouddrift.Wants(p, "canton", arm); len(only) != 1 || only[0].Burst != 8 {
		t.Errorf("%+v", only)
	}
	if clouddrift.Wants(p, "onprem", arm) != nil || clouddrift.Wants(p, "gone", arm) != nil {
		t.Error("pools that are no clouds in use are checked")
	}
}

func TestReport(t *testing.T) {
	w, f := fixture()
	r := clouddrift.NewReport([]clouddrift.Finding{
		clouddrift.Compare(w, f), clouddrift.Compare(w, clouddrift.Found{Missing: clouddrift.MissingFunction}),
		clouddrift.Failed(w, "x"), clouddrift.FailedAccount(w.Pool, "x"), clouddrift.Compare(w, clouddrift.Found{}),
	})
	if r.Counts != (clouddrift.Counts{OK: 1, Drift: 1, Missing: 1, Unreachable: 2}) || r.Counts.Clean() {
		t.Errorf("%+v", r.Counts)
	}
	if !clouddrift.NewReport(r.Findings[:1]).Counts.Clean() {
		t.Error("not clean")
	}
}
