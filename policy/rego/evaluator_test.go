package rego

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// saturday is 2026-11-21 22:30:17 UTC.
const saturday = spillway.Instant(1795300217 * 1e9)

func platform(generation int64) *spillway.Platform {
	return &spillway.Platform{Generation: generation, Pools: []*spillway.Pool{
		{Index: 0, Name: "hall", Kind: spillway.PoolProcess, Region: "eu-central-1"},
		{Index: 1, Name: "lambda-eu", Kind: spillway.PoolLambda, Region: "eu-central-1"},
		{Index: 2, Name: "lambda-us", Kind: spillway.PoolLambda, Region: "us-east-1"},
	}}
}

func call() policy.Input {
	return policy.Input{Namespace: "retail", Department: "sales", Function: "resize", Revision: "1", Caller: "ci",
		DataClass: "public", Burst: "allow", PayloadKiB: 4}
}

// tree returns a policy directory with the given policy.rego.
func tree(text string) fstest.MapFS {
	return fstest.MapFS{"policy.rego": {Data: []byte(text)}}
}

// bind compiles text, gives it time enough for a busy machine, and binds it.
func bind(t testing.TB, text string) *Evaluator {
	t.Helper()
	bundle, err := LoadFS(tree(text), "policy")
	if err != nil {
		t.Fatal(err)
	}
	e, err := bundle.Bind(platform(7))
	if err != nil {
		t.Fatal(err)
	}
	e.limit = 10 * time.Second
	return e
}

func defaults(t testing.TB) *Evaluator {
	t.Helper()
	bundle, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	e, err := bundle.Bind(platform(7))
	if err != nil {
		t.Fatal(err)
	}
	e.limit = 10 * time.Second
	return e
}

const head = "package spillway.placement\n\nimport data.spillway.lib\n\n"

func TestDefaultPolicy(t *testing.T) {
	e := defaults(t)
	change := func(f func(*policy.Input)) policy.Input { in := call(); f(&in); return in }
	for name, test := range map[string]struct {
		in     policy.Input
		want   spillway.PoolSet
		reason string // of lambda-us
	}{
		"public":      {call(), 0b111, ""},
		"no burst":    {change(func(in *policy.Input) { in.Burst = "deny" }), 0b001, "may not burst"},
		"restricted":  {change(func(in *policy.Input) { in.DataClass = "restricted" }), 0b001, "class restricted"},
		"residency":   {change(func(in *policy.Input) { in.Residency = "eu-central-1,eu-west-1" }), 0b011, `region "us-east-1" is outside`},
		"two reasons": {change(func(in *policy.Input) { in.Residency, in.Burst = "eu-central-1", "deny" }), 0b001, "; the function may not burst"},
	} {
		t.Run(name, func(t *testing.T) {
			v := e.Evaluate(t.Context(), saturday, test.in)
			if v.Failed != "" || v.Permitted != test.want || v.Generation != 7 || v.Revision != e.bundle.Revision() {
				t.Fatalf("verdict %+v, want permitted %b", v, test.want)
			}
			if !strings.Contains(v.Denials[2], test.reason) || (test.reason == "") != (v.Denials[2] == "") {
				t.Errorf("denial of lambda-us is %q, want %q", v.Denials[2], test.reason)
			}
		})
	}
}

func TestFailuresPermitNothing(t *testing.T) {
	for name, test := range map[string]struct{ text, failed string }{
		"permit undefined":    {`permit := lib.pool_names if input.namespace == "other"`, "undefined: data.spillway.placement.permit"},
		"permit array":        {`permit := ["hall"]`, "type: permit is a value of type array"},
		"permit of numbers":   {`permit := {1}`, "type: permit holds a value of type number"},
		"permit object":       {`permit := {"hall": true}`, "type: permit is a value of type object"},
		"deny undefined":      {"permit := lib.pool_names\ndeny := set() if input.namespace == \"other\"", "undefined: data.spillway.placement.deny"},
		"deny of texts":       {"permit := lib.pool_names\ndeny contains \"hall\"", "type: deny holds a value of type string"},
		"deny no reason":      {"permit := lib.pool_names\ndeny contains {\"pool\": \"hall\"}", "type: deny holds"},
		"deny reason number":  {"permit := lib.pool_names\ndeny contains {\"pool\": \"hall\", \"reason\": 1}", `without a text "reason"`},
		"deny unknown pool":   {"permit := lib.pool_names\ndeny contains {\"pool\": \"lamda\", \"reason\": \"x\"}", `"lamda", which does not exist`},
		"rule in error":       {"permit := lib.pool_names\ndeny contains {\"pool\": \"hall\", \"reason\": \"x\"} if to_number(input.namespace) > 1", "error: "},
		"conflicting outputs": {"permit := {\"hall\"} if input.burst == \"allow\"\npermit := set() if input.caller == \"ci\"", "error: "},
		"bad quiet hours":     {"permit := lib.pool_names\ndeny contains {\"pool\": \"hall\", \"reason\": \"x\"} if lib.daily(\"UTC\", \"7pm\", \"08:00\")", "error: "},
		"bad zone":            {"permit := lib.pool_names\ndeny contains {\"pool\": \"hall\", \"reason\": \"x\"} if lib.daily(\"Mars\", \"07:00\", \"08:00\")", "error: "},
	} {
		t.Run(name, func(t *testing.T) {
			text := head + test.text
			if !strings.Contains(test.text, "lib.") {
				text = strings.Replace(text, "import data.spillway.lib\n", "", 1)
			}
			v := bind(t, text).Evaluate(t.Context(), saturday, call())
			if v.Permitted != 0 || !strings.Contains(v.Failed, test.failed) || v.ID == "" {
				t.Errorf("permitted %b, failed %q, want %q", v.Permitted, v.Failed, test.failed)
			}
		})
	}
}

