package node

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestNewer: what was written is known before a cache tells, and no longer than until
// then; a pod that is gone does not come back.
func TestNewer(t *testing.T) {
	at := func(version string) *corev1.Pod {
		p := &corev1.Pod{}
		p.ResourceVersion = version
		return p
	}
	for name, test := range map[string]struct {
		cached, written *corev1.Pod
		want            string
		kept            bool
	}{
		"nothing was written":         {at("9"), nil, "9", false},
		"the cache is behind":         {at("9"), at("10"), "10", true},
		"the cache has it":            {at("10"), at("10"), "10", false},
		"somebody else wrote since":   {at("100"), at("10"), "100", false},
		"not to be told":              {at("x"), at("10"), "x", false},
		"it is gone, whatever it was": {nil, at("10"), "", true},
	} {
		m := &memory{written: test.written}
		got := ""
		if p := m.newer(test.cached); p != nil {
			got = p.ResourceVersion
		}
		if got != test.want || (m.written != nil) != test.kept {
			t.Errorf("%s: version %q, want %q; kept: %t", name, got, test.want, m.written != nil)
		}
	}
}
