package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// TestSetUp: what is wrong with where it runs is said in a sentence. That it serves
// SCF is tested with the pool, in pools/scf.
func TestSetUp(t *testing.T) {
	api := []string{"SCF_RUNTIME_API=127.0.0.1", "SCF_RUNTIME_API_PORT=1"}
	for name, c := range map[string]struct {
		environ, command []string
		code             int
		says             string
	}{
		"elsewhere":   {nil, nil, 2, "not an SCF custom runtime\nusage: "},
		"no function": {api, nil, 2, "put the Lambda package into the folder lambda beside bootstrap"},
		"no runtime":  {api, []string{"/bin/false"}, 1, "Runtime.ExitError"},
	} {
		var said bytes.Buffer
		if code := run(context.Background(), c.command, append(c.environ, "TMPDIR="+t.TempDir()), io.Discard, &said); code != c.code || !strings.Contains(said.String(), c.says) {
			t.Errorf("%s: %d %s", name, code, &said)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var said bytes.Buffer
	if code := run(ctx, []string{"/bin/sleep", "60"}, append(api, "TMPDIR="+t.TempDir()), io.Discard, &said); code != 0 || said.Len() > 0 {
		t.Errorf("told to end: %d %s", code, &said)
	}
}
