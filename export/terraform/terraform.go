// Package terraform writes the cloud half of a configuration as Terraform's HCL:
// functions, aliases, reservations, and the permissions that Spillway's own
// credentials need. It is pure, and the same input gives the same bytes.
//
// Code is not part of it: each function has a variable for the path of its zip.
// Nor are secrets, environments, and endpoints other than the clouds' own.
package terraform

import (
	"slices"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
)

// File is one file of a module.
type File struct {
	Name string // ends in .tf
	Text string
}

// Render writes a module with what is wanted. The error names two bindings that
// cannot both be met.
func Render(wants []clouddrift.Want) ([]File, error) {
	accounts, err := gather(wants)
	if err != nil {
		return nil, err
	}
	files := []File{{"versions.tf", head + render(versions(accounts))}, {"variables.tf", head + render(variables(accounts))}}
	for _, a := range accounts {
		resources := a.lambda
		if a.pool.Kind == spillway.PoolSCF {
			resources = a.scf
		}
		files = append(files, File{"pool_" + a.id + ".tf", head + render(resources())})
	}
	return files, nil
}

const head = "# Written by 'spillway cloud export terraform'. Change the configuration and write it again.\n\n"

// versions says which providers the module needs.
func versions(accounts []*account) []item {
	uses := func(k spillway.PoolKind) bool {
		return slices.ContainsFunc(accounts, func(a *account) bool { return a.pool.Kind == k })
	}
	var providers []item
	if uses(spillway.PoolLambda) {
		providers = append(providers, attr("aws", object(attr("source", text("hashicorp/aws")), attr("version", text(">= 5.0")))))
	}
	if uses(spillway.PoolSCF) {
		providers = append(providers, attr("tencentcloud", object(attr("source", text("tencentcloudstack/tencentcloud")), attr("version", text(">= 1.81")))))
	}
	body := []item{attr("required_version", text(">= 1.3"))}
	if len(providers) > 0 {
		body = append(body, gap, block("required_providers", nil, providers...))
	}
	return []item{block("terraform", nil, body...)}
}

// variables are what the module has to be given.
func variables(accounts []*account) []item {
	var all []item
	for _, a := range accounts {
		if a.pool.Kind == spillway.PoolSCF {
			all = append(all, a.scfVariables()...)
		} else {
			all = append(all, a.lambdaVariables()...)
		}
	}
	return slices.Clip(all[:max(0, len(all)-1)]) // without the gap at the end
}

// variable declares one, with an empty line after it.
func variable(name, kind, about string, more ...item) []item {
	body := append([]item{attr("type", expr(kind)), attr("description", text(about))}, more...)
	return []item{block("variable", []string{name}, body...), gap}
}

// validation refuses a value for which condition is false.
func validation(condition expr, why string) []item {
	return []item{gap, block("validation", nil, attr("condition", condition), attr("error_message", text(why)))}
}
