package terraform

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// expr is an expression of HCL as it is written; lines after the first are
// indented relative to the line on which it begins.
type expr string

// item is one thing in a body: an attribute, a block, a comment or an empty line.
type item struct {
	comment string // without "# "
	name    string
	value   expr     // of an attribute
	labels  []string // of a block
	body    []item   // of a block
	block   bool
}

func attr(name string, value expr) item { return item{name: name, value: value} }

func block(name string, labels []string, body ...item) item {
	return item{name: name, labels: labels, body: body, block: true}
}

// note is a comment; what could end its line is taken out.
func note(format string, args ...any) item {
	return item{comment: oneLine(fmt.Sprintf(format, args...))}
}

var gap = item{}

// render writes items as 'terraform fmt' would.
func render(items []item) string {
	var b strings.Builder
	writeBody(&b, items, "")
	return b.String()
}

func writeBody(b *strings.Builder, items []item, indent string) {
	for i := 0; i < len(items); i++ {
		switch it := items[i]; {
		case it.comment != "":
			fmt.Fprintf(b, "%s# %s\n", indent, it.comment)
		case it.block:
			writeBlock(b, it, indent)
		case it.name == "":
			b.WriteByte('\n')
		case strings.Contains(string(it.value), "\n"):
			writeAttr(b, it, indent, 0)
		default:
			run := aligned(items[i:])
			width := 0
			for _, a := range run {
				width = max(width, utf8.RuneCountInString(a.name))
			}
			for _, a := range run {
				writeAttr(b, a, indent, width)
			}
			i += len(run) - 1
		}
	}
}

// aligned is the run of attributes at the start of items whose equals signs stand
// below each other: consecutive ones of one line each.
func aligned(items []item) []item {
	n := 0
	for n < len(items) && items[n].comment == "" && !items[n].block && items[n].name != "" && !strings.Contains(string(items[n].value), "\n") {
		n++
	}
	return items[:n]
}

func writeAttr(b *strings.Builder, a item, indent string, width int) {
	pad := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(a.name)))
	fmt.Fprintf(b, "%s%s%s = %s\n", indent, a.name, pad, strings.ReplaceAll(string(a.value), "\n", "\n"+indent))
}

func writeBlock(b *strings.Builder, it item, indent string) {
	b.WriteString(indent + it.name)
	for _, label := range it.labels {
		b.WriteString(" " + string(text(label)))
	}
	if len(it.body) == 0 {
		b.WriteString(" {}\n")
		return
	}
	b.WriteString(" {\n")
	writeBody(b, it.body, indent+"  ")
	b.WriteString(indent + "}\n")
}

// list writes each element on a line of its own.
func list(elements ...expr) expr {
	if len(elements) == 0 {
		return "[]"
	}
	var b strings.Builder
	b.WriteString("[\n")
	for _, e := range elements {
		b.WriteString("  " + strings.ReplaceAll(string(e), "\n", "\n  ") + ",\n")
	}
	b.WriteString("]")
	return expr(b.String())
}

// inline writes a list on one line; its elements must be of one line each.
func inline(elements ...expr) expr {
	parts := make([]string, len(elements))
	for i, e := range elements {
		parts[i] = string(e)
	}
	return expr("[" + strings.Join(parts, ", ") + "]")
}

// object writes attributes in braces. Names must be identifiers.
func object(attributes ...item) expr {
	var b strings.Builder
	writeBody(&b, attributes, "  ")
	return expr("{\n" + b.String() + "}")
}

func call(function string, argument expr) expr { return expr(function + "(" + string(argument) + ")") }

func whole(n int64) expr { return expr(fmt.Sprint(n)) }

// text quotes s so that Terraform reads s back, whatever is in it: nothing in it
// is a template. Bytes that are not UTF-8 become U+FFFD.
func text(s string) expr {
	var b strings.Builder
	b.WriteByte('"')
	var previous rune
	for i, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r == '$' || r == '%') && strings.HasPrefix(s[i+1:], "{"):
			writeSign(&b, r, previous == r)
		case r > 0xffff && !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\U%08x`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		previous = r
	}
	b.WriteByte('"')
	return expr(b.String())
}

// joined is a template: the value of reference between two texts.
func joined(before string, reference expr, after string) expr {
	return expr(strings.TrimSuffix(string(text(before)), `"`) + "${" + string(reference) + "}" + string(text(after))[1:])
}

// writeSign writes the sign that would begin a template. After the same sign
// doubling it would be read in another way, so it is written by its number.
func writeSign(b *strings.Builder, sign rune, repeated bool) {
	if repeated {
		fmt.Fprintf(b, `\u%04x`, sign)
		return
	}
	b.WriteRune(sign)
	b.WriteRune(sign)
}

func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// identifier makes a name that HCL accepts of parts; different parts can give the
// same.
func identifier(parts ...string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		if r >= 'A' && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return '_'
	}, strings.Join(parts, "_"))
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "p_" + name
	}
	return name
}
