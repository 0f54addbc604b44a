package rego

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// maxInput bounds the texts of one Input together, in bytes.
const maxInput = 64 << 10

// field is one member of the Rego input: how it is named, typed and made.
type field struct {
	name  string
	kind  string // JSON schema type
	value func(*policy.Input) ast.Value
}

var fields = [...]field{
	{"namespace", "string", func(in *policy.Input) ast.Value { return ast.String(in.Namespace) }},
	{"department", "string", func(in *policy.Input) ast.Value { return ast.String(in.Department) }},
	{"function", "string", func(in *policy.Input) ast.Value { return ast.String(in.Function) }},
	{"revision", "string", func(in *policy.Input) ast.Value { return ast.String(in.Revision) }},
	{"caller", "string", func(in *policy.Input) ast.Value { return ast.String(in.Caller) }},
	{"dataClass", "string", func(in *policy.Input) ast.Value { return ast.String(in.DataClass) }},
	{"residency", "array", func(in *policy.Input) ast.Value { return regions(in.Residency) }},
	{"burst", "string", func(in *policy.Input) ast.Value { return ast.String(in.Burst) }},
	{"payloadKiB", "integer", func(in *policy.Input) ast.Value { return number(in.PayloadKiB) }},
	{"minute", "integer", func(in *policy.Input) ast.Value { return number(in.Minute) }},
}

// keys are the interned names of fields.
var keys = func() (all [len(fields)]*ast.Term) {
	for i, f := range fields {
		all[i] = ast.StringTerm(f.name)
	}
	return all
}()

// document returns in as the Rego input.
func document(in policy.Input) ast.Value {
	var members [len(fields)][2]*ast.Term
	for i, f := range fields {
		members[i] = [2]*ast.Term{keys[i], ast.NewTerm(f.value(&in))}
	}
	return ast.NewObject(members[:]...)
}

func regions(joined string) ast.Value {
	if joined == "" {
		return ast.NewArray()
	}
	var terms []*ast.Term
	for region := range strings.SplitSeq(joined, ",") {
		terms = append(terms, ast.StringTerm(region))
	}
	return ast.NewArray(terms...)
}

func number(n int64) ast.Value { return ast.Number(json.Number(fmt.Sprint(n))) }

// size returns the bytes of all texts in in.
func size(in *policy.Input) int {
	return len(in.Namespace) + len(in.Department) + len(in.Function) + len(in.Revision) +
		len(in.Caller) + len(in.DataClass) + len(in.Residency) + len(in.Burst)
}

// schema describes the Rego input, so that a misspelt member does not compile.
func schema() any {
	members := map[string]any{}
	required := []any{}
	for _, f := range fields {
		members[f.name] = map[string]any{"type": f.kind}
		required = append(required, f.name)
	}
	members["residency"] = map[string]any{"type": "array", "items": map[string]any{"type": "string"}}
	return map[string]any{
		"type":                 "object",
		"properties":           members,
		"required":             required,
		"additionalProperties": false,
	}
}

// inputJSON is the Rego input as people write it.
type inputJSON struct {
	Namespace  string   `json:"namespace"`
	Department string   `json:"department"`
	Function   string   `json:"function"`
	Revision   string   `json:"revision"`
	Caller     string   `json:"caller"`
	DataClass  string   `json:"dataClass"`
	Residency  []string `json:"residency"`
	Burst      string   `json:"burst"`
	PayloadKiB int64    `json:"payloadKiB"`
	Minute     int64    `json:"minute"`
}

// maxMinute is the last second that fits an Instant.
const maxMinute = int64(spillway.Never) / 1e9

// ParseInput reads a Rego input written as one JSON object. Unknown members are
// errors; burst defaults to "deny".
func ParseInput(text []byte) (policy.Input, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var in inputJSON
	if err := decoder.Decode(&in); err != nil {
		return policy.Input{}, fmt.Errorf("reading the policy input: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return policy.Input{}, fmt.Errorf("reading the policy input: text after the object")
	}
	switch in.Burst {
	case "":
		in.Burst = "deny"
	case "allow", "deny":
	default:
		return policy.Input{}, fmt.Errorf("reading the policy input: burst: %q is unknown; allowed: allow, deny", in.Burst)
	}
	if in.PayloadKiB < 0 {
		return policy.Input{}, fmt.Errorf("reading the policy input: payloadKiB: %d is negative", in.PayloadKiB)
	}
	if in.Minute < 0 || in.Minute > maxMinute {
		return policy.Input{}, fmt.Errorf("reading the policy input: minute: %d is no time in Unix seconds; allowed: 0 to %d", in.Minute, maxMinute)
	}
	for _, region := range in.Residency {
		if region == "" || strings.Contains(region, ",") {
			return policy.Input{}, fmt.Errorf("reading the policy input: residency: %q is no region", region)
		}
	}
	slices.Sort(in.Residency)
	return policy.Input{
		Namespace: in.Namespace, Department: in.Department, Function: in.Function, Revision: in.Revision,
		Caller: in.Caller, DataClass: in.DataClass, Residency: strings.Join(in.Residency, ","), Burst: in.Burst,
		PayloadKiB: in.PayloadKiB, Minute: in.Minute - in.Minute%60,
	}, nil
}

func jsonOf(in policy.Input) inputJSON {
	regions := []string{}
	if in.Residency != "" {
		regions = strings.Split(in.Residency, ",")
	}
	return inputJSON{in.Namespace, in.Department, in.Function, in.Revision, in.Caller, in.DataClass,
		regions, in.Burst, in.PayloadKiB, in.Minute}
}
