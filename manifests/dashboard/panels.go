package main

import (
	"fmt"
	"slices"
	"strings"
)

var source = map[string]string{"type": "prometheus", "uid": "${datasource}"}

// query is a line, or several, of a panel.
type query struct{ expr, legend string }

// glance are the panels that put metrics together.
var glance = []struct {
	title, help, unit string
	queries           []query
}{
	{"Calls by pool", "Answered calls, by the pool that ran them.", "reqps", []query{
		{`sum by (pool) (rate(spillway_dispatcher_placements_total{namespace=~"$namespace"}[$__rate_interval]))`, "{{pool}}"}}},
	{"Why calls went where they went", "Answered calls, by the reason of their place.", "reqps", []query{
		{`sum by (reason) (rate(spillway_dispatcher_placements_total{namespace=~"$namespace"}[$__rate_interval]))`, "{{reason}}"}}},
	{"Refused calls", "Calls that did not run, by reason and the limit that decided.", "reqps", []query{
		{`sum by (reason, limit) (rate(spillway_dispatcher_refusals_total{namespace=~"$namespace"}[$__rate_interval]))`, "{{reason}} {{limit}}"}}},
	{"Latency of calls", "From admission to answer, of calls that ran.", "s", []query{
		{`histogram_quantile(0.5, sum by (le) (rate(spillway_dispatcher_call_duration_seconds_bucket{namespace=~"$namespace"}[$__rate_interval])))`, "p50"},
		{`histogram_quantile(0.99, sum by (le) (rate(spillway_dispatcher_call_duration_seconds_bucket{namespace=~"$namespace"}[$__rate_interval])))`, "p99"}}},
	{"Calls by revision", "Answered calls of functions, by the revision that was called: a canary's share.", "reqps", []query{
		{`sum by (namespace, function, revision) (rate(spillway_revision_calls_total{namespace=~"$namespace",pool=~"$pool"}[$__rate_interval]))`, "{{namespace}}/{{function}} {{revision}}"}}},
	{"Failed calls by revision", "Part of a revision's calls that did not succeed: a canary is worse where it is above the others.", "percentunit", []query{
		{`sum by (namespace, function, revision) (rate(spillway_revision_calls_total{namespace=~"$namespace",outcome!="success"}[$__rate_interval])) / sum by (namespace, function, revision) (rate(spillway_revision_calls_total{namespace=~"$namespace"}[$__rate_interval]))`, "{{namespace}}/{{function}} {{revision}}"}}},
	{"Quota in use", "Slots in use of those that are nominal; more than all of them is borrowed.", "percentunit", []query{
		{`max by (quota, class) (spillway_quota_slots_used) / max by (quota, class) (spillway_quota_slots_limit)`, "{{quota}} {{class}}"}}},
	{"Idle capacity", "Cores that the virtual node offers, and what guests hold of them.", "short", []query{
		{`max(spillway_node_capacity{term="allocatable",resource="cpu"})`, "real nodes"},
		{`max(spillway_node_capacity{term="published",resource="cpu"})`, "published"},
		{`max(spillway_node_capacity{term="guests",resource="cpu"})`, "guests"}}},
	{"Budgets in use", "Spent and reserved in the current window.", "percentunit", []query{
		{`(max by (quota, window) (spillway_budget_spent_units) + max by (quota, window) (spillway_budget_reserved_units)) / max by (quota, window) (spillway_budget_limit_units)`, "{{quota}} per {{window}}"}}},
}

// page lays panels out, three in a line.
type page struct {
	panels []any
	x, y   int
}

const (
	width  = 8
	height = 7
	line   = 24
)

func (p *page) row(title string) {
	if p.x > 0 {
		p.x, p.y = 0, p.y+height
	}
	p.panels = append(p.panels, map[string]any{"id": len(p.panels) + 1, "type": "row", "title": title, "collapsed": false, "panels": []any{},
		"gridPos": map[string]int{"x": 0, "y": p.y, "w": line, "h": 1}})
	p.y++
}

func (p *page) panel(title, help, unit string, queries ...query) {
	targets := make([]any, len(queries))
	for i, q := range queries {
		targets[i] = map[string]any{"refId": string(rune('A' + i)), "datasource": source, "expr": q.expr, "legendFormat": q.legend}
	}
	p.panels = append(p.panels, map[string]any{"id": len(p.panels) + 1, "type": "timeseries", "title": title, "description": help, "datasource": source,
		"targets": targets, "fieldConfig": map[string]any{"defaults": map[string]any{"unit": unit, "min": 0}, "overrides": []any{}},
		"options": map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": map[string]any{"mode": "multi", "sort": "desc"}},
		"gridPos": map[string]int{"x": p.x, "y": p.y, "w": width, "h": height}})
	if p.x += width; p.x == line {
		p.x, p.y = 0, p.y+height
	}
}

// title is what a metric's name says without its subsystem.
func title(m metric) string {
	name := strings.SplitN(m.name, "_", 3)[2]
	name = strings.TrimSuffix(strings.TrimSuffix(name, "_total"), "_seconds")
	name = strings.ReplaceAll(name, "_", " ")
	if m.kind == counter && !strings.HasSuffix(m.name, "_units_total") {
		name += " per second"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

func unit(m metric) string {
	switch {
	case strings.HasSuffix(m.name, "_seconds"):
		return "s"
	case strings.HasSuffix(m.name, "_bytes_total"):
		return "Bps"
	case strings.HasSuffix(m.name, "_units_total"):
		return "none"
	case m.kind == counter:
		return "ops"
	}
	return "short"
}

// queries are what is worth seeing of a metric. Money is summed by the hour.
func queries(m metric) []query {
	of := m.name + selector(m.labels)
	if m.kind == histogram {
		by := strings.Join(append([]string{"le"}, m.labels...), ", ")
		of = m.name + "_bucket" + selector(m.labels)
		quantile := func(q string) string {
			return fmt.Sprintf("histogram_quantile(%s, sum by (%s) (rate(%s[$__rate_interval])))", q, by, of)
		}
		return []query{{quantile("0.5"), strings.TrimSpace("p50 " + legend(m.labels))}, {quantile("0.99"), strings.TrimSpace("p99 " + legend(m.labels))}}
	}
	by := ""
	if len(m.labels) > 0 {
		by = " by (" + strings.Join(m.labels, ", ") + ")"
	}
	expr := fmt.Sprintf("max%s (%s)", by, of)
	switch {
	case strings.HasSuffix(m.name, "_units_total"):
		expr = fmt.Sprintf("sum%s (increase(%s[1h]))", by, of)
	case m.kind == counter:
		expr = fmt.Sprintf("sum%s (rate(%s[$__rate_interval]))", by, of)
	}
	return []query{{expr, legend(m.labels)}}
}

func selector(labels []string) string {
	var chosen []string
	for _, v := range []string{"namespace", "pool"} {
		if slices.Contains(labels, v) {
			chosen = append(chosen, fmt.Sprintf(`%s=~"$%s"`, v, v))
		}
	}
	if chosen == nil {
		return ""
	}
	return "{" + strings.Join(chosen, ",") + "}"
}

func legend(labels []string) string {
	var all []string
	for _, l := range labels {
		all = append(all, "{{"+l+"}}")
	}
	return strings.Join(all, " ")
}
