// Command dashboard writes the Grafana dashboard of the manifests: a panel for each metric
// that the code registers, after a few that put them together; and the page of the
// documentation that lists them.
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
	root      = "../.."
	output    = "../components/monitoring/dashboard.json"
	reference = "../../docs/reference/metrics.md"
)

func main() {
	files, err := generate()
	for name, text := range files {
		if err == nil {
			err = os.WriteFile(name, text, 0o644)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

// generate returns what is written, by file.
func generate() (map[string][]byte, error) {
	all, err := registered(root)
	if err != nil {
		return nil, err
	}
	panels, err := encode(dashboard(all))
	return map[string][]byte{output: panels, reference: list(all)}, err
}

// list is the page of all metrics.
func list(all []metric) []byte {
	var b bytes.Buffer
	b.WriteString("# Metrics\n\n<!-- Made from the code that registers them by: go generate ./manifests/dashboard -->\n\n" +
		"What `/metrics` has, besides the Go runtime's and the process's own. Labels are names from the configuration and words of a fixed list, never ids.\n\n" +
		"| Metric | Kind | Labels | What |\n|---|---|---|---|\n")
	for _, m := range all {
		labels := make([]string, len(m.labels))
		for i, l := range m.labels {
			labels[i] = "`" + l + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, strings.Join(labels, ", "), m.help)
	}
	return b.Bytes()
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(v)
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
