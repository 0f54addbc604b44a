package main

import (
	"fmt"
	"strings"
)

// kinds are the rules of each kind, by its plural.
var kinds = map[string][]rule{
	"functions":     named(functions()),
	"pools":         named(pools()),
	"quotas":        named(quotas()),
	"burstpolicies": named(policies()),
	"pricebooks":    named(books()),
}

// named are rules of every kind, and those of one.
func named(rules []rule) []rule {
	return append(list(computes("", matches("self.metadata.name", labelForm),
		"'metadata.name: ' + "+strings.ReplaceAll(quoted, "self", "self.metadata.name")+" + "+text(" is not a name; allowed: "+labelAllowed))), rules...)
}

func functions() []rule {
	return all(
		list(many("spec.revisions", 16), many("spec.traffic", 16), many("spec.cloud", 16), many("spec.residency", 64), few("spec.env", 256)),
		list(says("spec.revisions", "size(self) >= 1", "has 0 entries; allowed: 1 to 16")),
		label("spec.revisions[].name"), revision(), traffic(),
		word("spec.contract", nil, "lambda", "http"),
		word("spec.class", []string{"nearline"}, "online", "offline"),
		list(below(".contract", says("spec", "!has(self.class) || self.class != 'offline' || !has(self.contract) || self.contract != 'http'",
			"http is for callers who wait, and class offline runs when there is room; allowed: lambda, or class: online")),
			below(".minWarm", computes("spec", "!has(self.class) || self.class != 'offline' || !has(self.minWarm) || self.minWarm <= 0 || self.minWarm > 1000",
				text("%d would keep idle capacity that nothing uses; allowed: 0, or class: online")+".format([self.minWarm])"))),
		word("spec.burst", nil, "allow", "deny"),
		word("spec.retry", nil, "never", "idempotent"),
		count("spec.concurrency", 1, 1000),
		list(below(".concurrency", computes("spec", "!has(self.concurrency) || self.concurrency <= 1 || self.concurrency > 1000 || has(self.contract) && self.contract == 'http'",
			text("%d: the Lambda Runtime API hands an instance one invocation at a time; allowed: 1, or contract: http")+".format([self.concurrency])"))),
		cpu("spec.resources.cpu", "1m", "1024"), memory("spec.resources.memory", "1Mi", "1Ti"),
		count("spec.minWarm", 0, 1000),
		times(),
		optionalLabel("spec.dataClass"), optionalLabel("spec.burstPolicy"), label("spec.residency[]"),
		environment(), bindings(),
		optionalLabel("spec.kubernetes.serviceAccountName"))
}

// revision is where the code of one revision comes from.
func revision() []rule {
	const at = "spec.revisions[]"
	hasImage, hasPackage := "has(self.image) && self.image != ''", "has(self.__package__)"
	return all(
		form(at+".qualifier", `^([$]LATEST|[A-Za-z0-9_-]{1,128})$`, "is not a version or alias", "$LATEST, a version number or an alias name", true),
		form(at+".package.digest", digestForm, "is not a digest", digestAllowed, false),
		list(long(at+".package.path", 1024), says(at+".package.path", "self == ''", "means nothing in a cluster; allowed: digest alone, of a package that was uploaded")),
		list(long(at+".handler", 1024), long(at+".image", 512)),
		list(
			below(".image", computes(at, "!("+hasImage+") || "+hasPackage+" || "+matches("self.image", imageForm)+" || "+matches("self.image", taggedForm),
				strings.ReplaceAll(quoted, "self", "self.image")+" + "+text(" is not an image that cannot change; allowed: "+taggedAllowed))),
			below(".package.digest", says(at, hasImage+" || "+hasPackage+" && has(self.__package__.digest)", "is required; allowed: "+digestAllowed)),
			below(".image", says(at, "!("+hasImage+" && "+hasPackage+")", "stands beside package; allowed: one of package and image")),
			below(".handler", computes(at, hasImage+" || !has(self.handler) || !self.handler.startsWith('/') && !"+matches("self.handler", `^[.][.](/|$)`),
				strings.ReplaceAll(quoted, "self", "self.handler")+" + "+text(" is not a path inside the package; allowed: such as bootstrap or bin/serve"))),
			below(".handler", computes(at, "!("+hasImage+") || has(self.handler) && self.handler.startsWith('/')",
				"strings.quote(has(self.handler) ? self.handler : '') + "+text(" is not an absolute path; allowed: the program in the image, such as /app/serve")))))
}

