package safetext

import (
	"strings"
	"testing"
	"unicode"
)

func TestCell(t *testing.T) {
	for cell, want := range map[string]string{
		"team":            "team",
		"0.000000000001":  "0.000000000001",
		"-0.5":            "-0.5",
		"":                "",
		"=1+1":            "'=1+1",
		"+cmd":            "'+cmd",
		"-cmd":            "'-cmd",
		"-1-1":            "'-1-1",
		"@SUM(A1)":        "'@SUM(A1)",
		" =1":             "' =1",
		"|calc":           "'|calc",
		"\tx":             "·x",
		"\r\n=1":          "··=1",
		"＝1":              "'＝1",
		"a\u202eb":        "a·b",
		"a=b":             "a=b",
		"\x1b]0;title\a!": "·]0;title·!",
	} {
		if got := Cell(cell); got != want {
			t.Errorf("Cell(%q) = %q, want %q", cell, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	if got, want := Lines("a\x1b[2J\nb\u2028c\n"), "a·[2J\nb·c\n"; got != want {
		t.Errorf("Lines = %q, want %q", got, want)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("\x1b[31mred\u202e\n")
	f.Add("\xff\u0085")
	f.Fuzz(func(t *testing.T, text string) {
		if line := Line(text); strings.ContainsFunc(line, func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
		}) {
			t.Errorf("%q has become %q", text, line)
		}
	})
}
