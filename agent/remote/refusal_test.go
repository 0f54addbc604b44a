package remote_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/pools"
)

func TestOnlyTheDispatcherIsServed(t *testing.T) {
	ca, own := authority(t)
	_, other := authority(t)
	s := serve(t, ca, "127.0.0.1:0", usual)
	forged := own.Clone()
	forged.Certificates = []tls.Certificate{{Certificate: own.Certificates[0].Certificate, PrivateKey: other.Certificates[0].PrivateKey}}
	for name, config := range map[string]*tls.Config{
		"no certificate":       {},
		"another CA":           other,
		"not its own key":      forged,
		"the CA's certificate": {Certificates: []tls.Certificate{{Certificate: [][]byte{der(t, ca.Certificate())}, PrivateKey: other.Certificates[0].PrivateKey}}},
	} {
		t.Run(name, func(t *testing.T) {
			c := remote.Dial(s.addr, config)
			defer c.Close()
			c.SetGraces(50 * time.Millisecond)
			if h, err := c.Health(context.Background()); err == nil {
				t.Errorf("health: %+v", h)
			}
			f := functionOf(t, agentProbe)
			if _, err := c.Start(context.Background(), remote.SpecOf(f)); err == nil || errors.Is(err, remote.ErrPackageMissing) {
				t.Errorf("start: %v", err)
			}
			r := request(f, `{}`)
			r.Deadline = time.Now().Add(100 * time.Millisecond)
			if r := c.Invoke(context.Background(), r); r.Outcome.Class == spillway.Executed {
				t.Errorf("invoke: %+v", r.Outcome)
			}
		})
	}
	if response, err := http.Get("http://" + s.addr + "/v1/health"); err == nil {
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Error("health without TLS")
		}
	}
	if h, err := dial(t, s.addr, ca).Health(context.Background()); err != nil || h.State != remote.StateFresh {
		t.Errorf("%+v %v", h, err)
	}
}

func der(t *testing.T, text []byte) []byte {
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}

func TestCA(t *testing.T) {
	ca, _ := authority(t)
	secret, err := ca.Secret()
	if err != nil {
		t.Fatal(err)
	}
	again, err := remote.ParseCA(secret)
	if err != nil || !bytes.Equal(again.Certificate(), ca.Certificate()) {
		t.Fatal(err)
	}
	s := serve(t, ca, "127.0.0.1:0", usual)
	if err := dial(t, s.addr, again).Await(context.Background()); err != nil {
		t.Error(err)
	}
	certificate, err := x509.ParseCertificate(der(t, ca.Certificate()))
	if err != nil || certificate.NotBefore.After(time.Now().Add(-20*24*time.Hour)) || certificate.NotAfter.Before(time.Now().Add(10*365*24*time.Hour)) {
		t.Errorf("valid from %v to %v", certificate.NotBefore, certificate.NotAfter)
	}
	other, _ := authority(t)
	otherSecret, _ := other.Secret()
	key := secret[bytes.Index(secret, []byte("-----BEGIN PRIVATE")):]
	for name, text := range map[string][]byte{
		"nothing": nil, "no key": ca.Certificate(), "no certificate": key, "another's key": append(other.Certificate(), key...),
		"cut": secret[:len(secret)-40], "garbage": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
	} {
		if _, err := remote.ParseCA(text); err == nil || strings.Contains(err.Error(), "BEGIN") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := remote.ParseCA(otherSecret); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "garbage", string(key)} {
		if _, err := remote.NewServer(remote.ServerConfig{Authority: []byte(text), Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), remote.AuthorityVariable) {
			t.Errorf("an agent that trusts %.20q: %v", text, err)
		}
	}
}