func traffic() []rule {
	return all(
		label("spec.traffic[].revision"), count("spec.traffic[].weight", 0, 100),
		list(
			computes("spec.traffic", "self.exists(t, t.weight < 0 || t.weight > 100) || size(self) == 0 || self.map(t, t.weight).sum() == 100",
				"'the weights add up to %d; allowed: 100'.format([self.map(t, t.weight).sum()])"),
			below(".traffic", says("spec", "size(self.revisions) <= 1 || has(self.traffic) && size(self.traffic) > 0",
				"is required when there are several revisions; allowed: entries whose weights add up to 100")),
			below(".traffic", computes("spec", "!has(self.traffic) || self.traffic.all(t, self.revisions.exists(r, r.name == t.revision))",
				`'there is no revision "%s"; allowed: a name of spec.revisions'.format([self.traffic.filter(t, !self.revisions.exists(r, r.name == t.revision))[0].revision])`))))
}

// times are the limits on one execution and its waits.
func times() []rule {
	timeout := "(has(self.timeout) ? self.timeout : '3s')"
	fits := func(field, rest string) string {
		return "!has(self." + field + ") || !" + matches("self."+field, durationForm) + " || !" + matches(timeout, durationForm) +
			" || has(self.deadline) && !" + matches("self.deadline", durationForm) + " || " + rest
	}
	deadline := "(has(self.deadline) ? duration(self.deadline) : has(self.class) && self.class == 'offline' ? duration('1h') : duration(" + timeout + ") + duration('10s'))"
	return all(
		duration("spec.timeout", "1ms", "15m"), duration("spec.deadline", "1ms", "1h"), duration("spec.maxWait", "0s", "1h"),
		list(
			below(".timeout", computes("spec", fits("deadline", "duration(self.deadline) < duration('1ms') || duration("+timeout+") <= duration(self.deadline)"),
				timeout+" + ' is longer than the deadline, ' + self.deadline + '; allowed: at most spec.deadline'")),
			below(".maxWait", computes("spec", fits("maxWait", "duration(self.maxWait) <= "+deadline),
				"'%s is longer than the deadline, %s; allowed: at most spec.deadline'.format([self.maxWait, has(self.deadline) ? self.deadline : string("+deadline+")])"))))
}

