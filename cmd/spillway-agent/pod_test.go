package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway/agent/remote"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	var said bytes.Buffer
	for range 2 { // also over an older one
		if code := run(context.Background(), []string{"install", dir}, nil, &said, &said); code != 0 {
			t.Fatalf("%d %s", code, &said)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own, _ := os.Stat(self)
	copied, err := os.Stat(filepath.Join(dir, "agent"))
	if err != nil || copied.Size() != own.Size() || copied.Mode().Perm() != 0o555 {
		t.Errorf("%v %v", copied, err)
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
	for _, arguments := range [][]string{{"install"}, {"install", dir, dir}, {"install", filepath.Join(dir, "none")}} {
		if code := run(context.Background(), arguments, nil, &said, &said); code == 0 {
			t.Errorf("%v succeeded", arguments)
		}
	}
}

func TestServeIsSetUp(t *testing.T) {
	var said bytes.Buffer
	if code := run(context.Background(), []string{"serve", "--dir", t.TempDir()}, nil, &said, &said); code != 2 || !strings.Contains(said.String(), remote.AuthorityVariable) {
		t.Errorf("without a CA: %d %s", code, &said)
	}
	ca, err := remote.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{remote.AuthorityVariable + "=" + string(ca.Certificate())}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said.Reset()
	if code := run(context.Background(), []string{"serve", "--listen", l.Addr().String(), "--dir", t.TempDir()}, environ, &said, &said); code != 2 || !strings.Contains(said.String(), "address already in use") {
		t.Errorf("a port that is taken: %d %s", code, &said)
	}
	// On SCF every word is part of the function's command.
	said.Reset()
	if code := run(context.Background(), []string{"serve"}, []string{"SCF_RUNTIME_API=127.0.0.1", "SCF_RUNTIME_API_PORT=1"}, &said, &said); code != 2 || !strings.Contains(said.String(), "the function's program") {
		t.Errorf("on SCF: %d %s", code, &said)
	}
}

func TestReady(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	arguments := []string{"ready", "--address", l.Addr().String()}
	if code := run(context.Background(), arguments, nil, &said, &said); code != 0 {
		t.Errorf("%d %s", code, &said)
	}
	l.Close()
	if code := run(context.Background(), arguments, nil, &said, &said); code != 1 {
		t.Errorf("%d %s", code, &said)
	}
}
