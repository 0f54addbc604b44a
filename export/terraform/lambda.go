package terraform

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/clouddrift"
)

// lambda is everything of an AWS pool.
func (a *account) lambda() []item {
	all := []item{
		block("provider", []string{"aws"}, attr("alias", text(a.id)), attr("region", text(a.pool.Region))),
		gap,
		block("data", []string{"aws_partition", a.id}, attr("provider", a.provider())),
		gap,
		note("What the functions may do while they run: write their logs."),
		block("resource", []string{"aws_iam_role", a.id + "_functions"},
			attr("provider", a.provider()),
			attr("name", text(roleName(a.pool.Name))),
			attr("assume_role_policy", policy(statement("Allow", inline(text("sts:AssumeRole")), attr("Principal", object(attr("Service", text("lambda.amazonaws.com"))))))),
		),
		gap,
		block("resource", []string{"aws_iam_role_policy_attachment", a.id + "_functions"},
			attr("provider", a.provider()),
			attr("role", expr("aws_iam_role."+a.id+"_functions.name")),
			attr("policy_arn", joined("arn:", expr("data.aws_partition."+a.id+".partition"), ":iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")),
		),
	}
	for _, d := range a.deployments {
		all = append(all, a.lambdaFunction(d)...)
	}
	return append(all, a.lambdaPolicy()...)
}

func (a *account) provider() expr {
	if a.pool.Kind == spillway.PoolSCF {
		return expr("tencentcloud." + a.id)
	}
	return expr("aws." + a.id)
}

func (a *account) lambdaFunction(d *deployment) []item {
	zip := expr("var." + d.id + "_zip")
	all := append([]item{gap}, d.comments()...)
	body := []item{
		attr("provider", a.provider()),
		attr("function_name", text(d.name)),
		attr("description", text("Deployed for Spillway: "+d.lead.Function.String())),
		attr("role", expr("aws_iam_role."+a.id+"_functions.arn")),
		attr("runtime", text("provided.al2023")),
		attr("handler", text(d.lead.Function.Handler)),
		attr("architectures", inline(text(processor(d)))),
		attr("memory_size", whole(d.lead.Binding.MiB)),
		attr("timeout", seconds(d.lead.Binding.Timeout)),
		attr("filename", zip),
		attr("source_code_hash", call("filebase64sha256", zip)),
		attr("publish", "true"),
		attr("reserved_concurrent_executions", expr("var."+d.id+"_reserved")),
	}
	all = append(all, block("resource", []string{"aws_lambda_function", d.id}, body...))
	for _, q := range d.aliases {
		version := expr("aws_lambda_function." + d.id + ".version")
		if !q.lead {
			version = expr("var." + q.id + "_version")
		}
		all = append(all, gap, block("resource", []string{"aws_lambda_alias", q.id},
			attr("provider", a.provider()),
			attr("name", text(q.name)),
			attr("function_name", expr("aws_lambda_function."+d.id+".function_name")),
			attr("function_version", version),
		))
	}
	return all
}

// roleName is at most the 64 characters that IAM allows, and different for each pool.
func roleName(pool string) string {
	const most = 64 - len("spillway--functions")
	if len(pool) > most {
		sum := sha256.Sum256([]byte(pool))
		pool = pool[:most-9] + "-" + hex.EncodeToString(sum[:4])
	}
	return "spillway-" + pool + "-functions"
}

func processor(d *deployment) string {
	if d.lead.Architecture == "" {
		return clouddrift.X86
	}
	return d.lead.Architecture
}

func seconds(d time.Duration) expr { return whole(int64(d / time.Second)) }

