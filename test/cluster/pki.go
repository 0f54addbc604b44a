package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// identity is a key with the certificate that names its owner.
type identity struct {
	cert            *x509.Certificate
	key             *ecdsa.PrivateKey
	certPEM, keyPEM []byte
}

// owner is who a certificate is for.
type owner struct {
	name  string
	group string // what RBAC calls a group
	hosts []string
	ips   []net.IP
}

// authority issues certificates into dir.
type authority struct {
	identity
	dir string
}

// issue makes a key and its certificate, signed by the authority, or by itself if that is nil.
func issue(by *authority, o owner) (identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return identity{}, err
	}
	template := template(o, serial)
	parent, signer := template, key
	if by == nil {
		template.IsCA, template.ExtKeyUsage = true, nil
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return identity{}, fmt.Errorf("certificate of %s: %w", o.name, err)
	}
	return encode(der, key)
}

func template(o owner, serial *big.Int) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: o.name},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		DNSNames: o.hosts, IPAddresses: o.ips,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if o.group != "" {
		t.Subject.Organization = []string{o.group}
	}
	return t
}

// encode keeps the key in the older form: the API server reads no PKCS #8 for
// service account keys.
func encode(der []byte, key *ecdsa.PrivateKey) (identity, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return identity{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return identity{}, err
	}
	return identity{cert, key,
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})}, nil
}

func (i identity) write(dir, file string) error {
	if err := os.WriteFile(filepath.Join(dir, file+".crt"), i.certPEM, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, file+".key"), i.keyPEM, 0o600)
}

func newAuthority(dir, file string) (*authority, error) {
	id, err := issue(nil, owner{name: "spillway-test-" + file})
	if err != nil {
		return nil, err
	}
	return &authority{id, dir}, id.write(dir, file)
}

// grant writes file.crt and file.key.
func (a *authority) grant(file string, o owner) (identity, error) {
	id, err := issue(a, o)
	if err != nil {
		return id, err
	}
	return id, id.write(a.dir, file)
}

const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: test, user: {client-certificate-data: %s, client-key-data: %s}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
current-context: test
`

// admit writes a client's certificate and its file.kubeconfig.
func (a *authority) admit(file string, o owner) error {
	id, err := a.grant(file, o)
	if err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString
	config := fmt.Sprintf(kubeconfigText, apiServer, text(a.certPEM), text(id.certPEM), text(id.keyPEM))
	return os.WriteFile(filepath.Join(a.dir, file+".kubeconfig"), []byte(config), 0o600)
}

// writePKI makes every key of a cluster.
func writePKI(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ca, err := newAuthority(dir, "ca")
	if err != nil {
		return err
	}
	front, err := newAuthority(dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	loopback, node, service := net.IPv4(127, 0, 0, 1), net.ParseIP(nodeIP), net.ParseIP(serviceIP)
	servers := map[string]owner{
		"apiserver": {name: "kube-apiserver", ips: []net.IP{loopback, node, service},
			hosts: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		"apiserver-kubelet": {name: "kube-apiserver-kubelet-client", group: "system:masters"},
		"kubelet-serving":   {name: "system:node:" + nodeName, group: "system:nodes", hosts: []string{nodeName}, ips: []net.IP{node}},
		"service-accounts":  {name: "service-accounts"},
	}
	for file, o := range servers {
		if _, err := ca.grant(file, o); err != nil {
			return err
		}
	}
	clients := map[string]owner{
		"admin":              {name: "admin", group: "system:masters"},
		"controller-manager": {name: "system:kube-controller-manager"},
		"scheduler":          {name: "system:kube-scheduler"},
		"kubelet":            {name: "system:node:" + nodeName, group: "system:nodes"},
	}
	for file, o := range clients {
		if err := ca.admit(file, o); err != nil {
			return err
		}
	}
	_, err = front.grant("front-proxy", owner{name: "front-proxy"})
	return err
}
