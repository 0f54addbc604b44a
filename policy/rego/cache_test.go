package rego

import (
	"fmt"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// readsEverything is a policy whose verdicts depend on the whole input.
const readsEverything = head + `permit := lib.pool_names if count(input) > 0

deny contains entry if some entry in lib.default_deny
`

func TestHitIsTheSameVerdictWithoutAllocation(t *testing.T) {
	for name, e := range map[string]*Evaluator{"default": defaults(t), "reads everything": bind(t, readsEverything)} {
		t.Run(name, func(t *testing.T) {
			first := e.Evaluate(t.Context(), saturday, call())
			if again := e.Evaluate(t.Context(), saturday.Add(time.Second), call()); again != first {
				t.Fatal("an equal input got another verdict")
			}
			ctx, in := t.Context(), call()
			if n := testing.AllocsPerRun(100, func() { e.Evaluate(ctx, saturday, in) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
			if n := e.evaluations.Load(); n != 1 {
				t.Errorf("%d evaluations", n)
			}
		})
	}
}

func TestOnlyWhatIsReadTellsCallsApart(t *testing.T) {
	other := call()
	other.Caller, other.Function = "somebody", "else"
	later := saturday.Add(time.Hour)

	plain := defaults(t)
	if plain.Evaluate(t.Context(), saturday, call()) != plain.Evaluate(t.Context(), later, other) {
		t.Error("the default policy reads neither caller, function nor minute, but told them apart")
	}
	whole := bind(t, readsEverything)
	if whole.Evaluate(t.Context(), saturday, call()) == whole.Evaluate(t.Context(), saturday, other) {
		t.Error("a policy that reads the whole input shared a verdict of two callers")
	}
}

// Every way to read a field must be noticed, or a verdict would be shared by
// calls that the policy can tell apart.
func TestReadsAreFound(t *testing.T) {
	const department, minute, caller = reads(1 << 1), reads(1 << 9), reads(1 << 4)
	for rule, want := range map[string]reads{
		`permit := lib.pool_names`:                                                                        0,
		`permit := lib.pool_names if input.department == "a"`:                                             department,
		`permit := lib.pool_names if input["department"] == "a"`:                                          department,
		`permit := lib.pool_names if { f := "department"; input[f] == "a" }`:                              readsAll,
		`permit := lib.pool_names if { x := input; x.department == "a" }`:                                 readsAll,
		`permit := lib.pool_names if { some k; input[k] == "a" }`:                                         readsAll,
		`permit := lib.pool_names if time.now_ns() > 0`:                                                   minute,
		`permit := lib.pool_names if lib.daily("UTC", "08:00", "09:00")`:                                  minute,
		`permit := lib.pool_names if lib.once("2026-11-21T22:30:00Z", "2027-01-01T00:00:00Z")`:            minute,
		`permit := lib.pool_names if { some k; data.spillway.lib[k] }`:                                    readsAll,
		"permit := lib.pool_names if f(1)\nf(x) if input.caller == sprintf(\"%d\", [x])":                  caller,
		"permit := lib.pool_names if { input.caller == \"a\" } else := set() if input.department":         caller | department,
		`permit := {p | some p in lib.pool_names; every x in [1] { input.caller != sprintf("%d", [x]) }}`: caller,
	} {
		bundle, err := LoadFS(tree(head+rule), "policy")
		if err != nil {
			t.Errorf("%s: %v", rule, err)
			continue
		}
		if bundle.reads != want {
			t.Errorf("%s: reads %010b, want %010b", rule, bundle.reads, want)
		}
	}
}

func TestBlankFollowsFields(t *testing.T) {
	full := policy.Input{Namespace: "a", Department: "b", Function: "c", Revision: "d", Caller: "e", DataClass: "f",
		Residency: "g", Burst: "h", PayloadKiB: 1, Minute: 60}
	for i, f := range fields {
		in := full
		reads(1 << i).blank(&in)
		for j, other := range fields {
			var none policy.Input
			kept := other.value(&in).Compare(other.value(&none)) != 0
			if kept != (i == j) {
				t.Errorf("only %s is read, but %s kept is %v", f.name, other.name, kept)
			}
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(4)
	input := func(i int) policy.Input { return policy.Input{Caller: fmt.Sprint(i)} }
	used := input(0)
	c.keep(used, cached{&policy.Verdict{ID: "used"}, spillway.Never})
	for i := 1; i < 100; i++ {
		c.keep(input(i), cached{&policy.Verdict{}, spillway.Never})
		if v := c.find(&used, 0); v == nil || v.ID != "used" {
			t.Fatalf("dropped at %d although it was used each time", i)
		}
		if n := c.size(); n > 2*c.half {
			t.Fatalf("%d verdicts kept", n)
		}
	}
	early := input(1)
	if c.find(&early, 0) != nil {
		t.Error("a verdict that was not used for long is still kept")
	}
}

func TestFailuresAreKeptBriefly(t *testing.T) {
	e := bind(t, `package spillway.placement
permit := set() if input.caller == "nobody"`)
	e.Evaluate(t.Context(), saturday, call())
	e.Evaluate(t.Context(), saturday.Add(failureTTL-1), call())
	if n := e.evaluations.Load(); n != 1 {
		t.Errorf("%d evaluations while it is kept", n)
	}
	e.Evaluate(t.Context(), saturday.Add(failureTTL), call())
	if n := e.evaluations.Load(); n != 2 {
		t.Errorf("%d evaluations after it", n)
	}
}

func TestIDNamesPolicyPoolsAndInput(t *testing.T) {
	first := bind(t, readsEverything).Evaluate(t.Context(), saturday, call())
	if again := bind(t, readsEverything).Evaluate(t.Context(), saturday, call()); again == first || again.ID != first.ID {
		t.Error("two evaluators of the same policy give different ids")
	}
	if v := bind(t, readsEverything+"\n").Evaluate(t.Context(), saturday, call()); v.ID == first.ID || v.Revision == first.Revision {
		t.Error("another policy has the same id or revision")
	}
	if v := bind(t, readsEverything).Evaluate(t.Context(), saturday.Add(time.Minute), call()); v.ID == first.ID {
		t.Error("another minute has the same id")
	}
}
