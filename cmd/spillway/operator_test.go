package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// TestOperatorRefuses has it started in ways that cannot work.
func TestOperatorRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "kubeconfig")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--health", "8081"}, "--health"},
		{[]string{"--metrics", "nowhere"}, "--metrics"},
		{[]string{"--clouds-every", "5s"}, "at least 1m"},
		{[]string{"--kubeconfig", missing}, "--kubeconfig"},
		{[]string{"extra"}, "extra"},
	} {
		var out, err bytes.Buffer
		_, failed := execute(t.Context(), streams{in: strings.NewReader(""), out: &out, err: &err}, append([]string{"operator"}, c.args...))
		if failed == nil || exitCode(failed) != exitInput || !strings.Contains(failed.Error(), c.says) {
			t.Errorf("%q: %v, exit code %d", c.args, failed, exitCode(failed))
		}
	}
}
