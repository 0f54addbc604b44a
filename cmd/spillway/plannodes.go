package main

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/billing"
	"github.com/spillway-dev/spillway/simulator/planner"
)

// nodeText is a type of node as people write it: in a --node file, or with
// --node-type. Exactly one of hourly and cost; amounts are in the platform's currency.
type nodeText struct {
	Name      string            `yaml:"name"`
	CPU       v1alpha1.MilliCPU `yaml:"cpu"`
	Memory    v1alpha1.Bytes    `yaml:"memory"`
	Hourly    *v1alpha1.Amount  `yaml:"hourly"`
	Cost      *v1alpha1.Node    `yaml:"cost"`
	Avoidable v1alpha1.Amount   `yaml:"avoidable"` // per hour of one that is already owned
	Owned     int64             `yaml:"owned"`
	Min       int64             `yaml:"min"`
	Max       int64             `yaml:"max"` // zero: as many as the peak needs
}

const nodeSyntax = "cpu=62,memory=250Gi,hourly=0.45 and, if wanted, name=, min=, max=, owned=, avoidable="

// parseNodeType reads the value of --node-type.
func parseNodeType(text string) (nodeText, error) {
	var n nodeText
	fields := map[string]any{"name": &n.Name, "cpu": &n.CPU, "memory": &n.Memory, "avoidable": &n.Avoidable, "owned": &n.Owned, "min": &n.Min, "max": &n.Max}
	n.Hourly = new(v1alpha1.Amount)
	fields["hourly"] = n.Hourly
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		key, value, _ := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		var err error
		switch to := fields[key].(type) {
		case *string:
			*to = value
		case *int64:
			if *to, err = strconv.ParseInt(value, 10, 64); err != nil {
				err = errors.New("not a whole number")
			}
		case encoding.TextUnmarshaler:
			err = to.UnmarshalText([]byte(value))
		default:
			return n, wrongInput("--node-type: %q is not a field; allowed: %s", key, nodeSyntax)
		}
		if err != nil {
			return n, wrongInput("--node-type: %s=%s: %w", key, value, err)
		}
		if seen[key] {
			return n, wrongInput("--node-type: %s is there twice", key)
		}
		seen[key] = true
	}
	if !seen["hourly"] {
		n.Hourly = nil
	}
	return n, nil
}

// readNodes reads a file of one node type, or of a list of them.
func readNodes(file string) ([]nodeText, error) {
	var shape any
	if err := readYAML("--node", file, &shape); err != nil {
		return nil, err
	}
	if _, list := shape.([]any); list {
		var all []nodeText
		err := readYAML("--node", file, &all)
		if err == nil && len(all) == 0 {
			err = wrongInput("--node: %s: an empty list; allowed: at least one type of node", file)
		}
		return all, err
	}
	var one nodeText
	err := readYAML("--node", file, &one)
	return []nodeText{one}, err
}

// maxPlanFile bounds what is parsed at all.
const maxPlanFile = 1 << 20

