package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func readCert(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestPKI checks who may say what of itself, as the components will.
func TestPKI(t *testing.T) {
	dir := t.TempDir()
	if err := writePKI(dir); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(readCert(t, filepath.Join(dir, "ca.crt")))
	for file, host := range map[string]string{"apiserver": serviceIP, "kubelet-serving": nodeIP} {
		if _, err := readCert(t, filepath.Join(dir, file+".crt")).Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("%s as %s: %v", file, host, err)
		}
	}
	client := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	kubelet := readCert(t, filepath.Join(dir, "kubelet.crt"))
	if _, err := kubelet.Verify(client); err != nil || kubelet.Subject.CommonName != "system:node:"+nodeName || kubelet.Subject.Organization[0] != "system:nodes" {
		t.Errorf("the kubelet is %v: %v", kubelet.Subject, err)
	}
	if _, err := readCert(t, filepath.Join(dir, "front-proxy.crt")).Verify(client); err == nil {
		t.Error("the front proxy passes for a client of the cluster")
	}
	key, err := os.ReadFile(filepath.Join(dir, "service-accounts.key"))
	if err != nil || !strings.HasPrefix(string(key), "-----BEGIN EC PRIVATE KEY-----") {
		t.Errorf("the API server reads no such key of service accounts: %.30s (%v)", key, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "admin.kubeconfig")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("admin.kubeconfig is for others, too: %v (%v)", info, err)
	}
}
