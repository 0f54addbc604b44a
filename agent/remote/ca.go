package remote

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// A certificate is valid from a month before it was made, so that it holds for clocks
// that are wrong, and for so long that nobody has to renew it.
const (
	skew     = 30 * 24 * time.Hour
	validFor = 30 * 365 * 24 * time.Hour
)

// CA is who agents trust: whoever has its key can call them. It is immutable.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	public      []byte // PEM
}

// NewCA makes a key and a certificate.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the agents' CA: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "spillway agents"}, SerialNumber: serial(),
		NotBefore: now.Add(-skew), NotAfter: now.Add(validFor),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the agents' CA: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the certificate of the agents' CA: %w", err)
	}
	return newCA(certificate, key), nil
}

func newCA(certificate *x509.Certificate, key *ecdsa.PrivateKey) *CA {
	return &CA{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})}
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}

// ParseCA reads what Secret wrote. Errors tell nothing of the key.
func ParseCA(text []byte) (*CA, error) {
	ca, err := parseCA(text)
	if err != nil {
		return nil, fmt.Errorf("read the agents' CA: %w; delete it to have a new one made, and agents started anew", err)
	}
	return ca, nil
}

func parseCA(text []byte) (*CA, error) {
	var certificate *x509.Certificate
	var key *ecdsa.PrivateKey
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, errors.New("its certificate cannot be read")
			}
			certificate = c
		case "PRIVATE KEY":
			parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			k, ok := parsed.(*ecdsa.PrivateKey)
			if err != nil || !ok {
				return nil, errors.New("its key cannot be read, or is not an ECDSA key")
			}
			key = k
		}
	}
	switch {
	case certificate == nil || key == nil:
		return nil, errors.New("there is not both a CERTIFICATE and a PRIVATE KEY in PEM")
	case !certificate.IsCA:
		return nil, errors.New("its certificate is not of a CA")
	case !key.PublicKey.Equal(certificate.PublicKey):
		return nil, errors.New("its key belongs to another certificate")
	}
	return newCA(certificate, key), nil
}

// Secret returns the certificate and the key in PEM, for ParseCA. Only the dispatcher
// may read it.
func (ca *CA) Secret() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(ca.key)
	if err != nil {
		return nil, fmt.Errorf("write the key of the agents' CA: %w", err)
	}
	return append(ca.Certificate(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
}

// Certificate returns the certificate in PEM, for agents (AuthorityVariable). It is no secret.
func (ca *CA) Certificate() []byte { return append([]byte(nil), ca.public...) }

// Client returns what Dial needs, with a certificate of its own.
func (ca *CA) Client() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key for calls of agents: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "spillway dispatcher"}, SerialNumber: serial(),
		NotBefore: ca.certificate.NotBefore, NotAfter: ca.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.certificate, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for calls of agents: %w", err)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		// Nobody watches a page being built: many small records are only slow.
		DynamicRecordSizingDisabled: true,
	}, nil
}

// serverTLS asks every caller for a certificate of the CA in authority (PEM). Its own
// key lives and dies with this process.
func serverTLS(authority []byte) (*tls.Config, error) {
	block, _ := pem.Decode(authority)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("no CERTIFICATE in PEM")
	}
	trusted, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	if !trusted.IsCA {
		return nil, errors.New("the certificate is not of a CA")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "spillway agent"}, SerialNumber: serial(),
		NotBefore: trusted.NotBefore, NotAfter: trusted.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(trusted)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,

		DynamicRecordSizingDisabled: true,
		// A ticket would lie unread in a connection that is looked at before it is used again.
		SessionTicketsDisabled: true,
	}, nil
}
