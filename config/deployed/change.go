package deployed

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// keepRevisions is how many revisions of a function stay for rollback; those that
// take calls stay besides.
const keepRevisions = 10

// Request is what a developer wants of a function. Settings are fields of a
// Function's spec as JSON; the loader checks them.
type Request struct {
	Digest   string                     `json:"digest,omitempty"`   // of a package that is there; empty: no new revision
	Revision string                     `json:"revision,omitempty"` // name of the new one; r1, r2, … if empty
	Handler  string                     `json:"handler,omitempty"`  // of the new revision; bootstrap if empty
	Canary   *int64                     `json:"canary,omitempty"`   // percent of the calls for the newest revision; nil: all for a new one, else as it is
	Spec     map[string]json.RawMessage `json:"spec,omitempty"`     // in place of all settings; nil: they stay
	Set      map[string]json.RawMessage `json:"set,omitempty"`      // in place of these settings only
}

// Problem is a request that cannot be done, in words for who made it.
type Problem string

func (p Problem) Error() string { return string(p) }

func problem(format string, args ...any) error { return Problem(fmt.Sprintf(format, args...)) }

// object is a Function as it is stored.
type object struct {
	v1alpha1.Header
	Spec map[string]json.RawMessage `json:"spec"`

	revisions []v1alpha1.Revision
	traffic   []v1alpha1.Traffic
}

func newObject(key spillway.FunctionKey) *object {
	return &object{Header: v1alpha1.Header{
		APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindFunction,
		Metadata: v1alpha1.Metadata{Name: key.Name, Namespace: key.Namespace},
	}, Spec: map[string]json.RawMessage{}}
}

// deploy does what r wants.
func (o *object) deploy(r Request) error {
	if err := o.set(r); err != nil {
		return err
	}
	if r.Digest == "" {
		if len(o.revisions) == 0 {
			return problem("%s was not deployed before: name its package", o.key())
		}
		if r.Canary == nil {
			return nil
		}
		return o.share(*r.Canary)
	}
	name := cmp.Or(r.Revision, o.nextName())
	if slices.ContainsFunc(o.revisions, func(v v1alpha1.Revision) bool { return v.Name == name }) {
		return problem("%s has a revision %s already; name another, or none", o.key(), name)
	}
	o.revisions = append(o.revisions, v1alpha1.Revision{
		Name: name, Handler: r.Handler, Package: v1alpha1.Package{Path: packagePath(r.Digest), Digest: r.Digest},
	})
	if r.Canary != nil {
		if err := o.share(*r.Canary); err != nil {
			return err
		}
	} else {
		o.all(name)
	}
	o.forget()
	return nil
}

// set changes the settings, which are everything but revisions and traffic.
func (o *object) set(r Request) error {
	if r.Spec != nil {
		o.Spec = maps.Clone(r.Spec)
	}
	for field, value := range r.Set {
		if old, ok := o.Spec[field]; ok && field == "resources" {
			value = withResources(old, value)
		}
		o.Spec[field] = value
	}
	for _, field := range []string{"revisions", "traffic"} {
		if _, ok := o.Spec[field]; ok {
			return problem("spec.%s: deploy writes it; leave it out", field)
		}
	}
	return nil
}

// withResources is value, with what old says of resources that value does not name.
func withResources(old, value json.RawMessage) json.RawMessage {
	all := map[string]json.RawMessage{}
	if json.Unmarshal(old, &all) != nil || json.Unmarshal(value, &all) != nil {
		return value // the loader says what is wrong with it
	}
	text, err := json.Marshal(all)
	if err != nil {
		return value
	}
	return text
}

// share gives the newest revision its percent, and the rest to the one that has
// most of the others.
func (o *object) share(percent int64) error {
	newest := o.revisions[len(o.revisions)-1].Name
	if percent < 0 || percent > 100 {
		return problem("canary: %d is not a part of the calls; allowed: 0 to 100 percent", percent)
	}
	stable := ""
	most := int64(-1)
	for _, t := range o.traffic {
		if t.Revision != newest && *t.Weight > most {
			stable, most = t.Revision, *t.Weight
		}
	}
	if percent == 100 {
		o.all(newest)
		return nil
	}
	if stable == "" && len(o.revisions) > 1 {
		stable = o.revisions[len(o.revisions)-2].Name
	}
	if stable == "" {
		return problem("canary: %s has no other revision that could take the other %d %%", o.key(), 100-percent)
	}
	o.traffic = weights(stable, 100-percent, newest, percent)
	return nil
}

// rollback gives all calls to the revision to, or if that is empty to the one
// before the newest that takes calls.
func (o *object) rollback(to string) error {
	at := slices.IndexFunc(o.revisions, func(v v1alpha1.Revision) bool { return v.Name == to })
	if to == "" {
		at = o.newestWithCalls() - 1
	}
	switch {
	case to != "" && at < 0:
		return problem("%s has no revision %s; it has %s", o.key(), to, o.names())
	case at < 0:
		return problem("%s has no revision before %s", o.key(), o.revisions[0].Name)
	}
	o.all(o.revisions[at].Name)
	return nil
}

func (o *object) newestWithCalls() int {
	for i := len(o.revisions) - 1; i > 0; i-- {
		if o.weight(o.revisions[i].Name) > 0 {
			return i
		}
	}
	return 0
}

func (o *object) weight(revision string) int64 {
	for _, t := range o.traffic {
		if t.Revision == revision {
			return *t.Weight
		}
	}
	return 0
}

func (o *object) all(revision string) {
	whole := int64(100)
	o.traffic = []v1alpha1.Traffic{{Revision: revision, Weight: &whole}}
}

func weights(one string, ofOne int64, two string, ofTwo int64) []v1alpha1.Traffic {
	return []v1alpha1.Traffic{{Revision: one, Weight: &ofOne}, {Revision: two, Weight: &ofTwo}}
}

// forget drops the oldest revisions that take no calls.
func (o *object) forget() {
	over := len(o.revisions) - keepRevisions
	o.revisions = slices.DeleteFunc(o.revisions, func(v v1alpha1.Revision) bool {
		drop := over > 0 && o.weight(v.Name) == 0
		if drop {
			over--
		}
		return drop
	})
}

// nextName is r and the number after the highest of such names.
func (o *object) nextName() string {
	highest := uint64(0)
	for _, v := range o.revisions {
		if digits, ok := strings.CutPrefix(v.Name, "r"); ok {
			if n, err := strconv.ParseUint(digits, 10, 32); err == nil {
				highest = max(highest, n)
			}
		}
	}
	return "r" + strconv.FormatUint(highest+1, 10)
}

func (o *object) names() string {
	all := make([]string, len(o.revisions))
	for i, v := range o.revisions {
		all[i] = v.Name
	}
	return strings.Join(all, ", ")
}

func (o *object) key() spillway.FunctionKey {
	return spillway.FunctionKey{Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
}
