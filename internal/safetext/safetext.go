// Package safetext makes texts that others wrote (names, reasons, answers) harmless
// where they are shown.
package safetext

import (
	"strings"
	"unicode"
)

// Line replaces with · whatever could move the cursor of a terminal, break a line or
// turn the direction of text.
func Line(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return '·'
		}
		return r
	}, text)
}

// Lines is Line for each line of text.
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = Line(l)
	}
	return strings.Join(lines, "\n")
}

// Cell is Line for a cell of CSV: what a spreadsheet would take for a formula gets a
// leading apostrophe; numbers keep their sign.
func Cell(text string) string {
	text = Line(text)
	if strings.TrimLeft(text, "0123456789.-") == "" && strings.LastIndex(text, "-") <= 0 {
		return text // empty or a number
	}
	start := strings.TrimLeftFunc(text, unicode.IsSpace)
	if start != "" && strings.ContainsRune("=+-@|%＝＋－＠", []rune(start)[0]) {
		return "'" + text
	}
	return text
}