// readYAML reads a file of one document, or an empty one.
func readYAML(flag, file string, into any) error {
	info, err := os.Stat(file)
	if err != nil {
		return wrongInput("%s: %w", flag, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPlanFile {
		return wrongInput("%s: %s is no file of at most 1 MiB", flag, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return wrongInput("%s: %w", flag, err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict())
	err = decoder.Decode(into)
	if err == nil {
		var more any
		if err = decoder.Decode(&more); err == nil {
			return wrongInput("%s: %s: more than one YAML document; allowed: one, so leave out '---'", flag, file)
		}
	}
	if !errors.Is(err, io.EOF) {
		return wrongInput("%s: %s: %s", flag, file, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	return nil
}

// nodeType checks n and prices it.
func (n *nodeText) nodeType(where, currency string) (planner.NodeType, error) {
	t := planner.NodeType{Name: n.Name, MilliCPU: int64(n.CPU), MiB: int64(n.Memory) >> 20, Min: n.Min, Max: n.Max, Owned: n.Owned, Avoidable: spillway.Nano(n.Avoidable)}
	if t.Name == "" {
		t.Name = fmt.Sprintf("%s/%s", n.CPU, n.Memory)
	}
	switch {
	case t.MilliCPU < 1 || t.MiB < 1:
		return t, wrongInput("%s: %s of cpu and %s of memory are no node; allowed: more than 0 of both, such as cpu 62 and memory 250Gi", where, n.CPU, n.Memory)
	case (n.Hourly == nil) == (n.Cost == nil):
		return t, wrongInput("%s: a node needs exactly one of hourly and cost", where)
	case min(t.Min, t.Max, t.Owned, int64(t.Avoidable)) < 0 || t.Max > 0 && t.Min > t.Max:
		return t, wrongInput("%s: min %d, max %d, owned %d, avoidable %s; allowed: 0 ≤ min ≤ max, and nothing negative", where, t.Min, t.Max, t.Owned, n.Avoidable)
	}
	if n.Cost == nil {
		t.Hourly = spillway.Nano(*n.Hourly)
	} else {
		var err error
		if t.Hourly, err = amortised(n, currency); err != nil {
			return t, wrongInput("%s: %w", where, err)
		}
	}
	if t.Avoidable > t.Hourly {
		return t, wrongInput("%s: avoidable %s is more than all of the node, %s an hour", where, n.Avoidable, t.Hourly)
	}
	return t, nil
}

// amortised is the hourly cost of one machine, rounded up to the nano.
func amortised(n *nodeText, currency string) (spillway.Nano, error) {
	c := n.Cost
	if c.Count != nil && *c.Count != 1 {
		return 0, errors.New("cost.count: a node type is one machine; leave the count out")
	}
	spec := billing.NodeSpec{
		Purchase: string(c.Purchase), Salvage: string(c.Salvage), PowerKW: string(c.PowerKW), PUE: string(c.PUE), TariffPerKWh: string(c.TariffPerKWh),
		RackPerMonth: string(c.RackPerMonth), MaintenancePercentPerYear: string(c.MaintenancePercentPerYear), OtherPerMonth: string(c.OtherPerMonth),
	}
	if c.LifeMonths != nil {
		spec.LifeMonths = *c.LifeMonths
	}
	return hourlyOf(billing.OwnedSpec{Node: &spec, AllocatableMilliCPU: int64(n.CPU), AllocatableMiB: int64(n.Memory) >> 20}, currency)
}

func hourlyOf(o billing.OwnedSpec, currency string) (spillway.Nano, error) {
	book, err := billing.NewBook(currency, []billing.PlanSpec{{Plan: "node", Version: "1", Kind: billing.PlanOwned, Currency: currency, Source: "given", Owned: &o}}, nil)
	if err != nil {
		return 0, errors.New(strings.ReplaceAll(err.Error(), "plans[0].owned.node.", "cost."))
	}
	q, err := book.At("node", time.Unix(0, 0))
	return q.Hourly, err
}

// exampleNodeType is the server of the built-in price book.
func exampleNodeType(currency string) (planner.NodeType, error) {
	for _, p := range billing.DefaultPlans() {
		if p.Kind != billing.PlanOwned {
			continue
		}
		if p.Currency != currency {
			return planner.NodeType{}, wrongInput("what a node costs is not known in %s; say it with --node-type %s", currency, nodeSyntax)
		}
		hourly, err := hourlyOf(*p.Owned, currency)
		return planner.NodeType{Name: p.Plan, MilliCPU: p.Owned.AllocatableMilliCPU, MiB: p.Owned.AllocatableMiB, Hourly: hourly}, err
	}
	return planner.NodeType{}, errors.New("the price book has no owned plan")
}

// poolAsNode takes the first on-prem pool of a configuration as one node.
func poolAsNode(p *spillway.Platform) (planner.NodeType, error) {
	for _, pool := range p.Pools {
		if pool.Kind.Cloud() || pool.Retired {
			continue
		}
		c := pool.Capacity
		if pool.HourlyNano == 0 || c.MilliCPU == spillway.Unlimited || c.MiB == spillway.Unlimited || c.MilliCPU < 1 || c.MiB < 1 {
			return planner.NodeType{}, wrongInput("pool %s has no owned price plan, or no limit of cpu and memory, so it cannot stand for a node; say what a node is with --node-type %s", pool.Name, nodeSyntax)
		}
		return planner.NodeType{Name: pool.Name, MilliCPU: c.MilliCPU, MiB: c.MiB, Hourly: pool.HourlyNano}, nil
	}
	return planner.NodeType{}, wrongInput("the configuration has no on-prem pool; say what a node is with --node-type %s", nodeSyntax)
}

// nodeTypes are the types that flags name, or the one to be assumed.
func (f *planFlags) nodeTypes(p *spillway.Platform) ([]planner.NodeType, error) {
	var all []planner.NodeType
	add := func(where string, n *nodeText) error {
		t, err := n.nodeType(where, p.Currency)
		all = append(all, t)
		return err
	}
	for _, file := range f.nodeFiles {
		nodes, err := readNodes(file)
		if err != nil {
			return nil, err
		}
		for i := range nodes {
			if err := add(fmt.Sprintf("--node %s, node %d", file, i+1), &nodes[i]); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range f.nodeTypeTexts {
		n, err := parseNodeType(text)
		if err == nil {
			err = add("--node-type "+text, &n)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	assumed, err := exampleNodeType, error(nil)
	if f.config != "" {
		assumed = func(string) (planner.NodeType, error) { return poolAsNode(p) }
	}
	t, err := assumed(p.Currency)
	return []planner.NodeType{t}, err
}
