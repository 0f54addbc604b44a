package operator

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const nodeAccountName = "system:serviceaccount:" + system + ":spillway-node"

// wish is a request as the virtual node makes it, before a case changes it.
type wish struct {
	x509.CertificateRequest
	signer string
	usages []certificatesv1.KeyUsage
	as     rest.ImpersonationConfig
}

func (l *lab) wished(pod *corev1.Pod) *wish {
	return &wish{
		CertificateRequest: x509.CertificateRequest{
			Subject:  pkix.Name{CommonName: "system:node:spillway-offline", Organization: []string{"system:nodes"}},
			DNSNames: []string{"spillway-offline"}, IPAddresses: []net.IP{net.ParseIP(pod.Status.PodIP)},
		},
		signer: certificatesv1.KubeletServingSignerName,
		usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageServerAuth},
		as: rest.ImpersonationConfig{UserName: nodeAccountName, Groups: []string{"system:serviceaccounts", "system:masters"}, // so that it may
			Extra: map[string][]string{podExtra: {pod.Name}, podUIDExtra: {string(pod.UID)}}},
	}
}

// ask makes the request.
func (l *lab) ask(name string, w *wish) *certificatesv1.CertificateSigningRequest {
	l.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	l.must(err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &w.CertificateRequest, key)
	l.must(err)
	config := rest.CopyConfig(shared.config)
	config.Impersonate = w.as
	c, err := client.New(config, client.Options{Scheme: l.Scheme()})
	l.must(err)
	csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.CertificateSigningRequestSpec{
		Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), SignerName: w.signer, Usages: w.usages}}
	l.must(c.Create(l.Context(), csr))
	l.Cleanup(func() { _ = l.Delete(context.Background(), csr) })
	return csr
}

// nodePod is a pod of an account of the system's namespace, with an address.
func (l *lab) nodePod(name, account, address string) *corev1.Pod {
	l.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: name},
		Spec: corev1.PodSpec{ServiceAccountName: account, Containers: []corev1.Container{{Name: "node", Image: "localhost/x:dev"}}}}
	l.must(l.Create(l.Context(), p))
	p.Status.PodIP, p.Status.PodIPs = address, []corev1.PodIP{{IP: address}, {IP: "fd00::7"}}
	l.must(l.Status().Update(l.Context(), p))
	return p
}

func approved(csr *certificatesv1.CertificateSigningRequest) bool {
	for _, c := range csr.Status.Conditions {
		if c.Type == certificatesv1.CertificateApproved && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// TestApprove: what a virtual node asks for is approved. Whatever differs in anything is
// neither approved nor denied.
func TestApprove(t *testing.T) {
	l := newLab(t)
	node := l.nodePod("spillway-node-1", NodeAccount, "10.1.2.3")
	other := l.nodePod("other", "spillway-operator", "10.1.2.4")
	l.run(Options{})
	early := l.ask("early", l.wished(node)) // its Pool comes later

	var left []*certificatesv1.CertificateSigningRequest
	for name, change := range map[string]func(*wish){
		"person":    func(w *wish) { w.as.UserName = "somebody" },
		"account":   func(w *wish) { w.as.UserName = "system:serviceaccount:" + system + ":spillway-operator" },
		"namespace": func(w *wish) { w.as.UserName = "system:serviceaccount:shop:spillway-node" },
		"client": func(w *wish) {
			w.signer, w.usages[1] = certificatesv1.KubeAPIServerClientKubeletSignerName, certificatesv1.UsageClientAuth
		},
		"real-node":   func(w *wish) { w.Subject.CommonName, w.DNSNames = "system:node:worker-1", []string{"worker-1"} },
		"common-name": func(w *wish) { w.Subject.CommonName = "system:node:worker-1" },
		"masters":     func(w *wish) { w.Subject.Organization = append(w.Subject.Organization, "system:masters") },
		"unit":        func(w *wish) { w.Subject.OrganizationalUnit = []string{"x"} },
		"usage":       func(w *wish) { w.usages = append(w.usages, certificatesv1.UsageClientAuth) },
		"more-names":  func(w *wish) { w.DNSNames = append(w.DNSNames, "kubernetes.default.svc") },
		"no-address":  func(w *wish) { w.IPAddresses = nil },
		"address":     func(w *wish) { w.IPAddresses = []net.IP{net.ParseIP(other.Status.PodIP)} },
		"two":         func(w *wish) { w.IPAddresses = append(w.IPAddresses, net.ParseIP("10.0.0.1")) },
		"mail":        func(w *wish) { w.EmailAddresses = []string{"a@example.dev"} },
		"no-pod":      func(w *wish) { w.as.Extra = nil },
		"earlier-pod": func(w *wish) { w.as.Extra[podUIDExtra] = []string{"another"} },
		"gone":        func(w *wish) { w.as.Extra[podExtra] = []string{"gone"} },
		"others-pod": func(w *wish) {
			w.IPAddresses, w.as.Extra = []net.IP{net.ParseIP(other.Status.PodIP)}, map[string][]string{podExtra: {other.Name}, podUIDExtra: {string(other.UID)}}
		},
	} {
		w := l.wished(node)
		change(w)
		left = append(left, l.ask("left-"+name, w))
	}
	l.apply("kind: Pool\nmetadata: {name: idle}\nspec: {kind: offline}")
	v6 := l.wished(node)
	v6.IPAddresses = []net.IP{net.ParseIP("fd00::7")}
	for _, good := range []*certificatesv1.CertificateSigningRequest{early, l.ask("good", l.wished(node)), l.ask("good-6", v6)} {
		l.within(func() string {
			if !approved(get(l, good)) {
				return good.Name + " is not approved"
			}
			return ""
		})
	}
	for _, csr := range left { // one worker has looked at all that came before
		if get(l, csr); len(csr.Status.Conditions) > 0 {
			t.Errorf("%s: %+v", csr.Name, csr.Status.Conditions)
		}
	}
}
