package kubeletapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/certificate"
)

var errNoCertificate = errors.New("no serving certificate yet: its CertificateSigningRequest waits to be approved; see 'kubectl get csr'")

// Certificate is what the API is served with at the moment; it is renewed while the
// node runs.
type Certificate func() (*tls.Certificate, error)

// FromFiles serves with a certificate and key that somebody else renews.
func FromFiles(ctx context.Context, certFile, keyFile string) (Certificate, error) {
	content, err := dynamiccertificates.NewDynamicServingContentFromFiles("kubelet-serving", certFile, keyFile)
	if err != nil {
		return nil, err
	}
	go content.Run(ctx, 1)
	return func() (*tls.Certificate, error) {
		cert, key := content.CurrentCertKeyContent()
		pair, err := tls.X509KeyPair(cert, key)
		return &pair, err
	}, nil
}

// FromCluster asks the cluster's signer for kubelets' serving certificates, and again
// before one ends. What it has is kept in dir, which must be writable, so that a
// restart needs no new one. Somebody must approve the requests: the operator does for
// its own node.
func FromCluster(ctx context.Context, client kubernetes.Interface, node string, address net.IP, dir string) (Certificate, error) {
	store, err := certificate.NewFileStore("kubelet-server", dir, dir, "", "")
	if err != nil {
		return nil, fmt.Errorf("keep the serving certificate in %s: %w", dir, err)
	}
	rotating, err := certificate.NewManager(&certificate.Config{
		ClientsetFn: func(*tls.Certificate) (kubernetes.Interface, error) { return client, nil },
		Template: &x509.CertificateRequest{
			Subject:     pkix.Name{CommonName: "system:node:" + node, Organization: []string{"system:nodes"}},
			DNSNames:    []string{node},
			IPAddresses: []net.IP{address},
		},
		SignerName:       certificatesv1.KubeletServingSignerName,
		GetUsages:        certificate.DefaultKubeletServingGetUsages,
		CertificateStore: store,
	})
	if err != nil {
		return nil, fmt.Errorf("ask for a serving certificate: %w", err)
	}
	rotating.Start()
	context.AfterFunc(ctx, rotating.Stop)
	return func() (*tls.Certificate, error) {
		if now := rotating.Current(); now != nil {
			return now, nil
		}
		return nil, errNoCertificate
	}, nil
}

// TLS is how the API is listened on. Client certificates are asked for and looked at
// by a Guard, since tokens will do as well.
func TLS(cert Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequestClientCert,
		NextProtos:     []string{"http/1.1"}, // streams are upgraded connections
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert() },
	}
}
