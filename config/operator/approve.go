package operator

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
)

const (
	// NodeAccount is the service account of virtual nodes, in the system's namespace.
	NodeAccount = "spillway-node"

	defaultNode  = "spillway-offline" // of an offline Pool that names none
	podExtra     = "authentication.kubernetes.io/pod-name"
	podUIDExtra  = "authentication.kubernetes.io/pod-uid"
	approveAgain = 5 * time.Second // a Pool, or a pod's address, may come later
	approveUntil = time.Hour       // from when on the controller-manager takes requests away
)

// approver approves what virtual nodes ask for to serve the kubelet API with. All other
// requests are left alone: it denies none.
type approver struct {
	client    client.Client
	live      client.Reader
	namespace string
	now       func() time.Time
}

func (a *approver) watch(m manager.Manager) error {
	c, err := controller.New(FieldManager+"-certificates", m, controller.Options{Reconciler: a, MaxConcurrentReconciles: 1, SkipNameValidation: new(true)})
	if err != nil {
		return err
	}
	return c.Watch(source.Kind[client.Object](m.GetCache(), &certificatesv1.CertificateSigningRequest{}, &handler.EnqueueRequestForObject{}))
}

// Reconcile looks at one request.
func (a *approver) Reconcile(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
	var csr certificatesv1.CertificateSigningRequest
	if err := a.client.Get(ctx, r.NamespacedName, &csr); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	node, address, asks := a.asked(&csr)
	if !asks || len(csr.Status.Conditions) > 0 || len(csr.Status.Certificate) > 0 {
		return reconcile.Result{}, nil
	}
	ours, err := a.ours(ctx, &csr, node, address)
	switch {
	case err != nil:
		return reconcile.Result{}, err
	case !ours && a.now().Sub(csr.CreationTimestamp.Time) < approveUntil:
		return reconcile.Result{RequeueAfter: approveAgain}, nil
	case !ours:
		return reconcile.Result{}, nil
	}
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "VirtualNode",
		Message: fmt.Sprintf("pod %s is the virtual node %s and has the address %s", csr.Spec.Extra[podExtra][0], node, address),
	})
	err = a.client.SubResource("approval").Update(ctx, &csr)
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: approveAgain}, nil
	}
	return reconcile.Result{}, err
}

// asked reads a request as virtual nodes make it: which node it is for, at which
// address. False for every other.
func (a *approver) asked(csr *certificatesv1.CertificateSigningRequest) (node string, address net.IP, ok bool) {
	if csr.Spec.SignerName != certificatesv1.KubeletServingSignerName || csr.Spec.Username != "system:serviceaccount:"+a.namespace+":"+NodeAccount {
		return "", nil, false
	}
	block, rest := pem.Decode(csr.Spec.Request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return "", nil, false
	}
	asks, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || asks.CheckSignature() != nil || !usages(csr.Spec.Usages) {
		return "", nil, false
	}
	if len(asks.DNSNames) != 1 || len(asks.IPAddresses) != 1 || len(asks.EmailAddresses)+len(asks.URIs) > 0 {
		return "", nil, false
	}
	node = asks.DNSNames[0]
	return node, asks.IPAddresses[0], asks.Subject.CommonName == "system:node:"+node && slices.Equal(asks.Subject.Organization, []string{"system:nodes"}) &&
		len(asks.Subject.Names) == 2
}

// usages are those of a server, and of no client.
func usages(all []certificatesv1.KeyUsage) bool {
	may := []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageServerAuth}
	return slices.Contains(all, certificatesv1.UsageServerAuth) && !slices.ContainsFunc(all, func(u certificatesv1.KeyUsage) bool { return !slices.Contains(may, u) })
}

// ours reports whether an offline Pool runs the pods of the node, and whether the pod
// that asks is there, runs as the node's account, and has the address.
func (a *approver) ours(ctx context.Context, csr *certificatesv1.CertificateSigningRequest, node string, address net.IP) (bool, error) {
	name, uid := csr.Spec.Extra[podExtra], csr.Spec.Extra[podUIDExtra]
	if len(name) != 1 || len(uid) != 1 {
		return false, nil
	}
	var pools kube.PoolList
	if err := a.client.List(ctx, &pools); err != nil {
		return false, err
	}
	if !slices.ContainsFunc(pools.Items, func(p kube.Pool) bool { return p.Spec.Kind == "offline" && nodeOf(&p) == node }) {
		return false, nil
	}
	var pod corev1.Pod
	if err := a.live.Get(ctx, client.ObjectKey{Namespace: a.namespace, Name: name[0]}, &pod); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	has := slices.ContainsFunc(pod.Status.PodIPs, func(ip corev1.PodIP) bool { return address.Equal(net.ParseIP(ip.IP)) })
	return has && string(pod.UID) == uid[0] && pod.Spec.ServiceAccountName == NodeAccount && !pod.Spec.HostNetwork, nil
}

func nodeOf(p *kube.Pool) string {
	if p.Spec.Offline == nil || p.Spec.Offline.Node == "" {
		return defaultNode
	}
	return p.Spec.Offline.Node
}
