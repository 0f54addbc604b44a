package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway"
)

var logged = spillway.FunctionKey{Namespace: "shop", Name: "hello"}

func logPool(t *testing.T, text map[string]string) (*Pool, *logs) {
	t.Helper()
	l := &logs{dir: t.TempDir()}
	for suffix, s := range text {
		path := l.path(logged) + suffix
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Pool{logs: l}, l
}

func TestReadLogBack(t *testing.T) {
	for _, test := range []struct {
		now, before string
		tail        int
		want        string
	}{
		{"", "", 5, ""},
		{"a\nb\nc\n", "", 2, "b\nc\n"},
		{"a\nb\nc\n", "", 0, ""},
		{"a\nb\nc", "", 1, "c"},
		{"c\n", "a\nb\n", 2, "b\nc\n"},
		{"c\n", "a\nb\n", 9, "a\nb\nc\n"},
		{"\n\n", "", 1, "\n"},
	} {
		p, _ := logPool(t, map[string]string{"": test.now, ".1": test.before})
		var got strings.Builder
		err := p.ReadLog(t.Context(), logged, test.tail, false, func(b []byte) error { _, err := got.Write(b); return err })
		if err != nil || got.String() != test.want {
			t.Errorf("%q after %q, %d lines: %q (%v), want %q", test.now, test.before, test.tail, got.String(), err, test.want)
		}
	}
}

// TestReadLogFollows through files that are put aside, from before the first line.
func TestReadLogFollows(t *testing.T) {
	p, l := logPool(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	texts := make(chan string)
	ended := make(chan error)
	go func() {
		ended <- p.ReadLog(ctx, logged, 10, true, func(b []byte) error { texts <- string(b); return nil })
	}()
	out, err := l.use(logged)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.release() }()
	for i := range 4 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := out.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if got := <-texts; got != line {
			t.Fatalf("read %q, want %q", got, line)
		}
		if i%2 == 0 {
			out.mu.Lock()
			err = out.rotate()
			out.mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestReadLogFollowsThroughTwoFiles that were put aside between two looks.
func TestReadLogFollowsThroughTwoFiles(t *testing.T) {
	p, l := logPool(t, nil)
	out, err := l.use(logged)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.release() }()
	say := func(text string, rotate bool) {
		if _, err := out.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if rotate {
			out.mu.Lock()
			defer out.mu.Unlock()
			if err := out.rotate(); err != nil {
				t.Fatal(err)
			}
		}
	}
	say("a\n", false)
	ctx, cancel := context.WithCancel(t.Context())
	var got strings.Builder
	err = p.ReadLog(ctx, logged, 10, true, func(b []byte) error {
		if got.Len() == 0 { // while it waits for us
			say("b\n", true)
			say("c\n", true)
			say("d\n", false)
		}
		if got.Write(b); strings.HasSuffix(got.String(), "d\n") {
			cancel()
		}
		return nil
	})
	if err != nil || got.String() != "a\nb\nc\nd\n" {
		t.Errorf("read %q (%v)", got.String(), err)
	}
}

func TestReadLogStopsWhenNobodyReads(t *testing.T) {
	p, _ := logPool(t, map[string]string{"": "a\n"})
	gone := fmt.Errorf("gone")
	if err := p.ReadLog(t.Context(), logged, 1, true, func([]byte) error { return gone }); err != gone {
		t.Error(err)
	}
}
