package main

import (
	"crypto/tls"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/yaml"
)

// TestSettingsAreDocumented: the table of docs/kubernetes.md has flags that are there, with
// their defaults.
func TestSettingsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\| (?:`([^`]*)`|[a-z ]+) \\|").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 6 {
		t.Fatalf("%d settings in docs/kubernetes.md", len(rows))
	}
	set := command().Flags()
	for _, row := range rows {
		if f := set.Lookup(row[1]); f == nil || f.DefValue != row[2] {
			t.Errorf("--%s is not a flag whose default is %q", row[1], row[2])
		}
	}
}

// TestKubeletTLS: kubelets are shown the client certificate of a kubeconfig.
func TestKubeletTLS(t *testing.T) {
	text, key, err := cert.GenerateSelfSignedCertKey("localhost", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	with := &rest.Config{Host: "https://127.0.0.1:6443", TLSClientConfig: rest.TLSClientConfig{CAData: text, CertData: text, KeyData: key}}
	c, err := new(flags).kubeletTLS(with)
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(t, c); len(got.Certificate) == 0 || c.RootCAs == nil {
		t.Error("it shows no certificate, or trusts nobody")
	}
	c, err = new(flags).kubeletTLS(&rest.Config{Host: "https://127.0.0.1:6443", BearerToken: "x"})
	if err != nil || len(shown(t, c).Certificate) > 0 {
		t.Errorf("without one it shows one, or %v", err)
	}
}

func shown(t *testing.T, c *tls.Config) *tls.Certificate {
	t.Helper()
	switch {
	case len(c.Certificates) > 0:
		return &c.Certificates[0]
	case c.GetClientCertificate != nil:
		got, err := c.GetClientCertificate(&tls.CertificateRequestInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	return &tls.Certificate{}
}

// TestEnding: work that was told to end is waited for, but not for ever.
func TestEnding(t *testing.T) {
	done, broken := make(chan error), errors.New("broken")
	go func() { done <- broken }()
	if err := ending(done, time.Minute); !errors.Is(err, broken) {
		t.Errorf("it returns %v", err)
	}
	if err := ending(make(chan error), time.Millisecond); err == nil {
		t.Error("what never ends is well")
	}
}

// TestWebhookDecidesInTime: the API server waits for longer than a decision may take.
func TestWebhookDecidesInTime(t *testing.T) {
	text, err := os.ReadFile("../../manifests/base/webhook.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var hooks admissionregistrationv1.MutatingWebhookConfiguration
	first, _, _ := strings.Cut(string(text), "\n---\n")
	if err := yaml.UnmarshalStrict([]byte(first), &hooks); err != nil {
		t.Fatal(err)
	}
	if len(hooks.Webhooks) == 0 {
		t.Fatal("no webhook")
	}
	for _, h := range hooks.Webhooks {
		if h.TimeoutSeconds == nil {
			t.Errorf("%s has no limit of its own", h.Name)
		} else if waits := time.Duration(*h.TimeoutSeconds) * time.Second; waits <= decideWithin {
			t.Errorf("%s is waited for %s and takes up to %s", h.Name, waits, decideWithin)
		}
	}
}
