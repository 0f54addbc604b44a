// Command dashboard writes the Grafana dashboard of the manifests: a panel for each metric
// that the code registers, after a few that put them together.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

//go:generate go run .

const (
	root   = "../.."
	output = "../components/monitoring/dashboard.json"
)

func main() {
	text, err := generate()
	if err == nil {
		err = os.WriteFile(output, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func generate() ([]byte, error) {
	all, err := registered(root)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err = e.Encode(dashboard(all))
	return b.Bytes(), err
}

func dashboard(all []metric) map[string]any {
	p := &page{}
	p.row("At a glance")
	for _, g := range glance {
		p.panel(g.title, g.help, g.unit, g.queries...)
	}
	subsystem := ""
	for _, m := range all {
		if s := strings.Split(m.name, "_")[1]; s != subsystem {
			subsystem = s
			p.row(strings.ToUpper(s[:1]) + s[1:])
		}
		p.panel(title(m), m.help, unit(m), queries(m)...)
	}
	return map[string]any{
		"uid": "spillway", "title": "Spillway", "tags": []string{"spillway"}, "schemaVersion": 39, "editable": false,
		"refresh": "30s", "time": map[string]string{"from": "now-3h", "to": "now"}, "timezone": "browser",
		"templating": map[string]any{"list": []any{
			map[string]any{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
			variable("namespace", "label_values(spillway_dispatcher_placements_total, namespace)"),
			variable("pool", "label_values(spillway_pool_slots, pool)"),
		}},
		"panels": p.panels,
	}
}

func variable(name, query string) map[string]any {
	return map[string]any{"name": name, "label": strings.ToUpper(name[:1]) + name[1:], "type": "query", "datasource": source, "query": query,
		"multi": true, "includeAll": true, "allValue": ".*", "refresh": 2, "sort": 1,
		"current": map[string]any{"text": "All", "value": "$__all"}}
}
