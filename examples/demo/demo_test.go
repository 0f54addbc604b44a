package demo

import (
	"strings"
	"testing"
)

// TestEverySettingIsUsed fails when a file no longer has the text that a run replaces.
func TestEverySettingIsUsed(t *testing.T) {
	got, err := Files(Settings{Functions: "/F", Endpoint: "http://E", OnPremLog: "/it's", CloudLog: "/C", CloudBill: "/B"})
	if err != nil {
		t.Fatal(err)
	}
	for path, wants := range map[string][]string{
		"cloud.yaml":          {"dir: /F/thumbnail", "EXECUTION_LOG: '/C'", "executionLog: '/B'"},
		"conf/pools.yaml":     {"endpoint: http://E"},
		"conf/functions.yaml": {"path: /F/payroll", "EXECUTION_LOG: '/it''s'"},
		"conf/server.yaml":    {"identity: shop-web"},
		"conf/quotas.yaml":    {"department: finance"},
		"conf/policies.yaml":  {"name: patient"},
	} {
		for _, want := range wants {
			if !strings.Contains(got[path], want) {
				t.Errorf("%s has no %q", path, want)
			}
		}
		if strings.Contains(got[path], "bin/functions") || strings.Contains(got[path], `EXECUTION_LOG: ""`) {
			t.Errorf("%s still has what should be replaced", path)
		}
	}
}
