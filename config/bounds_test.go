package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestBounds feeds files that are made to take long or to go deep. Each must end
// with the fault that names the bound; a missing bound shows as a test that does
// not end or overflows the stack.
func TestBounds(t *testing.T) {
	const start = "apiVersion: spillway.dev/v1alpha1\nkind: Function\nmetadata: {name: a, namespace: b}\nspec:\n"
	deep := ""
	for i := range 300 {
		deep += strings.Repeat(" ", i) + "a:\n"
	}
	for name, c := range map[string]struct{ text, want string }{
		"size":      {strings.Repeat("#", 1<<20+1), "1048577 bytes; allowed: at most 1 MiB"},
		"lists":     {strings.Repeat("[", 1<<17), "brackets nest deeper than 32"},
		"maps":      {strings.Repeat("{a: ", 1<<15), "brackets nest deeper than 32"},
		"dashes":    {strings.Repeat("- ", 1<<16), "more than 16 indicators in a row"},
		"questions": {strings.Repeat("? ", 1<<16), "more than 16 indicators in a row"},
		"anchors":   {strings.Repeat("&a ", 1<<16), "more than 16 indicators in a row"},
		"tags":      {strings.Repeat("!a ", 1<<16), "more than 16 indicators in a row"},
		"indent":    {deep, "indented by more than 200"},
		"empty":     {start + strings.Repeat("  a:\n", 1<<12), "more than 100 keys without a value"},
		"parts":     {start + "  residency: [" + strings.Repeat("a,", 60_000) + "]\n", "more than 100000 parts"},
		"documents": {strings.Repeat("--- a\n", 20_100), "more than 20000 documents"},
		"aliases": {strings.Repeat(start+"  cloud:\n  - &b {pool: x, function: y, qualifier: z, memory: 1Gi, timeout: 1s}\n"+
			strings.Repeat("  - *b\n", 20_000)+"---\n", 2), "more than 200000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadText(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %.300v", c.want, err)
			}
		})
	}
}

// TestManyFaultsEnd has many objects with a fault each, which must not be
// compared with each other.
func TestManyFaultsEnd(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		text.WriteString(object("Quota", fmt.Sprintf("a%d", i), fmt.Sprintf("{parent: b%d}", i)))
	}
	_, err := loadText(t, text.String())
	faults, ok := err.(Faults)
	if !ok || len(faults) != 2000 {
		t.Errorf("%d faults of 2000", len(faults))
	}
}

// TestALongChainOfQuotas is not a circle.
func TestALongChainOfQuotas(t *testing.T) {
	var text strings.Builder
	text.WriteString(object("Quota", "a0", "{department: x}"))
	for i := 1; i < 1000; i++ {
		text.WriteString(object("Quota", fmt.Sprintf("a%d", i), fmt.Sprintf("{parent: a%d}", i-1)))
	}
	if q := mustLoad(t, text.String()).Platform.Quotas; len(q) != 1000 || q[999].Parent != 998 {
		t.Errorf("%d quotas", len(q))
	}
}

func TestSeventeenAliasesInAList(t *testing.T) {
	list := strings.Repeat("\n  - *a", 17)
	_, err := loadText(t, "apiVersion: spillway.dev/v1alpha1\nkind: BurstPolicy\nmetadata: {name: &a p}\nspec:\n  order:"+list+"\n")
	if err == nil || !strings.Contains(err.Error(), "has 17 entries; allowed: at most 16") {
		t.Errorf("got %v", err)
	}
}
