package spillway

import (
	"os"
	"strings"
	"testing"
)

func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Reasons() {
		if !strings.Contains(string(page), "\n| `"+r.String()+"` |") {
			t.Errorf("docs/reasons.md does not say what %s means", r)
		}
	}
}
