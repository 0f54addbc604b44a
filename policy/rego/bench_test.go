package rego

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/spillway-dev/spillway/policy"
)

func BenchmarkCached(b *testing.B) {
	for name, e := range map[string]*Evaluator{"default": defaults(b), "reads-everything": bind(b, readsEverything)} {
		b.Run(name, func(b *testing.B) {
			ctx, in := b.Context(), call()
			e.Evaluate(ctx, saturday, in)
			b.ReportAllocs()
			for b.Loop() {
				e.Evaluate(ctx, saturday, in)
			}
		})
		b.Run(name+"-parallel", func(b *testing.B) {
			ctx, in := b.Context(), call()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					e.Evaluate(ctx, saturday, in)
				}
			})
		})
	}
}

// BenchmarkCold asks with inputs that were never seen: with identify, the shared
// flight and the cache around an evaluation.
func BenchmarkCold(b *testing.B) {
	e := bind(b, readsEverything)
	in := call()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		in.Caller = fmt.Sprint(i)
		if v := e.Evaluate(b.Context(), saturday, in); v.Failed != "" {
			b.Fatal(v.Failed)
		}
	}
}

// BenchmarkEvaluation is the policy engine alone.
func BenchmarkEvaluation(b *testing.B) {
	for name, e := range map[string]*Evaluator{"default": defaults(b), "100-namespaces": manyNamespaces(b)} {
		b.Run(name, func(b *testing.B) {
			in := call()
			in.Namespace, in.Minute = "team-42", 12*3600
			b.ReportAllocs()
			for b.Loop() {
				if v := e.evaluate("v", &in); v.Failed != "" {
					b.Fatal(v.Failed)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := Load(""); err != nil {
			b.Fatal(err)
		}
	}
}

// manyNamespaces has a row of data for each of 100 namespaces.
func manyNamespaces(b *testing.B) *Evaluator {
	var rows []string
	for i := range 100 {
		rows = append(rows, fmt.Sprintf(`"team-%d": {"regions": ["eu-central-1"], "ceiling": 1024, "quiet": ["22:00", "06:00"]}`, i))
	}
	bundle, err := LoadFS(fstest.MapFS{
		"data.json": {Data: []byte(`{"teams": {` + strings.Join(rows, ",") + `}}`)},
		"p.rego": {Data: []byte(head + `permit := lib.pool_names

team := data.teams[input.namespace]

deny contains entry if some entry in lib.default_deny

deny contains {"pool": p, "reason": "region"} if {
	some p in lib.pool_names
	not data.spillway.pools[p].region in team.regions
}

deny contains {"pool": p, "reason": "payload"} if {
	lib.payload_over(team.ceiling)
	some p in lib.cloud_pools
}

deny contains {"pool": p, "reason": "quiet hours"} if {
	lib.daily("Europe/Berlin", team.quiet[0], team.quiet[1])
	some p in lib.cloud_pools
}
`)}}, "policy")
	if err != nil {
		b.Fatal(err)
	}
	e, err := bundle.Bind(platform(1))
	if err != nil {
		b.Fatal(err)
	}
	e.limit = 1e12
	in := policy.Input{Namespace: "team-1", Burst: "allow", Minute: 12 * 3600}
	if v := e.evaluate("v", &in); v.Failed != "" || v.Permitted != 0b011 {
		b.Fatalf("permitted %b, failed %q", v.Permitted, v.Failed)
	}
	return e
}
