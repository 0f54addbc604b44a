package admission

import (
	"bytes"
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
	"net"
	"slices"
	"time"
)

// How long certificates live. An authority is followed by another when a third of its
// life is left, and that one signs only once the API server had time to learn of it. A
// process has its serving certificate renewed when a third of its life is left.
const (
	authorityLife = 365 * 24 * time.Hour
	servingLife   = 30 * 24 * time.Hour
	learnedWithin = time.Hour
	skew          = 5 * time.Minute // by which clocks may differ
)

// authority signs serving certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "spillway webhook"},
		NotBefore: now.Add(-skew), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	cert, err := signed(template, template, key, key)
	if err != nil {
		return nil, err
	}
	return &authority{cert, key}, nil
}

func signed(template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("number a certificate: %w", err)
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &of.PublicKey, by)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return x509.ParseCertificate(der)
}

// serving is a certificate for names, which are DNS names or IP addresses.
func (a *authority) serving(names []string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	ends := now.Add(servingLife)
	if a.cert.NotAfter.Before(ends) {
		ends = a.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, NotBefore: now.Add(-skew), NotAfter: ends,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	cert, err := signed(template, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// due reports that a third of a certificate's life, or less, is left.
func due(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotAfter.Add(-c.NotAfter.Sub(c.NotBefore) / 3))
}

// authorities are the newest first. All are trusted.
type authorities []*authority

// kept are those that are still good, with another before them if it is time for one.
func (all authorities) kept(now time.Time) (next authorities, changed bool, err error) {
	next = slices.DeleteFunc(slices.Clone(all), func(a *authority) bool { return !now.Before(a.cert.NotAfter) })
	changed = len(next) != len(all)
	if len(next) > 0 && !due(next[0].cert, now) {
		return next, changed, nil
	}
	made, err := newAuthority(now)
	if err != nil {
		return nil, false, err
	}
	return slices.Insert(next, 0, made), true, nil
}

// signer is the newest that the API server has learned of by now, or the only one.
func (all authorities) signer(now time.Time) *authority {
	for _, a := range all {
		if now.Sub(a.cert.NotBefore) >= skew+learnedWithin {
			return a
		}
	}
	return all[len(all)-1]
}

// bundle is what the API server is to trust.
func (all authorities) bundle() []byte {
	var b bytes.Buffer
	for _, a := range all {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}) // to memory
	}
	return b.Bytes()
}

// encode writes certificates and keys.
func (all authorities) encode() ([]byte, error) {
	var b bytes.Buffer
	for _, a := range all {
		key, err := x509.MarshalECPrivateKey(a.key)
		if err != nil {
			return nil, fmt.Errorf("write a key: %w", err)
		}
		for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: a.cert.Raw}, {Type: "EC PRIVATE KEY", Bytes: key}} {
			if err := pem.Encode(&b, block); err != nil {
				return nil, err
			}
		}
	}
	return b.Bytes(), nil
}

// decode reads what encode has written. Errors quote nothing of it.
func decode(text []byte) (authorities, error) {
	var all authorities
	for len(bytes.TrimSpace(text)) > 0 {
		var cert, key *pem.Block
		if cert, text = pem.Decode(text); cert != nil {
			key, text = pem.Decode(text)
		}
		if cert == nil || key == nil {
			return nil, errors.New("it is no pairs of certificate and key")
		}
		a := &authority{}
		var err error
		if a.cert, err = x509.ParseCertificate(cert.Bytes); err != nil {
			return nil, errors.New("a certificate in it cannot be read")
		}
		if a.key, err = x509.ParseECPrivateKey(key.Bytes); err != nil {
			return nil, errors.New("a key in it cannot be read")
		}
		if !a.key.PublicKey.Equal(a.cert.PublicKey) || !a.cert.IsCA {
			return nil, errors.New("a key in it is not that of the authority before it")
		}
		all = append(all, a)
	}
	slices.SortStableFunc(all, func(a, b *authority) int { return b.cert.NotBefore.Compare(a.cert.NotBefore) })
	return all, nil
}
