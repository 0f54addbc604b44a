package manifests

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestQueries holds alerts and panels to Prometheus' own grammar. That what they name is
// registered is tested beside the dashboard.
func TestQueries(t *testing.T) {
	all := map[string]string{}
	for _, o := range kustomized(t, "overlays/prod") {
		if o.GetKind() == "PrometheusRule" {
			alerts(t, o, all)
		}
	}
	before := len(all)
	panels(t, all)
	if before < 10 || len(all) < before+30 {
		t.Errorf("only %d alerts and %d panels were found", before, len(all)-before)
	}
	for name, expr := range all {
		if _, err := parser.ParseExpr(expr); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func alerts(t *testing.T, o object, into map[string]string) {
	t.Helper()
	groups, _ := at(t, o, "spec", "groups").([]any)
	for _, g := range groups {
		rules, _, err := unstructured.NestedSlice(g.(map[string]any), "rules")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			r := r.(map[string]any)
			into["alert "+r["alert"].(string)] = r["expr"].(string)
		}
	}
}

func panels(t *testing.T, into map[string]string) {
	t.Helper()
	text, err := os.ReadFile(root + "/components/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Panels []struct {
			Title   string
			Targets []struct{ RefID, Expr string }
		}
	}
	if err := json.Unmarshal(text, &shown); err != nil {
		t.Fatal(err)
	}
	for _, p := range shown.Panels {
		for _, q := range p.Targets {
			into["panel "+p.Title+" "+q.RefID+" "+q.Expr] = strings.ReplaceAll(q.Expr, "$__rate_interval", "5m")
		}
	}
}
