package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCloudSaysItsBill runs the stand-in until it serves, ends it, and wants the bill.
func TestCloudSaysItsBill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cloud.yaml")
	if err := os.WriteFile(file, []byte("keys: [{id: AKIAEXAMPLE, secret: hush}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	said, stderr := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := run(ctx, []string{"cloud", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, strings.NewReader(""), new(bytes.Buffer), stderr)
		stderr.Close()
		ended <- code
	}()
	lines := bufio.NewScanner(said)
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
		if len(all) == 2 {
			cancel()
		}
	}
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"Lambda API on http://127.0.0.1:", "/bill", "bill: USD 0 for 0 executions"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "hush") {
		t.Error("the secret was printed")
	}
}