func TestOnceInALife(t *testing.T) {
	f := functionOf(t, agentProbe)
	c, _, _ := started(t, f)
	ctx := context.Background()
	if _, err := c.Start(ctx, remote.SpecOf(f)); err == nil || !strings.Contains(err.Error(), "one function in its life") {
		t.Errorf("a second start: %v", err)
	}
	archive, err := zipped(agentWeb)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(ctx, digestOf(archive), bytes.NewReader(archive)); err == nil || !strings.Contains(err.Error(), "one package in its life") {
		t.Errorf("a second package: %v", err)
	}
	if err := c.Send(ctx, f.Package.Digest, bytes.NewReader(archive)); err != nil {
		t.Errorf("the package that it has: %v", err)
	}
	h, err := c.Health(ctx)
	if err != nil || h.State != remote.StateStarted || h.Function != "shop/probe" || h.Revision != "r1" || h.Package != f.Package.Digest {
		t.Errorf("%+v %v", h, err)
	}
	if r := c.Invoke(ctx, request(f, `{}`)); string(r.Payload) != `"done"` {
		t.Errorf("%+v %s", r.Outcome, r.Payload)
	}
	if err := c.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestAFailedStartIsTheLast(t *testing.T) {
	f := functionOf(t, agentProbe)
	ctx := context.Background()
	for env, kind := range map[string]string{"PROBE_INIT=exit": "Runtime.ExitError", "PROBE_INIT=hang": "Runtime.InitTimeout", "PROBE_INIT=error": "Probe.InitBroken"} {
		ca, _ := authority(t)
		c := dial(t, serve(t, ca, "127.0.0.1:0", usual).addr, ca)
		f.Env = []string{env}
		send(t, c, f)
		limit := time.Minute
		if env == "PROBE_INIT=hang" {
			limit = time.Second
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		_, err := c.Start(limited, remote.SpecOf(f))
		cancel()
		var failed *pools.StartError
		if !errors.As(err, &failed) || failed.Type != kind {
			t.Errorf("%s: %v, want %s", env, err, kind)
		}
		if _, err := c.Start(ctx, remote.SpecOf(f)); err == nil || errors.As(err, &failed) {
			t.Errorf("%s, again: %v", env, err)
		}
		if h, err := c.Health(ctx); err != nil || h.State != remote.StateEnded {
			t.Errorf("%+v %v", h, err)
		}
		if r := c.Invoke(ctx, request(f, `{}`)); r.Outcome.Class != spillway.NotExecuted {
			t.Errorf("%+v", r.Outcome)
		}
		if err := c.Wait(ctx); err != nil {
			t.Error(err)
		}
	}
}

// send gives the agent the package of f.
func send(t *testing.T, c *remote.Client, f *spillway.Function) {
	t.Helper()
	archive, err := zipped(f.Package.Path)
	if err == nil {
		err = c.Send(context.Background(), f.Package.Digest, bytes.NewReader(archive))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A caller who gives up while the function starts leaves nothing running.
func TestStartAbandoned(t *testing.T) {
	f := functionOf(t, agentProbe)
	f.Env = []string{"PROBE_INIT=hang"}
	ca, _ := authority(t)
	c := dial(t, serve(t, ca, "127.0.0.1:0", usual).addr, ca)
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := start(ctx, c, f)
		failed <- err
	}()
	awaitState(t, c, remote.StateStarting)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	awaitState(t, c, remote.StateEnded)
}

func awaitState(t *testing.T, c *remote.Client, state string) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if h, err := c.Health(context.Background()); err == nil && h.State == state {
			return
		}
	}
	t.Fatalf("the agent was not %s", state)
}

func digestOf(archive []byte) string {
	sum := sha256.Sum256(archive)
	return "sha256:" + hex.EncodeToString(sum[:])
}

type entry struct {
	name, contents string
	mode           fs.FileMode
}

func archiveOf(t *testing.T, entries ...entry) []byte {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		file, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(file, e.contents)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestPackagesThatAreRefused(t *testing.T) {
	ca, _ := authority(t)
	var dir string
	s := serve(t, ca, "127.0.0.1:0", func(c *remote.ServerConfig, _ *remote.Server) { dir = c.Dir })
	c := dial(t, s.addr, ca)
	good, err := zipped(agentProbe)
	if err != nil {
		t.Fatal(err)
	}
	wrong := "sha256:" + strings.Repeat("0", 64)
	bomb := archiveOf(t, entry{"zeroes", strings.Repeat("0", 3<<20), 0o644})
	link := archiveOf(t, entry{"bootstrap", "/etc/passwd", fs.ModeSymlink | 0o777})
	out := archiveOf(t, entry{"../../evil", "x", 0o644})
	for name, p := range map[string]struct {
		digest string
		zip    []byte
		says   string
	}{
		"wrong digest": {wrong, good, "not the pinned"},
		"bomb":         {digestOf(bomb), bomb, "over the limit"},
		"link":         {digestOf(link), link, "allowed: directories and regular files"},
		"leads out":    {digestOf(out), out, "leads out of the package"},
		"no zip":       {digestOf([]byte("text")), []byte("text"), "zip: not a valid zip file"},
		"no digest":    {"sha256:12", good, "allowed: sha256: and 64 hex digits"},
		"escape":       {"..%2F..%2Fevil", good, "allowed: sha256: and 64 hex digits"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.Send(context.Background(), p.digest, bytes.NewReader(p.zip))
			if err == nil || !strings.Contains(err.Error(), p.says) {
				t.Errorf("%v, want %q", err, p.says)
			}
			var failed *pools.StartError
			if digest := strings.HasSuffix(p.digest, "2") || strings.HasSuffix(p.digest, "evil"); digest == errors.As(err, &failed) || !digest && failed.Type != "Spillway.PackageError" {
				t.Errorf("%v is not what it should be", err)
			}
			if left, _ := os.ReadDir(filepath.Join(dir, "packages")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	// After all that, the right one is taken.
	f := functionOf(t, agentProbe)
	if _, err := start(context.Background(), c, f); err != nil {
		t.Error(err)
	}
}

func TestImage(t *testing.T) {
	ca, config := authority(t)
	p, err := launch(ca, t.TempDir(), filepath.Join(agentProbe, "bootstrap"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	c := remote.Dial(p.addr, config)
	defer c.Close()
	f := functionOf(t, agentProbe)
	f.Env = []string{"OF_FUNCTION=yes"}
	if _, err := c.Start(context.Background(), remote.SpecOf(f)); err == nil || !strings.Contains(err.Error(), "takes no package") {
		t.Errorf("a package: %v", err)
	}
	f.Package = spillway.Package{}
	if _, err := c.Start(context.Background(), remote.SpecOf(f)); err != nil {
		t.Fatal(err)
	}
	env := string(c.Invoke(context.Background(), request(f, `{"do":"env"}`)).Payload)
	if !strings.Contains(env, "OF_IMAGE=yes") || !strings.Contains(env, "OF_FUNCTION=yes") || strings.Contains(env, "SPILLWAY_AGENT") {
		t.Errorf("the function sees %s", env)
	}
	if err := c.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	<-p.exited
	if code := p.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
}

func TestPackageSeesNothingOfTheAgent(t *testing.T) {
	p, c := launched(t)
	f := functionOf(t, agentProbe)
	if _, err := start(context.Background(), c, f); err != nil {
		t.Fatal(err)
	}
	env := string(c.Invoke(context.Background(), request(f, `{"do":"env"}`)).Payload)
	if strings.Contains(env, "OF_IMAGE") || strings.Contains(env, "SPILLWAY_AGENT") || strings.Contains(env, "BEGIN CERTIFICATE") {
		t.Errorf("the function sees %s", env)
	}
	// Nor can its user read the agent's memory: what is not dumpable belongs to root.
	status, err := os.Stat(fmt.Sprintf("/proc/%d/mem", p.command.Process.Pid))
	if err != nil || status.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("%+v %v", status, err)
	}
}

// Whoever sends or reads too slowly is cut off; the place of the call is free all along.
func TestSlowCallers(t *testing.T) {
	ca, config := authority(t)
	s := serve(t, ca, "127.0.0.1:0", func(_ *remote.ServerConfig, s *remote.Server) {
		if s != nil {
			s.SetPatience(5 * time.Second) // of good callers too
		}
	})
	c := dial(t, s.addr, ca)
	f := functionOf(t, agentProbe)
	if _, err := start(context.Background(), c, f); err != nil {
		t.Fatal(err)
	}
	insecure := config.Clone()
	insecure.InsecureSkipVerify = true
	slow := map[string]net.Conn{}
	for name, text := range map[string]string{
		"a payload that does not come": "POST /v1/invoke HTTP/1.1\r\nHost: agent\r\nSpillway-Call: {\"ticket\":\"0123456789abcdef-1\",\"invocation\":\"a\",\"leftMicros\":600000000}\r\nContent-Length: 10\r\n\r\n{",
		"frames that do not come":      "POST /v1/web HTTP/1.1\r\nHost: agent\r\nSpillway-Call: {\"ticket\":\"0123456789abcdef-2\",\"invocation\":\"a\",\"leftMicros\":600000000}\r\nContent-Length: 10\r\n\r\nH",
		"a package that does not come": "PUT /v1/packages/sha256:" + strings.Repeat("1", 64) + " HTTP/1.1\r\nHost: agent\r\nContent-Length: 10\r\n\r\nPK",
	} {
		n, err := tls.Dial("tcp", s.addr, insecure)
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		io.WriteString(n, text)
		slow[name] = n
	}
	for name, n := range slow {
		n.SetReadDeadline(time.Now().Add(2 * time.Minute))
		answer, err := io.ReadAll(n)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Errorf("%s: not cut off after %q", name, answer)
		}
	}
	if r := c.Invoke(context.Background(), request(f, `{}`)); string(r.Payload) != `"done"` {
		t.Errorf("%+v", r.Outcome)
	}
}

func TestPayloadsOverTheLimit(t *testing.T) {
	ca, config := authority(t)
	s := serve(t, ca, "127.0.0.1:0", usual)
	insecure := config.Clone()
	insecure.InsecureSkipVerify = true
	client := http.Client{Transport: &http.Transport{TLSClientConfig: insecure, DisableKeepAlives: true}}
	head := `{"ticket":"0123456789abcdef-1","invocation":"a","leftMicros":1000000}`
	for name, c := range map[string]struct {
		head   string
		body   io.Reader
		status int
	}{
		"too large":      {head, bytes.NewReader(make([]byte, pools.MaxPayload+1)), http.StatusRequestEntityTooLarge},
		"no length":      {head, io.MultiReader(strings.NewReader("{}")), http.StatusLengthRequired},
		"no call":        {"", strings.NewReader("{}"), http.StatusBadRequest},
		"no ticket":      {`{"invocation":"a"}`, strings.NewReader("{}"), http.StatusBadRequest},
		"another ticket": {`{"ticket":"x","invocation":"a"}`, strings.NewReader("{}"), http.StatusBadRequest},
		"large call":     {`{"invocation":"` + strings.Repeat("a", 70<<10) + `"}`, strings.NewReader("{}"), http.StatusBadRequest},
	} {
		r, err := http.NewRequest(http.MethodPost, "https://"+s.addr+"/v1/invoke", c.body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Spillway-Call", c.head)
		response, err := client.Do(r)
		if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
			continue // it was told before it had sent all, and the connection is closed
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, c.status)
		}
	}
}