// lambdaPolicy is what Spillway's own credentials need: to call the functions as
// it calls them, and to read what 'spillway cloud check' and 'spillway reconcile' do.
func (a *account) lambdaPolicy() []item {
	var called, read, logs []expr
	for _, d := range a.deployments {
		arn := "aws_lambda_function." + d.id + ".arn"
		qualified := func(q string) expr { return joined("", expr(arn), ":"+q) }
		if d.latest {
			called = append(called, expr(arn), qualified("$LATEST"))
		}
		for _, q := range d.aliases {
			called = append(called, qualified(q.name))
		}
		for _, v := range d.versions {
			called = append(called, qualified(v))
		}
		read = append(read, expr(arn), qualified("*"))
		logs = append(logs, joined("arn:", expr("data.aws_partition."+a.id+".partition"), ":logs:"+a.pool.Region+":*:log-group:/aws/lambda/"+d.name+":*"))
	}
	return []item{
		gap,
		note("What Spillway's own credentials need: call these functions, read what 'spillway cloud check' compares and the logs that 'spillway reconcile' settles by."),
		block("resource", []string{"aws_iam_policy", a.id + "_spillway"},
			attr("provider", a.provider()),
			attr("name", text("spillway-"+a.pool.Name)),
			attr("policy", policy(
				statement("Allow", inline(text("lambda:InvokeFunction")), attr("Resource", list(called...))),
				statement("Allow", list(text("lambda:GetAlias"), text("lambda:GetFunctionConcurrency"), text("lambda:GetFunctionConfiguration")), attr("Resource", list(read...))),
				statement("Allow", inline(text("logs:FilterLogEvents")), attr("Resource", list(logs...))),
				statement("Allow", inline(text("lambda:GetAccountSettings")), attr("Resource", text("*"))),
			)),
		),
		gap,
		block("output", []string{a.id + "_spillway_policy"},
			attr("description", text("Attach it to the user or role whose credentials pool "+a.pool.Name+" has.")),
			attr("value", expr("aws_iam_policy."+a.id+"_spillway.arn")),
		),
	}
}

func policy(statements ...expr) expr {
	return call("jsonencode", object(attr("Version", text("2012-10-17")), attr("Statement", list(statements...))))
}

func statement(effect string, actions expr, more ...item) expr {
	return object(append([]item{attr("Effect", text(effect)), attr("Action", actions)}, more...)...)
}

func (a *account) lambdaVariables() []item {
	var all []item
	for _, d := range a.deployments {
		about := fmt.Sprintf("Path of the zip for function %s in pool %s, with the file bootstrap at its root.", d.name, a.pool.Name)
		var pinned []item
		if sum := d.zipSum(); sum != "" {
			pinned = validation(call("filesha256", expr("var."+d.id+"_zip"))+" == "+text(sum),
				"This is not the zip that the configuration has: its SHA-256 must be "+sum+".")
		}
		all = append(all, variable(d.id+"_zip", "string", about, pinned...)...)
		all = append(all, reservedVariable(d, "calls at once", d.burst)...)
		for _, q := range d.aliases {
			if !q.lead {
				all = append(all, variable(q.id+"_version", "string",
					fmt.Sprintf("Published version of function %s that holds revision %s.", d.name, q.revision))...)
			}
		}
	}
	return all
}

// reservedVariable is how much concurrency is kept for a function; need is the
// least that lets through what Spillway may send.
func reservedVariable(d *deployment, unit string, need int64) []item {
	name := expr("var." + d.id + "_reserved")
	about := fmt.Sprintf("Concurrency kept for function %s, in %s, which is also the most it gets. -1 keeps none, 0 has every call refused.", d.name, unit)
	if need == spillway.Unlimited {
		return variable(d.id+"_reserved", "number", about, attr("default", "-1"))
	}
	allowed := validation(expr(fmt.Sprintf("contains([-1, 0], %s) || %s >= %d", name, name, need)),
		fmt.Sprintf("Spillway may send what needs %d: allowed are -1, 0, and %d or more.", need, need))
	return variable(d.id+"_reserved", "number", about, append([]item{attr("default", "-1")}, allowed...)...)
}
