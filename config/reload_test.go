package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/spillway-dev/spillway"
)

// TestPoolsKeepTheirIndices: a successor has every pool where it was, and those that
// are gone are retired.
func TestPoolsKeepTheirIndices(t *testing.T) {
	first := mustLoad(t, burstObjects).Platform
	without := strings.Replace(burstObjects, "metadata: {name: aws}", "metadata: {name: zz}", 1)
	without = strings.ReplaceAll(strings.ReplaceAll(without, "order: [onprem, qq, aws]", "order: [onprem, qq]"), ", {pool: aws}", "")
	checks := testChecks
	checks.Previous = first
	second := loadNext(t, without, checks).Platform
	if second.Generation != 2 || len(second.Pools) != 4 || second.Pools[3].Name != "zz" {
		t.Fatalf("pools %v", second.Pools)
	}
	for i, pool := range first.Pools {
		next := second.Pools[i]
		if next.Name != pool.Name || next.Retired != (pool.Name == "aws") {
			t.Errorf("pool %d was %s and is %s, retired %v", i, pool.Name, next.Name, next.Retired)
		}
	}
	for _, f := range second.Functions {
		if f.Permitted.Has(0) || f.Excluded[0] != spillway.ExcludedRetired {
			t.Errorf("%s may use a retired pool: %v", f, f.Excluded[0])
		}
	}
	checks.Previous = second
	third := loadNext(t, burstObjects, checks).Platform
	if third.Pools[0].Name != "aws" || third.Pools[0].Retired || !third.Pools[3].Retired {
		t.Errorf("a pool that came back: %+v", third.Pools[0])
	}
}

func loadNext(t *testing.T, text string, checks Checks) *Loaded {
	t.Helper()
	unpack(t, &txtar.Archive{Files: []txtar.File{{Name: "conf/a.yaml", Data: []byte(text)}}})
	l, err := Load("conf", testDay, checks)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestRegionsOfNoPool are misspelt, most likely.
func TestRegionsOfNoPool(t *testing.T) {
	l := mustLoad(t, strings.Replace(burstObjects, "regions: [ap-guangzhou]", "regions: [ap-guangzhou, us-esat-1]", 1))
	warned(t, l, "burst policy default: us-esat-1 is the region of no pool")
	checks := testChecks
	checks.Previous = l.Platform
	retired := strings.ReplaceAll(strings.ReplaceAll(burstObjects, "metadata: {name: aws}\nspec: {kind: lambda, region: us-east-1}", "metadata: {name: other}\nspec: {kind: process}"),
		"order: [onprem, qq, aws]", "order: [onprem, qq]")
	retired = strings.Replace(strings.Replace(retired, ", {pool: aws}", "", 1), "regions: [ap-guangzhou]", "regions: [us-east-1]", 1)
	warned(t, loadNext(t, retired, checks), "burst policy default: us-east-1 is the region of no pool")
}

// TestPoolsThatCannotFollow are refused: the previous platform stays.
func TestPoolsThatCannotFollow(t *testing.T) {
	pools := func(prefix string, kind string, n int) string {
		var text strings.Builder
		for i := range n {
			text.WriteString(object("Pool", fmt.Sprintf("%s%d", prefix, i), "{kind: "+kind+", region: us-east-1}"))
		}
		return text.String()
	}
	for name, c := range map[string]struct{ before, after, want string }{
		"kind":      {pools("a", "process", 2), pools("a", "process", 1) + strings.Replace(pools("a", "lambda", 2), pools("a", "lambda", 1), "", 1), "conf/a.yaml:9:14: spec.kind: pool a1 was of kind process"},
		"came back": {pools("a", "process", 1) + pools("b", "lambda", 1), pools("a", "process", 1) + pools("b", "process", 1), "spec.kind: pool b0 was of kind lambda"},
		"currency":  {pools("a", "process", 1), pools("a", "process", 1) + object("PriceBook", "b", "{currency: CNY, exchangeRates: [{from: USD, to: CNY, rate: 7, date: 2026-01-01, source: s}]}"), "conf/a.yaml:9:18: spec.currency: what was spent is counted in USD while the server runs; allowed: USD, or a restart"},
		"pods": {object("Pool", "a", "{kind: offline, kubernetes: {runtimeImage: 'localhost/a:dev', allowTags: true}}"), object("Pool", "a", "{kind: offline}"),
			"spec.kubernetes: pool a ran functions earlier while the server runs; allowed: as it was, or a restart"},
		"too many": {pools("a", "process", 10), pools("b", "process", 7), "metadata.name: pool 17, with those that were removed while the server runs; allowed: at most 16 until a restart"},
	} {
		t.Run(name, func(t *testing.T) {
			checks := testChecks
			checks.Previous = mustLoad(t, c.before).Platform
			if name == "came back" {
				checks.Previous = loadNext(t, pools("a", "process", 1), checks).Platform
			}
			unpack(t, &txtar.Archive{Files: []txtar.File{{Name: "conf/a.yaml", Data: []byte(c.after)}}})
			if _, err := Load("conf", testDay, checks); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}

// TestEverythingIsWrittenBack: the effective configuration means the same, at the
// start and while serving.
func TestEverythingIsWrittenBack(t *testing.T) {
	first := mustLoad(t, burstObjects)
	text, err := first.Render("yaml")
	if err != nil {
		t.Fatal(err)
	}
	checks := testChecks
	if err := os.WriteFile("conf/a.yaml", text, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := Load("conf", testDay, checks)
	if err != nil || !reflect.DeepEqual(first.Platform, again.Platform) {
		t.Fatalf("%v; it differs:\n%s", err, text)
	}
	checks.Previous = first.Platform
	next, err := Load("conf", testDay, checks)
	if err != nil || next.Platform.Revision != first.Platform.Revision || next.Platform.Generation != 2 || !reflect.DeepEqual(next.Platform.Pools, first.Platform.Pools) {
		t.Errorf("%v; the successor of itself differs", err)
	}
}