func environment() []rule {
	set := "k in ['_HANDLER', 'AWS_LAMBDA_RUNTIME_API', 'LAMBDA_TASK_ROOT', 'LAMBDA_RUNTIME_DIR', 'AWS_EXECUTION_ENV'] || k.startsWith('AWS_LAMBDA_')"
	formed := matches("k", `^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	return list(
		long("spec.env{}", 4096),
		computes("spec.env", "self.all(k, "+formed+")", "strings.quote(self.filter(k, !"+formed+")[0]) + "+text(" is not a name of an environment variable; allowed: letters, digits and _, not beginning with a digit, at most 128")),
		says("spec.env", "!self.exists(k, "+set+")", "is set by what runs the function; allowed: another name"))
}

// bindings are what no cloud could run as written; what one of them cannot is the
// loader's to say, which knows the pools.
func bindings() []rule {
	const at = "spec.cloud[]"
	web := "has(self.contract) && self.contract == 'http'"
	within := "!has(c.timeout) || !" + matches("c.timeout", durationForm) + " || duration(c.timeout) > duration('15m') || duration(c.timeout) <= duration(self.deadline)"
	return all(
		label(at+".pool"), list(long(at+".payload", 64), long(at+".function", 256)),
		form(at+".qualifier", versionForm, "is not a version or alias", "$LATEST, a version number or an alias name; $DEFAULT too on scf", true),
		duration(at+".timeout", "1s", "15m"),
		list(
			computes(at+".timeout", "!"+matches("self", durationForm)+" || duration(self).getMilliseconds() == duration(self).getSeconds() * 1000",
				"self + "+text(" is not whole seconds, which is how clouds count; allowed: 1s to 15m in steps of 1s")),
			below(".cloud", says("spec", "!("+web+") || !has(self.cloud) || self.cloud.all(c, has(c.payload) && c.payload == 'http-v2')",
				"is required for a web function: clouds are sent events; allowed: http-v2, if the function takes events of payload format 2.0 there; else no binding")),
			below(".cloud", computes("spec", "!has(self.cloud) || !has(self.deadline) || !"+matches("self.deadline", durationForm)+" || self.cloud.all(c, "+within+")",
				"'the provider would run it for %s, longer than the deadline, %s; allowed: at most spec.deadline'.format([self.cloud.filter(c, !("+within+"))[0].timeout, self.deadline])")),
			below(".cloud", says("spec", web+" || !has(self.cloud) || self.cloud.all(c, !has(c.payload) || c.payload == '')",
				"means nothing for this contract; allowed: only with spec.contract: http"))),
		pattern(memoryForm, at+".memory"))
}

func pools() []rule {
	only := func(field string, kinds ...string) rule {
		return below("."+field, says("spec", "!has(self."+field+") || self.kind in "+texts(kinds), notHere+either(kinds)))
	}
	withPods := func(field string) rule {
		return below("."+field, says("spec", "self.kind != 'offline' || has(self.kubernetes) || !has(self."+field+")",
			"means nothing without instances of functions; allowed: only with spec.kubernetes"))
	}
	onlyWaiting := func(field string) rule { // of pods that wait for a package
		named := "self.kubernetes." + field
		if field == "namespace" {
			named = "self.kubernetes.__namespace__"
		}
		return below(".kubernetes."+field, says("spec", "self.kind != 'offline' || !has(self.kubernetes) || !has("+named+")", notHere+"kubernetes"))
	}
	keep := "spec.keepAlivePolicy"
	var parameters []rule
	for field, kind := range map[string]string{"head": "hybrid", "tail": "hybrid", "margin": "hybrid", "worth": "forecast", "share": "provisioned", "window": "provisioned",
		"stable": "windows", "panic": "windows", "target": "windows"} {
		parameters = append(parameters, below("."+field, computes(keep, fmt.Sprintf("!has(self.%s) || has(self.kind) && (self.kind == '%s' || !(self.kind in ['', 'fixed', 'hybrid', 'forecast', 'provisioned', 'windows']))", field, kind),
			"'means nothing for kind ' + (has(self.kind) ? self.kind : 'fixed') + '; allowed: only with kind: "+kind+"'")))
	}
	sortRules(parameters)
	return all(
		requiredWord("spec.kind", nil, "process", "kubernetes", "offline", "lambda", "scf"),
		optionalLabel("spec.region"), optionalLabel("spec.pricePlan"),
		list(below(".region", says("spec", "!(self.kind in ['lambda', 'scf']) || has(self.region) && self.region != ''", "is required; allowed: "+labelAllowed)),
			only("lambda", "lambda"), only("scf", "scf"), only("kubernetes", "kubernetes", "offline"), only("offline", "offline"), only("limits", "lambda", "scf"),
			only("capacity", "process", "kubernetes"), only("keepAlive", "process", "kubernetes", "offline"), only("keepAlivePolicy", "process", "kubernetes"),
			withPods("keepAlive"), withPods("initTimeout"), onlyWaiting("sizes"), onlyWaiting("namespace"),
			below(".kubernetes.runtimeImage", says("spec", "self.kind != 'kubernetes' || has(self.kubernetes)", "is required; allowed: "+taggedAllowed)),
			below(".limits.memory", says("spec", "self.kind != 'lambda' || !has(self.limits) || !has(self.limits.memory)", notHere+"scf")),
			below(".limits.rampPerMinute", says("spec", "self.kind != 'lambda' || !has(self.limits) || !has(self.limits.rampPerMinute)", notHere+"scf")),
			below(".limits.rampPer10s", says("spec", "self.kind != 'scf' || !has(self.limits) || !has(self.limits.rampPer10s)", notHere+"lambda"))),
		duration("spec.keepAlive", "1ms", "24h"), duration("spec.initTimeout", "1ms", "5m"),
		word(keep+".kind", nil, "fixed", "hybrid", "forecast", "provisioned", "windows"), parameters,
		count(keep+".head", 0, 50), count(keep+".tail", 51, 100), count(keep+".margin", 0, 90), duration(keep+".worth", "1m", "24h"),
		count(keep+".share", 1, 100), duration(keep+".window", "1m", "24h"),
		duration(keep+".stable", "10s", "1h"), count(keep+".panic", 1, 100), count(keep+".target", 1, 100),
		count("spec.capacity.slots", 1, 1_000_000), cpu("spec.capacity.cpu", "1m", "1000000"), memory("spec.capacity.memory", "1Mi", "1Pi"),
		count("spec.limits.concurrency", 1, 1_000_000), memory("spec.limits.memory", "64Mi", "1Pi"), count("spec.limits.rampPer10s", 1, 1_000_000),
		count("spec.limits.rampPerMinute", 1, 1_000_000), count("spec.limits.requestsPerSecond", 1, 10_000_000),
		endpoint("spec.lambda.endpoint"), endpoint("spec.scf.endpoint"), credentials("spec.lambda.credentials"), credentials("spec.scf.credentials"),
		list(computes("spec.scf.endpoint", "!isURL(self) || url(self).getEscapedPath() in ['', '/']", text("has a path, and SCF has none; allowed: http://HOST:PORT or https://HOST"))),
		form("spec.scf.namespace", `^[A-Za-z][A-Za-z0-9_-]{0,29}$`, "is not a namespace of SCF", "1 to 30 letters, digits, - and _, beginning with a letter", true),
		optionalLabel("spec.offline.node"), pods())
}

func pods() []rule {
	const at = "spec.kubernetes"
	key := `^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`
	value := `^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$`
	labelled := matches("k", key) + " && " + matches("self[k]", value)
	return all(
		list(long(at+".runtimeImage", 512), computes(at+".runtimeImage", matches("self", imageForm)+" || "+matches("self", taggedForm),
			"self == '' ? "+text("is required; allowed: "+taggedAllowed)+" : "+quoted+" + "+text(" is not an image that cannot change; allowed: "+taggedAllowed)),
			below(".runtimeImage", says(at, "has(self.allowTags) && self.allowTags || !"+matches("self.runtimeImage", taggedForm), "is named by tag; allowed: "+imageAllowed+", or allowTags: true beside it"))),
		optionalLabel(at+".namespace"), optionalLabel(at+".runtimeClassName"),
		list(few(at+".nodeSelector", 64), long(at+".nodeSelector{}", 64), computes(at+".nodeSelector", "self.all(k, "+labelled+")",
			"strings.quote(self.filter(k, !("+labelled+"))[0] + ': ' + self[self.filter(k, !("+labelled+"))[0]]) + "+text(" is not a label of a node; allowed: a key and value as Kubernetes has them"))),
		list(many(at+".sizes", 16)), pattern(memoryForm, at+".sizes[].memory"), pattern(cpuForm, at+".sizes[].cpu"), count(at+".sizes[].ready", 0, 1000))
}

// endpoint is a plain URL.
func endpoint(path string) []rule {
	return list(long(path, 1024), says(path, "self == '' || isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.contains('@') && !self.contains('?')",
		"is not a plain URL; allowed: http://HOST:PORT or https://HOST, without user and query"))
}

func credentials(path string) []rule {
	return list(long(path+".file", 1024),
		says(path+".file", "self == '' || self.startsWith('/')", "is not an absolute path, and objects of a cluster are in no directory; allowed: where the Secret is mounted, such as /etc/spillway/secrets/NAME"),
		says(path, "(has(self.file) && self.file != '') != (has(self.environment) && self.environment)", "needs one of file and environment; allowed: {file: PATH} or {environment: true}"))
}
