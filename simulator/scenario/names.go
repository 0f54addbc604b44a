package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

var (
	label   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	hash    = regexp.MustCompile(`^[0-9a-f]{32,}$`)
	strange = regexp.MustCompile(`[^a-z0-9-]+`)
)

// labels gives names of a trace the form of DNS labels, each its own.
type labels struct {
	of    map[string]string
	taken map[string]bool
}

func newLabels() *labels { return &labels{map[string]string{}, map[string]bool{}} }

// shortHash is how much of a hash is kept where that tells it from others.
const shortHash = 12

func (l *labels) label(name string) string {
	if have, ok := l.of[name]; ok {
		return have
	}
	text := name
	switch {
	case label.MatchString(name) && !hash.MatchString(name):
	case hash.MatchString(name):
		text = name[:shortHash]
	default:
		text = strings.Trim(strange.ReplaceAllString(strings.ToLower(name), "-"), "-")
		text = strings.Trim(text[:min(len(text), 40)], "-")
	}
	if text == "" || l.taken[text] || text != name && !hash.MatchString(name) {
		sum := sha256.Sum256([]byte(name))
		text = strings.Trim(text+"-"+hex.EncodeToString(sum[:5]), "-")
	}
	l.of[name], l.taken[text] = text, true
	return text
}
