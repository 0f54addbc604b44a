package demo

import (
	"strings"
	"testing"
)

// TestEverySettingIsUsed fails when a file no longer has the text that a run replaces.
func TestEverySettingIsUsed(t *testing.T) {
	got, err := Files(Settings{Functions: "/F", SCF: "/S", OnPremLog: "/it's",
		Lambda: Cloud{"http://E", "/C", "/B"}, Tencent: Cloud{"http://T", "/D", "/Y"},
		Live: Live{Canary: 30, KillSwitch: true, Shadow: true}})
	if err != nil {
		t.Fatal(err)
	}
	for path, wants := range map[string][]string{
		"lambda.yaml":         {"dir: /F/thumbnail", "EXECUTION_LOG: '/C'", "executionLog: '/B'"},
		"scf.yaml":            {"dir: /S/thumbnail", "EXECUTION_LOG: '/D'", "executionLog: '/Y'"},
		"conf/pools.yaml":     {"endpoint: http://E", "endpoint: http://T"},
		"conf/functions.yaml": {"path: /F/payroll", "EXECUTION_LOG: '/it''s'", "{revision: v1, weight: 70}, {revision: v2, weight: 30}"},
		"conf/server.yaml":    {"identity: shop-web"},
		"conf/quotas.yaml":    {"department: finance"},
		"conf/policies.yaml":  {"name: patient", "killSwitch: true", "shadow: true"},
	} {
		for _, want := range wants {
			if !strings.Contains(got[path], want) {
				t.Errorf("%s has no %q", path, want)
			}
		}
		for _, left := range []string{"bin/functions", "bin/scf", `EXECUTION_LOG: ""`, "killSwitch: false", "shadow: false"} {
			if strings.Contains(got[path], left) {
				t.Errorf("%s still has %q", path, left)
			}
		}
	}
}

// TestNothingIsLiveAtFirst wants the files as written to be those of the beginning.
func TestNothingIsLiveAtFirst(t *testing.T) {
	got, err := Files(Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"conf/policies.yaml", "conf/server.yaml", "conf/quotas.yaml"} {
		text, err := files.ReadFile(path)
		if err != nil || got[path] != string(text) {
			t.Errorf("%s is changed without a setting (%v)", path, err)
		}
	}
}
