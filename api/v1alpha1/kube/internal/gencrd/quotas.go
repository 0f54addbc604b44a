package main

import (
	"fmt"
	"slices"
	"strings"
)

func sortRules(rules []rule) {
	slices.SortFunc(rules, func(a, b rule) int { return strings.Compare(a.field, b.field) })
}

func quotas() []rule {
	rules := all(
		optionalLabel("spec.parent"), optionalLabel("spec.department"),
		list(many("spec.namespaces", 10_000), many("spec.approvers", 100), says("spec.approvers", "!('anonymous' in self)", "anonymous is whoever has no credentials; allowed: an identity of the Server's keys or tokens")),
		label("spec.namespaces[]"),
		form("spec.approvers[]", identityForm, "is not an identity", identityAllowed, false),
		list(below(".borrowingLimit", says("spec", "!has(self.borrowingLimit) || !has(self.borrowingLimit.onPrem) && !has(self.borrowingLimit.cloud) && !has(self.borrowingLimit.offline) || has(self.parent) && self.parent != ''",
			"a root has nobody to borrow from; allowed: only with spec.parent"))),
		budgets("spec.budgets", true))
	for _, side := range []string{"onPrem", "cloud", "offline"} {
		for _, limit := range []string{"nominal", "borrowingLimit", "lendingLimit"} {
			rules = append(rules, capacity("spec."+limit+"."+side)...)
		}
		for _, limit := range []string{"borrowingLimit", "lendingLimit"} {
			for _, dimension := range []string{"slots", "cpu", "memory"} {
				rules = append(rules, limited(limit, side, dimension))
			}
		}
		rules = append(rules, lent(side)...)
	}
	return rules
}

// capacity is one of several in an object, whose rules must not cost too much together.
func capacity(path string) []rule {
	return all(count(path+".slots", 0, 1_000_000), pattern(cpuForm, path+".cpu"), between(path+".cpu", "0", "1000000"),
		pattern(memoryForm, path+".memory"), between(path+".memory", "0", "1Pi"))
}

// limited refuses a limit on what nominal does not limit.
func limited(limit, side, dimension string) rule {
	has := func(of string) string {
		return fmt.Sprintf("has(self.%s) && has(self.%s.%s) && has(self.%s.%s.%s)", of, of, side, of, side, dimension)
	}
	return below(fmt.Sprintf(".%s.%s.%s", limit, side, dimension), says("spec", fmt.Sprintf("!(%s) || %s", has(limit), has("nominal")),
		fmt.Sprintf("means nothing where nominal does not limit it; allowed: spec.nominal.%s.%s too", side, dimension)))
}

// lent refuses to lend more than nominal.
func lent(side string) []rule {
	both := fmt.Sprintf("!has(self.lendingLimit) || !has(self.lendingLimit.%[1]s) || !has(self.nominal) || !has(self.nominal.%[1]s)", side)
	rules := list(below(".lendingLimit."+side+".slots", says("spec", fmt.Sprintf("%[2]s || !has(self.lendingLimit.%[1]s.slots) || !has(self.nominal.%[1]s.slots) || self.lendingLimit.%[1]s.slots <= self.nominal.%[1]s.slots", side, both),
		"is more than nominal; allowed: at most nominal")))
	for _, dimension := range []string{"cpu", "memory"} {
		lends, nominal := fmt.Sprintf("self.lendingLimit.%s.%s", side, dimension), fmt.Sprintf("self.nominal.%s.%s", side, dimension)
		rules = append(rules, below(".lendingLimit."+side+"."+dimension, says("spec", fmt.Sprintf("%s || !has(%s) || !has(%s) || !isQuantity(string(%s)) || !isQuantity(string(%s)) || !quantity(string(%s)).isGreaterThan(quantity(string(%s)))",
			both, lends, nominal, lends, nominal, lends, nominal), "is more than nominal; allowed: at most nominal")))
	}
	sortRules(rules)
	return rules
}

func budgets(at string, limits bool) []rule {
	rules := all(
		list(many(at, 3), long(at+"[].timeZone", 64)),
		requiredWord(at+"[].window", nil, "hour", "day", "month"),
		amount(at+"[].amount"),
		form(at+"[].currency", currencyForm, "is not a currency code", currencyAllowed, true))
	if limits {
		rules = append(rules, word(at+"[].atLimit", nil, "reject", "redirect")...)
	}
	return rules
}

