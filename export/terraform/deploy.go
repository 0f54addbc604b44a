package terraform

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
)

// deployment is one function in one cloud, for all revisions that are bound to it.
type deployment struct {
	name  string // in the cloud
	id    string // in Terraform
	lead  clouddrift.Want
	burst int64 // calls at once that it may be sent; Unlimited if nothing says
	// aliases are what is called besides $LATEST, sorted. Versions are not among
	// them: the cloud numbers those.
	aliases  []alias
	versions []string
	latest   bool     // calls use $LATEST, or name nothing
	uses     []string // "namespace/name, revision v1", for comments
}

// alias is one name that calls use.
type alias struct {
	name, id string
	lead     bool   // it is for the code that is deployed here
	revision string // what it is for otherwise
}

var versionForm = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)

// account is one cloud pool with what is deployed in it.
type account struct {
	pool        *spillway.Pool
	id          string
	deployments []*deployment // by name
}

// gather groups what is wanted. Names in Terraform are unique and depend on the
// names in clouds only.
func gather(wants []clouddrift.Want) ([]*account, error) {
	var all []*account
	ids, aliases := names{}, names{}
	for _, w := range wants {
		i := slices.IndexFunc(all, func(a *account) bool { return a.pool == w.Pool })
		if i < 0 {
			i = len(all)
			all = append(all, &account{pool: w.Pool, id: ids.take(identifier(w.Pool.Name))})
		}
		if err := all[i].add(w); err != nil {
			return nil, err
		}
	}
	for _, a := range all {
		slices.SortFunc(a.deployments, func(x, y *deployment) int { return strings.Compare(x.name, y.name) })
		for _, d := range a.deployments {
			d.id = ids.take(identifier(a.id, d.name))
			slices.SortFunc(d.aliases, func(x, y alias) int { return strings.Compare(x.name, y.name) })
			for i := range d.aliases {
				d.aliases[i].id = aliases.take(identifier(d.id, d.aliases[i].name))
			}
			slices.Sort(d.versions)
		}
	}
	return all, nil
}

// names are identifiers that are in use.
type names map[string]bool

// take returns name, or name with a number if it is in use.
func (n names) take(name string) string {
	free := name
	for i := 2; n[free]; i++ {
		free = fmt.Sprintf("%s_%d", name, i)
	}
	n[free] = true
	return free
}

func (a *account) add(w clouddrift.Want) error {
	name := bareName(w.Binding.Name)
	i := slices.IndexFunc(a.deployments, func(d *deployment) bool { return d.name == name })
	if i < 0 {
		i = len(a.deployments)
		a.deployments = append(a.deployments, &deployment{name: name, lead: w, burst: w.Burst})
	}
	d := a.deployments[i]
	if err := d.fits(w); err != nil {
		return err
	}
	d.uses = append(d.uses, w.Function.String()+", revision "+w.Function.Revision)
	if d.burst = max(d.burst, w.Burst); w.Function.Weight > d.lead.Function.Weight {
		d.lead = w
	}
	for j := range d.aliases { // the lead may have changed
		d.aliases[j].lead = d.aliases[j].name == d.lead.Binding.Qualifier
	}
	d.qualify(w)
	return nil
}

// qualify notes what w calls the function by.
func (d *deployment) qualify(w clouddrift.Want) {
	q := w.Binding.Qualifier
	switch {
	case q == "" || strings.HasPrefix(q, "$"):
		d.latest = true
	case versionForm.MatchString(q):
		if !slices.Contains(d.versions, q) {
			d.versions = append(d.versions, q)
		}
	case !slices.ContainsFunc(d.aliases, func(a alias) bool { return a.name == q }):
		d.aliases = append(d.aliases, alias{name: q, lead: q == d.lead.Binding.Qualifier, revision: w.Function.Revision})
	}
}

// fits refuses a binding that wants the same cloud function to be another.
func (d *deployment) fits(w clouddrift.Want) error {
	first, b := d.lead.Binding, w.Binding
	problem := ""
	switch {
	case first.MiB != b.MiB:
		problem = fmt.Sprintf("%d MiB and %d MiB of memory", first.MiB, b.MiB)
	case first.Timeout != b.Timeout:
		problem = fmt.Sprintf("timeouts of %s and %s", first.Timeout, b.Timeout)
	case d.lead.Function.FunctionKey != w.Function.FunctionKey && d.lead.Function.Package.Digest != w.Function.Package.Digest:
		problem = "different packages"
	}
	if problem == "" {
		return nil
	}
	return fmt.Errorf("functions %s and %s are both %s in pool %s, but with %s: give one of them another name there (spec.cloud[].function)",
		d.lead.Function, w.Function, d.name, w.Pool.Name, problem)
}

// bareName is a function's name without the ARN around it.
func bareName(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }

// zipSum is the SHA-256 of the package in hex, if it is a zip file; else empty.
func (d *deployment) zipSum() string {
	p := d.lead.Function.Package
	if filepath.Ext(p.Path) != ".zip" {
		return ""
	}
	return strings.TrimPrefix(p.Digest, "sha256:")
}

// envNames are the variables that the function has on-prem.
func (d *deployment) envNames() []string {
	var all []string
	for _, pair := range d.lead.Function.Env {
		key, _, _ := strings.Cut(pair, "=")
		all = append(all, key)
	}
	return all
}

// comments say what a deployment is for and what it lacks.
func (d *deployment) comments() []item {
	var all []item
	for _, use := range d.uses {
		all = append(all, note("%s.", use))
	}
	if names := d.envNames(); len(names) > 0 {
		all = append(all, note("On-prem it has the environment variables %s. Nothing of them is copied to a cloud:", strings.Join(names, ", ")),
			note("add an environment here if it needs one."))
	}
	if h := d.lead.Function.Handler; h != "bootstrap" {
		all = append(all, note("The program is %s on-prem; here it must be the file bootstrap of the zip.", h))
	}
	for _, v := range d.versions {
		all = append(all, note("Calls use version %s. The cloud numbers versions, so it must be published there.", v))
	}
	return all
}
