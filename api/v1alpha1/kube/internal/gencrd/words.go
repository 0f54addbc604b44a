package main

import (
	"fmt"
	"strings"
)

// rule is one refusal of a field, or bounds by which the cost of others can be known.
type rule struct {
	path     string
	bounds   map[string]any
	cel      string // true of what is taken
	words    string // as the loader says them: problem; allowed: what is
	computed bool   // words is an expression
	field    string // below path, that the fault is of
}

// Forms, as regular expressions of CEL. What they take, clients can read: one text that
// they could not would stop them from reading all objects.
const (
	labelForm    = `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`
	durationForm = `^[-+]?(0|([0-9]{1,9}([.][0-9]{0,9})?|[.][0-9]{1,9})(ns|us|µs|ms|s|m|h))+$`
	cpuForm      = `^([0-9]{1,12}([.][0-9]{1,3}0{0,12})?|[0-9]{1,15}m)$`
	memoryForm   = `^(\d{1,18}|\d{1,3}Pi?|\d{1,6}Ti?|\d{1,9}([KMG]i|[kMG])|\d{1,6}[.](25|5|75)[KMGT]i|\d{1,6}[.]\d{1,3}[kMGT])$`
	amountForm   = `^\d{1,19}([.]\d{1,9})?$`
	decimalForm  = `^[0-9]{1,40}([.][0-9]{1,23})?$`
	currencyForm = `^[A-Z]{3}$`
	identityForm = `^[A-Za-z0-9][A-Za-z0-9._@:/+-]{0,127}$`
	digestForm   = `^sha256:[0-9a-f]{64}$`
	versionForm  = `^([$]LATEST|[$]DEFAULT|[A-Za-z0-9_-]{1,128})$`
	momentForm   = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$`
	clockForm    = `^([01][0-9]|2[0-4]):[0-5][0-9]$`
	imageForm    = `^[a-z0-9]+([._-]+[a-z0-9]+)*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?@sha256:[0-9a-f]{64}$`
	taggedForm   = `^localhost(/[a-z0-9]+([._-]+[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`
)

// What is allowed, in the loader's words.
const (
	labelAllowed    = `1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit`
	cpuAllowed      = "cores such as 2 or 0.5, or thousandths such as 500m"
	memoryAllowed   = "memory such as 128Mi, 1Gi or 1G"
	amountAllowed   = `a decimal amount such as "0.50", at most 9 decimals`
	decimalAllowed  = `a decimal number such as "0.0000002", not negative`
	durationAllowed = "a duration such as 500ms, 3s or 2m"
	currencyAllowed = "three capital letters such as USD or CNY"
	identityAllowed = "1 to 128 letters, digits and . _ @ : / + -"
	digestAllowed   = "sha256: and 64 hex digits"
	imageAllowed    = "NAME@sha256: and 64 hex digits"
	taggedAllowed   = imageAllowed + ", or localhost/NAME:TAG of the nodes' own store"
	notHere         = "means nothing for this kind of pool; allowed: only with spec.kind: "
)

// text makes a literal of CEL.
func text(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// either lists words as one says them: "a", "a or b", "a, b or c".
func either(words []string) string {
	if last := len(words) - 1; last > 0 {
		return strings.Join(words[:last], ", ") + " or " + words[last]
	}
	return words[0]
}

// matches is true of an expression of a text in a form.
func matches(expr, form string) string { return expr + ".matches(" + text(form) + ")" }

// quoted is an expression as the loader quotes it.
const quoted = "strings.quote(self.size() > 64 ? self.substring(0, 64) + '…' : self)"

// long bounds texts that rules read.
func long(path string, most int) rule {
	return rule{path: path, bounds: map[string]any{"maxLength": most}}
}

// many bounds lists that rules read.
func many(path string, most int) rule {
	return rule{path: path, bounds: map[string]any{"maxItems": most}}
}

// few bounds maps that rules read.
func few(path string, most int) rule {
	return rule{path: path, bounds: map[string]any{"maxProperties": most}}
}

func says(path, cel, words string) rule { return rule{path: path, cel: cel, words: words} }

// computes is a rule whose words are an expression.
func computes(path, cel, words string) rule {
	return rule{path: path, cel: cel, words: words, computed: true}
}

// below is r with the fault at a field below its path.
func below(field string, r rule) rule {
	r.field = field
	return r
}

// form refuses texts that are not in a form, and empty ones unless they are optional.
func form(path, pattern, is, allowed string, optional bool) []rule {
	problem := quoted + " + " + text(" "+is+"; allowed: "+allowed)
	if optional {
		return []rule{long(path, 256), computes(path, "self == '' || "+matches("self", pattern), problem)}
	}
	return []rule{long(path, 256), computes(path, matches("self", pattern), "self == '' ? "+text("is required; allowed: "+allowed)+" : "+problem)}
}

func label(path string) []rule { return form(path, labelForm, "is not a name", labelAllowed, false) }

func optionalLabel(path string) []rule {
	return form(path, labelForm, "is not a name", labelAllowed, true)
}

// word refuses what is none of some words; absent ones have a default.
func word(path string, later []string, words ...string) []rule {
	problem := "'unknown value ' + " + quoted
	for _, l := range later {
		problem = fmt.Sprintf("self == %s ? %s : %s", text(l), text(l+" is not supported in this version"), problem)
	}
	return []rule{long(path, 256), computes(path, "self in "+texts(append([]string{""}, words...)), "("+problem+") + "+text("; allowed: "+strings.Join(words, ", ")))}
}

// requiredWord is a word that has no default.
func requiredWord(path string, later []string, words ...string) []rule {
	rules := word(path, later, words...)
	rules[1].cel = "self in " + texts(words)
	rules[1].words = "self == '' ? " + text("is required; allowed: "+strings.Join(words, ", ")) + " : " + rules[1].words
	return rules
}

func texts(words []string) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = text(w)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// count refuses whole numbers out of a range.
func count(path string, lo, hi int64) []rule {
	return []rule{computes(path, fmt.Sprintf("self >= %d && self <= %d", lo, hi), fmt.Sprintf("'%%d is out of range; allowed: %d to %d'.format([self])", lo, hi))}
}

// duration refuses what is no duration, and what is out of a range.
func duration(path, lo, hi string) []rule {
	return []rule{
		long(path, 64),
		computes(path, matches("self", durationForm), "strings.quote(self) + "+text(": not a duration; allowed: "+durationAllowed)),
		computes(path, fmt.Sprintf("!%s || duration(self) >= duration(%s) && duration(self) <= duration(%s)", matches("self", durationForm), text(lo), text(hi)),
			"self + "+text(" is out of range; allowed: "+lo+" to "+hi)),
	}
}

// quantity refuses quantities that are not in a form; fine is what the loader says of
// numbers with too many decimals.
func quantity(path, pattern, fine, allowed string) []rule {
	return []rule{computes(path, matches("string(self)", pattern),
		"strings.quote(string(self)) + (string(self).startsWith('-') ? ': must not be negative' : "+matches("string(self)", `^\d+m?$|^\d+[PE]i?$`)+" ? ': too large: it does not fit 64 bits' : "+
			matches("string(self)", `^\d+[.]\d+i?$`)+" ? "+text(": "+fine)+" : ': not a number of the expected form') + "+text("; allowed: "+allowed))}
}

// between refuses quantities out of a range.
func between(path, lo, hi string) []rule {
	return []rule{computes(path, fmt.Sprintf("string(self).startsWith('-') || !isQuantity(string(self)) || !quantity(string(self)).isLessThan(quantity(%s)) && !quantity(string(self)).isGreaterThan(quantity(%s))",
		text(lo), text(hi)), "string(self) + "+text(" is out of range; allowed: "+lo+" to "+hi))}
}

func cpu(path, lo, hi string) []rule {
	return append(quantity(path, cpuForm, "finer than a thousandth of a core", cpuAllowed), between(path, lo, hi)...)
}

func memory(path, lo, hi string) []rule {
	return append(quantity(path, memoryForm, "finer than a byte", memoryAllowed), between(path, lo, hi)...)
}

// amount refuses also what no client can count.
func amount(path string) []rule {
	return append(quantity(path, amountForm, "more than 9 decimals", amountAllowed), computes(path, "!isQuantity(string(self)) || !quantity(string(self)).isGreaterThan(quantity('9223372036'))",
		"strings.quote(string(self)) + "+text(": too large: it does not fit 64 bits; allowed: "+amountAllowed)))
}

// pattern is a form of quantities in lists, where a rule could cost too much. A server
// refuses in words of its own.
func pattern(form string, paths ...string) []rule {
	var rules []rule
	for _, path := range paths {
		rules = append(rules, rule{path: path, bounds: map[string]any{"pattern": form, "minimum": 0}})
	}
	return rules
}

func date(path string) []rule {
	return list(long(path, 64), computes(path, "!format.date().validate(self).hasValue() || "+matches("self", momentForm)+" && timestamp(self) >= timestamp('0001-01-01T00:00:00Z')",
		"strings.quote(self) + ': not a date; allowed: a date such as 2026-11-01'"))
}

func all(groups ...[]rule) []rule {
	var rules []rule
	for _, g := range groups {
		rules = append(rules, g...)
	}
	return rules
}

func list(rules ...rule) []rule { return rules }
