package rego

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// Texts of any content are answered; nothing is permitted by a failure, and what
// the default policy must deny stays denied.
func FuzzInput(f *testing.F) {
	plain, whole := defaults(f), bind(f, head+`permit := lib.pool_names

deny contains {"pool": "lambda-us", "reason": sprintf("%s %s %s", [input.caller, input.namespace, input.function])} if {
	count(input) == 10
	to_number(input.revision) > 0
}

deny contains entry if some entry in lib.default_deny
`)
	f.Add("retail", "ci", "1", "restricted", "eu-central-1", "allow", int64(4), int64(saturday))
	f.Add("\x00\xff", "a\r\nX: y", "\"}", "CONFIDENTIAL", ",,", "", int64(-1), int64(-1))
	f.Add(strings.Repeat("ü", 300), "%!s(", "x", "", "", "deny", int64(1)<<62, int64(spillway.Never))
	f.Fuzz(func(t *testing.T, namespace, caller, revision, class, residency, burst string, kib, now int64) {
		in := policy.Input{Namespace: namespace, Function: namespace, Department: class, Caller: caller, Revision: revision,
			DataClass: class, Residency: residency, Burst: burst, PayloadKiB: kib}
		for _, e := range []*Evaluator{plain, whole} {
			v := e.Evaluate(t.Context(), spillway.Instant(now), in)
			checkVerdict(t, v)
			if burst != "allow" && v.Permitted&0b110 != 0 {
				t.Errorf("burst %q, but permitted %b", burst, v.Permitted)
			}
		}
	})
}

// checkVerdict states what holds of every verdict for platform(…).
func checkVerdict(t interface {
	Errorf(string, ...any)
}, v *policy.Verdict) {
	if v == nil || v.ID == "" || v.Revision == "" {
		t.Errorf("verdict %+v", v)
		return
	}
	if v.Failed != "" && v.Permitted != 0 {
		t.Errorf("failed with %q, but permitted %b", v.Failed, v.Permitted)
	}
	if v.Permitted&^0b111 != 0 {
		t.Errorf("permitted %b, more than there is", v.Permitted)
	}
	for i, reason := range v.Denials[:3] {
		if v.Permitted.Has(i) != (reason == "") {
			t.Errorf("pool %d: permitted %b, denial %q", i, v.Permitted, reason)
		}
		if len(reason) > maxReason || !utf8.ValidString(reason) || strings.ContainsAny(reason, "\r\n\x00") {
			t.Errorf("denial %q does not fit a header", reason)
		}
	}
}

// For any sets, permitted is permit − deny among the platform's pools.
func TestPermittedIsPermitMinusDeny(t *testing.T) {
	names := []string{"hall", "lambda-eu", "lambda-us"}
	rapid.Check(t, func(t *rapid.T) {
		permit := rapid.SliceOf(rapid.SampledFrom(append([]string{"elsewhere"}, names...))).Draw(t, "permit")
		deny := rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, "deny")
		var text strings.Builder
		fmt.Fprintf(&text, "package spillway.placement\n\npermit contains \"elsewhere\"\n")
		for _, name := range permit {
			fmt.Fprintf(&text, "permit contains %q\n", name)
		}
		for _, name := range deny {
			fmt.Fprintf(&text, "deny contains {\"pool\": %q, \"reason\": input.caller}\n", name)
		}
		bundle, err := LoadFS(tree(text.String()), "policy")
		if err != nil {
			t.Fatal(err)
		}
		e, err := bundle.Bind(platform(1))
		if err != nil {
			t.Fatal(err)
		}
		e.limit = 1e12
		in := call()
		in.Caller = rapid.StringN(1, -1, 2000).Draw(t, "caller")
		v := e.Evaluate(t.Context(), saturday, in)
		var want spillway.PoolSet
		for i, name := range names {
			if slices.Contains(permit, name) && !slices.Contains(deny, name) {
				want = want.With(i)
			}
		}
		if v.Failed != "" || v.Permitted != want {
			t.Fatalf("permitted %b, failed %q, want %b", v.Permitted, v.Failed, want)
		}
	})
}

// No text of a policy or of its data stops the loader.
func FuzzLoad(f *testing.F) {
	f.Add(allPools, "{}")
	f.Add("package spillway.placement\n\npermit = {\"hall\"} { input.x }", "{\"a\": [1, {}]}")
	f.Add("package a\nimport input as data\nx[y] := z if { some y, z in input }", "[")
	f.Fuzz(func(t *testing.T, text, data string) {
		files := tree(text)
		files["data.json"] = tree(data)["policy.rego"]
		if _, err := LoadFS(files, "policy"); err != nil {
			if _, ok := err.(*LoadError); !ok || err.Error() == "" {
				t.Errorf("error of type %T", err)
			}
		}
	})
}

func FuzzParseInput(f *testing.F) {
	f.Add(`{"namespace": "a", "residency": ["b", "a"], "burst": "allow", "minute": 61, "payloadKiB": 4}`)
	f.Add(`{}`)
	f.Fuzz(func(t *testing.T, text string) {
		in, err := ParseInput([]byte(text))
		if err != nil {
			return
		}
		again, err := json.Marshal(jsonOf(in))
		if err != nil {
			t.Fatal(err)
		}
		if second, err := ParseInput(again); err != nil || second != in {
			t.Errorf("%s was read as %+v and again as %+v, %v", text, in, second, err)
		}
	})
}