func policies() []rule {
	return all(
		word("spec.mode", nil, "OnPremOnly", "Hybrid", "CloudOnly", "Offline"),
		word("spec.reservedConcurrency", nil, "Off", "Show", "Write"),
		list(many("spec.order", 16), many("spec.regions", 64), few("spec.weights", 16)),
		label("spec.order[]"), label("spec.regions[]"),
		list(
			computes("spec.order", "self.all(a, self.exists_one(b, a == b))", "strings.quote(self.filter(a, !self.exists_one(b, a == b))[0]) + ' is listed twice; allowed: each name once'"),
			says("spec.weights", "size(self) == 0 || self.exists(k, self[k] != 0)", "are all zero; allowed: at least one above zero"),
			below(".weights", computes("spec", "!has(self.weights) || !has(self.order) || size(self.order) == 0 || self.weights.all(k, self.weights[k] < 0 || self.weights[k] > 1000 || k in self.order)",
				"strings.quote(self.weights.filter(k, !(k in self.order))[0]) + ' is not in the order of the policy; allowed: ' + self.order.join(', ')"))),
		count("spec.weights{}", 0, 1000),
		count("spec.maxBurstConcurrency", 0, 1_000_000), duration("spec.onPremWaitBudget", "0s", "1m"),
		count("spec.maxBurstShare.percent", 0, 100), word("spec.maxBurstShare.of", nil, "invocations", "gibSeconds"),
		duration("spec.maxBurstShare.window", "1m", "24h"), count("spec.maxBurstShare.minimum", 0, 1_000_000),
		duration("spec.hysteresis.openAfter", "0s", "10m"), duration("spec.hysteresis.closeAfter", "0s", "1h"), count("spec.hysteresis.closeBelow", 1, 100),
		budgets("spec.maxBurstSpend", false), windows())
}

func windows() []rule {
	const at = "spec.windows"
	clock := func(field, last, outOf string) []rule {
		allowed := "HH:MM up to " + last
		return list(long(at+"[]."+field, 64), computes(at+"[]."+field, matches("self", clockForm), "self == '' ? "+text("is required; allowed: "+allowed)+" : strings.quote(self) + "+text(" is not a time of day; allowed: "+allowed)),
			computes(at+"[]."+field, "!"+matches("self", outOf), "strings.quote(self) + "+text(" is out of range; allowed: "+allowed)))
	}
	return all(
		list(many(at, 64), many(at+"[].days", 7), long(at+"[].timeZone", 64)),
		requiredWord(at+"[].days[]", nil, "mon", "tue", "wed", "thu", "fri", "sat", "sun"),
		clock("from", "23:59", `^24:[0-5][0-9]$`), clock("to", "24:00", `^24:(0[1-9]|[1-5][0-9])$`),
		list(below(".to", says(at+"[]", "self.from != self.to", "is the beginning too; allowed: another time; 00:00 to 24:00 is the whole day"))))
}

func books() []rule {
	plan := "spec.plans[]"
	rules := all(
		form("spec.currency", currencyForm, "is not a currency code", currencyAllowed, true),
		list(many("spec.plans", 500), many("spec.exchangeRates", 500)),
		label(plan+".plan"), list(long(plan+".version", 256), long(plan+".source", 1024),
			long(plan+".kind", 64), computes(plan+".kind", "self in ['lambda', 'scf', 'owned']", quoted+" + ' is not a kind of plan; allowed: lambda, scf, owned'")),
		form(plan+".currency", currencyForm, "is not a currency code", "three capital letters, such as USD", true),
		form("spec.exchangeRates[].from", currencyForm, "is not a currency code", "three capital letters, such as USD", true),
		form("spec.exchangeRates[].to", currencyForm, "is not a currency code", "three capital letters, such as USD", true))
	owned := plan + ".owned"
	rules = append(rules, pattern(decimalForm, plan+".perRequest", plan+".perGiBSecond", owned+".hourly", owned+".cpuWeight", owned+".memoryWeight", owned+".targetUtilisation",
		owned+".node.purchase", owned+".node.salvage", owned+".node.powerKW", owned+".node.pue", owned+".node.tariffPerKWh", owned+".node.rackPerMonth",
		owned+".node.maintenancePercentPerYear", owned+".node.otherPerMonth", "spec.exchangeRates[].rate")...)
	rules = append(rules, pattern(cpuForm, owned+".allocatable.cpu")...)
	rules = append(rules, pattern(memoryForm, owned+".allocatable.memory")...)
	for _, path := range []string{plan + ".validFrom", plan + ".validTo", "spec.exchangeRates[].date", "spec.exchangeRates[].until"} {
		rules = append(rules, date(path)...)
	}
	for _, field := range []string{"perRequest", "perGiBSecond"} {
		rules = append(rules, below("."+field, says(plan, fmt.Sprintf("!(self.kind in ['lambda', 'scf']) || has(self.%s)", field), "is required; allowed: "+decimalAllowed)))
	}
	return rules
}
