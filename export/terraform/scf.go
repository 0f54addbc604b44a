package terraform

import (
	"fmt"

	"github.com/spillway-dev/spillway"
)

// scf is everything of a Tencent pool.
func (a *account) scf() []item {
	all := []item{
		block("provider", []string{"tencentcloud"}, attr("alias", text(a.id)), attr("region", text(a.pool.Region))),
	}
	for _, d := range a.deployments {
		all = append(all, a.scfFunction(d)...)
	}
	return append(all, a.scfPolicy()...)
}

// scfNamespace is SCF's own namespace of the pool's functions.
func (a *account) scfNamespace() string {
	if a.pool.SCF.Namespace == "" {
		return "default"
	}
	return a.pool.SCF.Namespace
}

func (a *account) scfFunction(d *deployment) []item {
	all := append([]item{gap}, d.comments()...)
	all = append(all,
		block("resource", []string{"tencentcloud_scf_function", d.id},
			attr("provider", a.provider()),
			attr("name", text(d.name)),
			attr("namespace", text(a.scfNamespace())),
			attr("description", text("Deployed for Spillway.")),
			attr("func_type", text("Event")),
			attr("runtime", text("CustomRuntime")),
			attr("handler", text("bootstrap.main")),
			attr("mem_size", whole(d.lead.Binding.MiB)),
			attr("timeout", seconds(d.lead.Binding.Timeout)),
			attr("zip_file", expr("var."+d.id+"_zip")),
		),
		gap,
		block("resource", []string{"tencentcloud_scf_reserved_concurrency_config", d.id},
			attr("count", expr("var."+d.id+"_reserved < 0 ? 0 : 1")),
			attr("provider", a.provider()),
			attr("function_name", a.functionName(d)),
			attr("namespace", text(a.scfNamespace())),
			attr("reserved_concurrency_mem", expr("var."+d.id+"_reserved")),
		))
	if d.publishes() {
		all = append(all, gap, block("resource", []string{"tencentcloud_scf_function_version", d.id},
			attr("provider", a.provider()),
			attr("function_name", a.functionName(d)),
			attr("namespace", text(a.scfNamespace())),
			attr("description", expr("var."+d.id+"_release")),
		))
	}
	for _, q := range d.aliases {
		version := expr("tencentcloud_scf_function_version." + d.id + ".function_version")
		if !q.lead {
			version = expr("var." + q.id + "_version")
		}
		all = append(all, gap, block("resource", []string{"tencentcloud_scf_function_alias", q.id},
			attr("provider", a.provider()),
			attr("name", text(q.name)),
			attr("function_name", a.functionName(d)),
			attr("namespace", text(a.scfNamespace())),
			attr("function_version", version),
		))
	}
	return all
}

func (a *account) functionName(d *deployment) expr {
	return expr("tencentcloud_scf_function." + d.id + ".name")
}

// publishes reports whether the code that is deployed here is called by an alias.
func (d *deployment) publishes() bool {
	for _, q := range d.aliases {
		if q.lead {
			return true
		}
	}
	return false
}

// scfPolicy is what Spillway's own key needs. Tencent checks reads other than
// GetFunction for the account as a whole.
func (a *account) scfPolicy() []item {
	var functions []expr
	for _, d := range a.deployments {
		functions = append(functions, joined("qcs::scf:"+a.pool.Region+":uin/", expr("var."+a.id+"_uin"), ":namespace/"+a.scfNamespace()+"/function/"+d.name))
	}
	allow := func(actions, resources expr) expr {
		return object(attr("effect", text("allow")), attr("action", actions), attr("resource", resources))
	}
	return []item{
		gap,
		note("What Spillway's own key needs: call these functions, read what 'spillway cloud check' compares and the logs that 'spillway reconcile' settles by."),
		block("resource", []string{"tencentcloud_cam_policy", a.id + "_spillway"},
			attr("provider", a.provider()),
			attr("name", text("spillway-"+a.pool.Name)),
			attr("document", call("jsonencode", object(attr("version", text("2.0")), attr("statement", list(
				allow(inline(text("scf:InvokeFunction"), text("scf:GetFunction")), list(functions...)),
				allow(list(text("scf:GetAccount"), text("scf:GetAlias"), text("scf:GetReservedConcurrencyConfig"), text("cls:SearchLog")), inline(text("*"))),
			))))),
		),
		gap,
		block("output", []string{a.id + "_spillway_policy"},
			attr("description", text("Attach it to the user whose key pool "+a.pool.Name+" has.")),
			attr("value", expr("tencentcloud_cam_policy."+a.id+"_spillway.id")),
		),
	}
}

func (a *account) scfVariables() []item {
	all := variable(a.id+"_uin", "string", "Number (uin) of the main account of pool "+a.pool.Name+".")
	for _, d := range a.deployments {
		all = append(all, variable(d.id+"_zip", "string", fmt.Sprintf("Path of the zip for function %s in pool %s: spillway-agent as the file bootstrap, "+
			"and beside it the folder lambda with the function's package. Give each build a path of its own, or a change is not seen.", d.name, a.pool.Name))...)
		need := d.burst
		if need != spillway.Unlimited {
			need = mebibytes(need, d.lead.Binding.MiB)
		}
		all = append(all, reservedVariable(d, "MB at once", need)...)
		if d.publishes() {
			all = append(all, variable(d.id+"_release", "string",
				fmt.Sprintf("Name of the release of function %s: letters, digits and spaces. A new one publishes a version.", d.name))...)
		}
		for _, q := range d.aliases {
			if !q.lead {
				all = append(all, variable(q.id+"_version", "string",
					fmt.Sprintf("Published version of function %s that holds revision %s.", d.name, q.revision))...)
			}
		}
	}
	return all
}

// mebibytes is what calls of each MiB need together; Unlimited if that is too many.
func mebibytes(calls, each int64) int64 {
	if each > 0 && calls > spillway.Unlimited/each {
		return spillway.Unlimited
	}
	return calls * each
}
