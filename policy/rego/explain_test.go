package rego

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExplainNamesTheRules(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": head + `permit := lib.pool_names

deny contains entry if some entry in lib.default_deny

deny contains {"pool": "lambda-us", "reason": "quiet hours"} if lib.daily("UTC", "22:00", "06:00")

deny contains {"pool": "hall", "reason": "not this minute"} if lib.daily("UTC", "06:00", "07:00")
`})
	in, err := ParseInput([]byte(`{"namespace": "retail", "dataClass": "restricted", "burst": "allow", "minute": 1795300217}`))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := bundle.Bind(platform(1))
	if err != nil {
		t.Fatal(err)
	}
	e.limit = time.Minute
	x, err := e.explain(t.Context(), platform(1), in)
	if err != nil || x.Failed != "" {
		t.Fatal(err, x)
	}
	if !x.Pools[0].Permitted || x.Pools[1].Permitted || x.Pools[2].Reason != "data of class restricted may not leave the premises; quiet hours" {
		t.Errorf("pools %+v", x.Pools)
	}
	const secret = "data of class restricted may not leave the premises"
	path := filepath.Join(dir, "p.rego")
	want := []Denial{
		{"(library)/lib.rego", 0, "lambda-eu", secret}, {"(library)/lib.rego", 0, "lambda-us", secret},
		{path, 7, "lambda-eu", secret}, {path, 7, "lambda-us", secret}, {path, 9, "lambda-us", "quiet hours"},
	}
	if len(x.Denials) != len(want) {
		t.Fatalf("denials %+v", x.Denials)
	}
	for i, d := range x.Denials {
		if want[i].Line == 0 {
			want[i].Line = d.Line
		}
		if d != want[i] {
			t.Errorf("denial %+v, want %+v", d, want[i])
		}
	}
	text, err := json.Marshal(x)
	if err != nil || !strings.Contains(string(text), `"residency":[]`) || !strings.Contains(string(text), `"minute":1795300200`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestExplainOfAFailure(t *testing.T) {
	dir := write(t, map[string]string{"p.rego": head + "permit := lib.pool_names\ndeny contains {\"pool\": \"x\", \"reason\": \"y\"}"})
	x, err := Explain(t.Context(), dir, platform(1), call())
	if err != nil || x.Failed == "" || x.Pools[0].Permitted {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := Explain(t.Context(), filepath.Join(dir, "absent"), platform(1), call()); err == nil {
		t.Error("explained by an absent policy")
	}
}

func TestParseInputRefuses(t *testing.T) {
	for text, want := range map[string]string{
		`{"namespce": "a"}`: "namespce", `{`: "EOF", `{} {}`: "after the object", `[]`: "cannot unmarshal",
		`{"burst": "maybe"}`: "allowed: allow, deny", `{"minute": -1}`: "minute", `{"minute": 9223372037}`: "minute",
		`{"payloadKiB": -1}`: "negative", `{"payloadKiB": 1.5}`: "payloadKiB", `{"residency": ["a,b"]}`: "residency",
	} {
		if _, err := ParseInput([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
