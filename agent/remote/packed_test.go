package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools/process/unpack"
)

// packedOf is the zip file of a directory, and the same packed.
func packedOf(t testing.TB, dir string) (archive, packed []byte) {
	t.Helper()
	archive, err := zipped(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := unpack.Pack(&out, bytes.NewReader(archive), int64(len(archive))); err != nil {
		t.Fatal(err)
	}
	return archive, out.Bytes()
}

func sendPacked(c *remote.Client, digest, sum string, packed []byte) error {
	return c.SendPacked(context.Background(), digest, sum, bytes.NewReader(packed), int64(len(packed)))
}

func TestPackedPackage(t *testing.T) {
	archive, packed := packedOf(t, agentProbe)
	_, c := launched(t)
	f := functionOf(t, agentProbe)
	f.Package.Digest = digestOf(archive)
	if err := sendPacked(c, f.Package.Digest, digestOf(packed), packed); err != nil {
		t.Fatal(err)
	}
	if h, err := c.Health(context.Background()); err != nil || h.Package != f.Package.Digest {
		t.Errorf("%+v %v", h, err)
	}
	if _, err := c.Start(context.Background(), remote.SpecOf(f)); err != nil {
		t.Fatal(err)
	}
	if r := c.Invoke(context.Background(), request(f, `{}`)); r.Outcome.Class != spillway.Executed || string(r.Payload) != `"done"` {
		t.Errorf("%+v %s", r.Outcome, r.Payload)
	}
}

// TestPackedThatIsRefused: bytes that are not those with the sum are not run, nothing of
// them stays, and the zip file is taken after that.
func TestPackedThatIsRefused(t *testing.T) {
	ca, _ := authority(t)
	var dir string
	s := serve(t, ca, "127.0.0.1:0", func(c *remote.ServerConfig, _ *remote.Server) { dir = c.Dir })
	c := dial(t, s.addr, ca)
	archive, packed := packedOf(t, agentProbe)
	_, other := packedOf(t, agentWeb)
	digest, sum := digestOf(archive), digestOf(packed)
	rotten := bytes.Clone(packed)
	rotten[len(rotten)/2] ^= 1
	for name, p := range map[string]struct {
		sum    string
		packed []byte
		says   string
	}{
		"another's":      {sum, other, "and not " + sum},
		"rotten":         {sum, rotten, ""},
		"cut":            {sum, packed[:len(packed)/2], ""},
		"nothing":        {sum, nil, ""},
		"more":           {sum, append(packed[:len(packed):len(packed)], packed...), "something follows"},
		"a zip":          {digest, archive, ""},
		"no sum":         {"sha256:12", packed, "allowed: sha256: and 64 hex digits"},
		"another's name": {"sha256:" + strings.Repeat("0", 64), packed, "and not sha256:000"},
	} {
		err := sendPacked(c, digest, p.sum, p.packed)
		if !errors.Is(err, remote.ErrPackedBad) || !strings.Contains(err.Error(), p.says) {
			t.Errorf("%s: %v, want %q", name, err, p.says)
		}
		if left, _ := os.ReadDir(filepath.Join(dir, "packages")); len(left) > 0 {
			t.Errorf("%s left behind: %v", name, left)
		}
	}
	if h, err := c.Health(context.Background()); err != nil || h.Package != "" {
		t.Errorf("%+v %v", h, err)
	}
	if err := c.Send(context.Background(), digest, bytes.NewReader(archive)); err != nil {
		t.Error(err)
	}
}

// TestOlderAgent does not know what packed is.
func TestOlderAgent(t *testing.T) {
	old := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.NotFound(w, r)
	}))
	old.StartTLS()
	defer old.Close()
	_, config := authority(t)
	c := remote.Dial(old.Listener.Addr().String(), config)
	defer c.Close()
	if err := sendPacked(c, digestOf(nil), digestOf(nil), []byte("packed")); !errors.Is(err, remote.ErrPackedUnknown) {
		t.Error(err)
	}
}

// TestPackedThatCannotBeKept: what fails on the agent's side says nothing against the
// package.
func TestPackedThatCannotBeKept(t *testing.T) {
	ca, _ := authority(t)
	var dir string
	s := serve(t, ca, "127.0.0.1:0", func(c *remote.ServerConfig, _ *remote.Server) { dir = c.Dir })
	c := dial(t, s.addr, ca)
	archive, packed := packedOf(t, agentProbe)
	if err := os.RemoveAll(filepath.Join(dir, "packages")); err != nil {
		t.Fatal(err)
	}
	if err := sendPacked(c, digestOf(archive), digestOf(packed), packed); !errors.Is(err, remote.ErrPackedNotKept) || errors.Is(err, remote.ErrPackedBad) {
		t.Errorf("%v", err)
	}
}
