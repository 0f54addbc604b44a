package rego

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/policy"
)

// maxReason bounds one text of a denial, in bytes: it ends in HTTP headers.
const maxReason = 256

// The kinds of failure; Verdict.Failed starts with one and ": ".
const (
	kindTimeout   = "timeout"
	kindUndefined = "undefined"
	kindType      = "type"
	kindError     = "error"
	kindInput     = "input"
	kindOverload  = "overload"
	kindCancelled = "cancelled"
)

// failure is why a policy gave no answer.
type failure struct{ kind, detail string }

func (f failure) Error() string { return f.kind + ": " + f.detail }

// poolTable maps names to the indices of one platform.
type poolTable struct {
	generation int64
	names      []string
	index      map[string]int
	facts      string // digest of what policies see of the pools
}

func tableOf(p *spillway.Platform) poolTable {
	t := poolTable{generation: p.Generation, index: map[string]int{}}
	h := sha256.New()
	for i, pool := range p.Pools {
		t.names = append(t.names, pool.Name)
		t.index[pool.Name] = i
		writeText(h, pool.Name)
		writeText(h, pool.Kind.String())
		writeText(h, pool.Region)
	}
	t.facts = string(h.Sum(nil))
	return t
}

// verdict reads the two sets. Whatever is not exactly as the contract says is a
// failure; a name that is no pool is passed over in permit, but not in deny,
// where a misspelling would permit what should be denied.
func (t *poolTable) verdict(permit, deny *ast.Term) (*policy.Verdict, error) {
	v := &policy.Verdict{Generation: t.generation}
	permitted, err := setOf("permit", permit)
	if err != nil {
		return nil, err
	}
	err = permitted.Iter(func(name *ast.Term) error {
		text, ok := name.Value.(ast.String)
		if !ok {
			return failure{kindType, "permit holds " + describe(name) + "; it must hold names of pools"}
		}
		if i, ok := t.index[string(text)]; ok {
			v.Permitted = v.Permitted.With(i)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range t.names {
		if !v.Permitted.Has(i) {
			v.Denials[i] = "not in permit"
		}
	}
	return v, t.deny(v, deny)
}

func (t *poolTable) deny(v *policy.Verdict, deny *ast.Term) error {
	denied, err := setOf("deny", deny)
	if err != nil {
		return err
	}
	var reasons [spillway.MaxPools][]string
	err = denied.Iter(func(entry *ast.Term) error {
		name, reason, err := denial(entry)
		if err != nil {
			return err
		}
		i, ok := t.index[name]
		if !ok {
			return failure{kindType, fmt.Sprintf("deny names the pool %q, which does not exist", clean(name))}
		}
		v.Permitted = v.Permitted.Without(i)
		reasons[i] = append(reasons[i], clean(reason))
		return nil
	})
	for i, list := range reasons {
		if len(list) > 0 {
			slices.Sort(list)
			v.Denials[i] = clean(strings.Join(list, "; "))
		}
	}
	return err
}

// denial reads one {"pool": name, "reason": text}.
func denial(entry *ast.Term) (pool, reason string, err error) {
	object, ok := entry.Value.(ast.Object)
	if !ok || object.Len() != 2 {
		return "", "", failure{kindType, "deny holds " + describe(entry) + `; it must hold {"pool": name, "reason": text}`}
	}
	for key, into := range map[string]*string{"pool": &pool, "reason": &reason} {
		text, ok := valueOf(object.Get(ast.StringTerm(key))).(ast.String)
		if !ok {
			return "", "", failure{kindType, fmt.Sprintf("deny holds an entry without a text %q", key)}
		}
		*into = string(text)
	}
	return pool, reason, nil
}

// setOf unwraps the array that the question put around a set.
func setOf(rule string, wrapped *ast.Term) (ast.Set, error) {
	array, ok := valueOf(wrapped).(*ast.Array)
	if !ok || array.Len() != 1 {
		return nil, failure{kindUndefined, "data.spillway.placement." + rule + " has no value"}
	}
	set, ok := array.Elem(0).Value.(ast.Set)
	if !ok {
		return nil, failure{kindType, rule + " is " + describe(array.Elem(0)) + ", not a set"}
	}
	return set, nil
}

func valueOf(term *ast.Term) ast.Value {
	if term == nil {
		return ast.Null{}
	}
	return term.Value
}

func describe(term *ast.Term) string { return "a value of type " + ast.ValueName(term.Value) }

// failed returns a verdict that permits nothing.
func (t *poolTable) failed(key, revision string, f failure) *policy.Verdict {
	v := &policy.Verdict{ID: key + "-" + f.kind, Revision: revision, Generation: t.generation, Failed: clean(f.Error())}
	for i := range t.names {
		v.Denials[i] = "the policy did not answer"
	}
	return v
}

// identify returns the id of in's verdict: the same wherever policy, pools and
// input are the same.
func (e *Evaluator) identify(in *policy.Input) string {
	h := sha256.New()
	for _, text := range [...]string{e.bundle.revision, e.pools.facts, in.Namespace, in.Department, in.Function,
		in.Revision, in.Caller, in.DataClass, in.Residency, in.Burst,
		strconv.FormatInt(in.PayloadKiB, 10)} {
		writeText(h, text)
	}
	_ = binary.Write(h, binary.BigEndian, in.Minute)
	return "v-" + hex.EncodeToString(h.Sum(nil)[:12])
}

// clean makes a text of a policy fit for one line of a header or a log.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) <= maxReason {
		return text
	}
	cut := maxReason - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
