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
	Digest   string                     `json:"digest,omitempty"`   // of a package that is there; empty, or that of the newest revision: no new one
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
	if !o.newestIs(r) {
		if err := o.add(r); err != nil {
			return err
		}
	}
	newest := o.revisions[len(o.revisions)-1].Name
	if r.Canary != nil {
		if err := o.share(*r.Canary); err != nil {
			return err
		}
	} else {
		o.all(newest)
	}
	o.forget()
	return nil
}

// newestIs reports that the newest revision is what r brings, unless r names another.
func (o *object) newestIs(r Request) bool {
	if len(o.revisions) == 0 {
		return false
	}
	v := o.revisions[len(o.revisions)-1]
	return v.Package.Digest == r.Digest && v.Handler == r.Handler && (r.Revision == "" || r.Revision == v.Name)
}

// add appends the revision that r brings.
func (o *object) add(r Request) error {
	name := cmp.Or(r.Revision, o.nextName())
	if slices.ContainsFunc(o.revisions, func(v v1alpha1.Revision) bool { return v.Name == name }) {
		return problem("%s has a revision %s already; name another, or none", o.key(), name)
	}
	o.revisions = append(o.revisions, v1alpha1.Revision{
		Name: name, Handler: r.Handler, Package: v1alpha1.Package{Path: packagePath(r.Digest), Digest: r.Digest},
	})
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
	rest := 100 - percent
	o.split(v1alpha1.Traffic{Revision: stable, Weight: &rest}, v1alpha1.Traffic{Revision: newest, Weight: &percent})
	return nil
}

// rollback gives all calls to the revision to. If that is empty, it ends a canary in
// favour of the revision with most of the other calls, and else goes to the one before
// that was not withdrawn. What took calls and is newer than the target is withdrawn by
// it: traffic names it with a weight of 0.
func (o *object) rollback(to string) error {
	at := slices.IndexFunc(o.revisions, func(v v1alpha1.Revision) bool { return v.Name == to })
	if to == "" {
		at = o.before(o.newestWithCalls())
	}
	switch {
	case to != "" && at < 0:
		return problem("%s has no revision %s; it has %s", o.key(), to, o.names())
	case at < 0:
		return problem("%s has no revision before %s to go back to; it has %s, and --to names any of them", o.key(), o.revisions[o.newestWithCalls()].Name, o.names())
	}
	withdrawn := map[string]bool{}
	for i, v := range o.revisions {
		withdrawn[v.Name] = o.withdrawn(v.Name) || i > at && o.weight(v.Name) > 0
	}
	o.all(o.revisions[at].Name)
	for _, v := range o.revisions {
		if none := int64(0); withdrawn[v.Name] && v.Name != o.revisions[at].Name {
			o.traffic = append(o.traffic, v1alpha1.Traffic{Revision: v.Name, Weight: &none})
		}
	}
	return nil
}

// before is the revision to go back to from the one at newest, or -1.
func (o *object) before(newest int) int {
	best, most := -1, int64(0)
	for i, v := range o.revisions {
		if w := o.weight(v.Name); i != newest && w > most {
			best, most = i, w
		}
	}
	for i := newest - 1; i >= 0 && best < 0; i-- {
		if !o.withdrawn(o.revisions[i].Name) {
			best = i
		}
	}
	return best
}

// withdrawn reports that calls were taken away from a revision on purpose.
func (o *object) withdrawn(revision string) bool {
	return slices.ContainsFunc(o.traffic, func(t v1alpha1.Traffic) bool { return t.Revision == revision && *t.Weight == 0 })
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
	o.split(v1alpha1.Traffic{Revision: revision, Weight: &whole})
}

// split shares the calls anew. Revisions that were withdrawn and get none stay so.
func (o *object) split(shares ...v1alpha1.Traffic) {
	for _, t := range o.traffic {
		if *t.Weight == 0 && !slices.ContainsFunc(shares, func(s v1alpha1.Traffic) bool { return s.Revision == t.Revision }) {
			shares = append(shares, t)
		}
	}
	o.traffic = shares
}

// forget drops the oldest revisions that take no calls.
func (o *object) forget() {
	over := len(o.revisions) - keepRevisions
	o.revisions = slices.DeleteFunc(o.revisions, func(v v1alpha1.Revision) bool {
		drop := over > 0 && o.weight(v.Name) == 0
		if drop {
			over--
			o.traffic = slices.DeleteFunc(o.traffic, func(t v1alpha1.Traffic) bool { return t.Revision == v.Name })
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