func TestEndlessPoliciesAreStopped(t *testing.T) {
	for name, body := range map[string]string{
		"range":  `permit := {"hall" | some x in numbers.range(1, 5000000); x < 0}`,
		"square": `permit := {"hall" | some x in numbers.range(1, 20000); some y in numbers.range(1, 20000); x + y < 0}`,
		"deep":   `permit := {"hall" | some a in r; some b in r; some c in r; some d in r; some e in r; some f in r; ((((a + b) + c) + d) + e) + f < 0}` + "\nr := numbers.range(1, 200)",
	} {
		t.Run(name, func(t *testing.T) {
			e := bind(t, "package spillway.placement\n"+body)
			e.limit = Limit
			v := e.Evaluate(t.Context(), saturday, call())
			if v.Permitted != 0 || v.Failed != "timeout: no answer within 20ms" {
				t.Errorf("permitted %b, failed %q", v.Permitted, v.Failed)
			}
			if again := e.Evaluate(t.Context(), saturday, call()); again.Failed == "" {
				t.Error("permitted at the second call")
			}
		})
	}
}

func TestCancelledCallerGetsNothing(t *testing.T) {
	e := bind(t, "package spillway.placement\npermit := {\"hall\" | some x in numbers.range(1, 5000000); x < 0}")
	e.limit = Limit
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := e.Evaluate(ctx, saturday, call())
	if v.Permitted != 0 || v.Failed == "" {
		t.Errorf("permitted %b, failed %q", v.Permitted, v.Failed)
	}
}

func TestOversizeInputIsNotEvaluated(t *testing.T) {
	e := defaults(t)
	in := call()
	in.DataClass = strings.Repeat("x", maxInput)
	if v := e.Evaluate(t.Context(), saturday, in); v.Permitted != 0 || !strings.HasPrefix(v.Failed, "input: ") {
		t.Errorf("permitted %b, failed %q", v.Permitted, v.Failed)
	}
	if n := e.verdicts.size(); n != 0 {
		t.Errorf("%d verdicts kept", n)
	}
}

func TestTimeIsTheMinuteOfTheCall(t *testing.T) {
	e := bind(t, "package spillway.placement\npermit := {\"hall\"} if {\n\ttime.now_ns() == 1795300200000000000\n\tinput.minute == 1795300200\n}")
	if v := e.Evaluate(t.Context(), saturday, call()); v.Permitted != 0b001 {
		t.Errorf("permitted %b, failed %q", v.Permitted, v.Failed)
	}
	if v := e.Evaluate(t.Context(), saturday.Add(time.Minute), call()); v.Failed == "" {
		t.Errorf("a minute later: permitted %b", v.Permitted)
	}
	if m := minuteOf(-1); m != -60 {
		t.Errorf("minute before the epoch is %d", m)
	}
}

// Evaluations that never end cannot pile up: without a free slot nothing is
// evaluated, nothing is permitted, and that is not remembered.
func TestWithoutASlotNothingIsPermitted(t *testing.T) {
	e := defaults(t)
	for range cap(e.slots) {
		e.slots <- struct{}{}
	}
	e.limit = time.Millisecond
	in := call()
	if v := e.evaluate("v", &in); v.Permitted != 0 || !strings.HasPrefix(v.Failed, "overload: ") {
		t.Errorf("permitted %b, failed %q", v.Permitted, v.Failed)
	}
	e.remember(in, e.fail("v", failure{kindOverload, ""}), saturday)
	if n := e.verdicts.size(); n != 0 {
		t.Errorf("%d verdicts kept", n)
	}
}

func TestManyAskOnce(t *testing.T) {
	e := bind(t, readsEverything)
	verdicts := make(chan *policy.Verdict)
	for range 16 {
		go func() { verdicts <- e.Evaluate(t.Context(), saturday, call()) }()
	}
	first := <-verdicts
	for range 15 {
		if v := <-verdicts; v != first || v.Failed != "" {
			t.Errorf("verdict %+v", v)
		}
	}
	if n := e.evaluations.Load(); n != 1 {
		t.Errorf("%d evaluations", n)
	}
}
