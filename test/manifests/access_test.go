package manifests

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorization "k8s.io/api/authorization/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

type subject struct {
	name   string
	groups []string
}

func account(namespace, name string) subject {
	return subject{"system:serviceaccount:" + namespace + ":" + name, []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}}
}

func person(name string) subject { return subject{name, []string{"system:authenticated"}} }

var (
	dispatcherAccount = account("spillway-system", "spillway")
	operatorAccount   = account("spillway-system", "spillway-operator")
	nodeAccount       = account("spillway-system", "spillway-node")
)

// may asks the API server. what is VERB [GROUP/]RESOURCE[/SUBRESOURCE] [NAME], in a
// namespace if that is not empty; a resource with a dot before the / names its group.
func (s *server) may(t testing.TB, who subject, what, namespace string) bool {
	t.Helper()
	words := strings.Fields(what)
	a := &authorization.ResourceAttributes{Verb: words[0], Namespace: namespace}
	resource := words[1]
	if group, rest, ok := strings.Cut(resource, ":"); ok {
		a.Group, resource = group, rest
	}
	a.Resource, a.Subresource, _ = strings.Cut(resource, "/")
	if len(words) > 2 {
		a.Name = words[2]
	}
	review := &authorization.SubjectAccessReview{Spec: authorization.SubjectAccessReviewSpec{User: who.name, Groups: who.groups, ResourceAttributes: a}}
	if err := s.Create(t.Context(), review); err != nil {
		t.Fatal(err)
	}
	return review.Status.Allowed
}

// access is what somebody may, or may not. Namespace * is all of them.
type access struct {
	what, namespace string
	allowed         bool
}

// granted is when the API server's authorizer knows of every role and binding.
const granted = 30 * time.Second

func (s *server) holds(t *testing.T, who subject, all []access) {
	t.Helper()
	for _, a := range all {
		may := func() bool { return s.may(t, who, a.what, strings.TrimPrefix(a.namespace, "*")) }
		got := may()
		for limit := time.Now().Add(granted); a.allowed && !got && time.Now().Before(limit); got = may() {
			time.Sleep(50 * time.Millisecond)
		}
		if got != a.allowed {
			t.Errorf("%s may %s in namespace %q: %v", who.name, a.what, a.namespace, got)
		}
	}
}

const crds = "spillway.dev:"

// accounts are the dispatcher's, the operator's and the virtual node's.
func (s *server) accounts(t *testing.T) {
	s.holds(t, dispatcherAccount, []access{
		{"list nodes", "*", true},
		{"watch namespaces", "*", true},
		{"delete namespaces", "*", false},
		{"watch pods", "*", true},
		{"create pods", "shop", true},
		{"delete pods", "shop", true},
		{"create pods/exec", "shop", false},
		{"patch pods", "shop", false},
		{"watch " + crds + "functions", "*", true},
		{"patch " + crds + "functions/status", "shop", true},
		{"patch " + crds + "functions", "shop", false},
		{"create " + crds + "quotas", "*", false},
		{"patch " + crds + "pools/status", "*", true},
		{"patch " + crds + "quotas/status", "*", true},
		{"update " + crds + "pools/status", "*", false},
		{"patch " + crds + "burstpolicies/status", "*", false},
		{"invoke " + crds + "functions", "shop", false},
		{"create authentication.k8s.io:tokenreviews", "*", true},
		{"create authorization.k8s.io:subjectaccessreviews", "*", true},
		{"create events.k8s.io:events", "shop", true},
		{"patch events.k8s.io:events", "shop", false},
		{"watch configmaps", "spillway-system", true},
		{"update configmaps", "spillway-system", false},
		{"get configmaps", "shop", false},
		{"create coordination.k8s.io:leases", "spillway-system", true},
		{"update coordination.k8s.io:leases spillway", "spillway-system", true},
		{"update coordination.k8s.io:leases spillway-operator", "spillway-system", false},
		{"create coordination.k8s.io:leases", "shop", false},
		{"get secrets spillway-clouds", "spillway-system", false},
		{"list secrets", "spillway-system", false},
		{"get pods/log", "shop", true},
		{"create secrets", "spillway-system", false},
		{"get secrets database", "shop", false},
		{"list secrets", "*", false},
		{"create serviceaccounts/token default", "shop", false},
		{"impersonate users", "*", false},
		{"create rbac.authorization.k8s.io:rolebindings", "shop", false},
		{"update resourcequotas spillway", "shop", false},
	})
	s.holds(t, operatorAccount, []access{
		{"create resourcequotas", "shop", true},
		{"patch resourcequotas spillway", "shop", true},
		{"delete resourcequotas spillway", "shop", true},
		{"delete resourcequotas others", "shop", false},
		{"patch resourcequotas others", "shop", false},
		{"create coordination.k8s.io:leases", "spillway-system", true},
		{"update coordination.k8s.io:leases spillway-operator", "spillway-system", true},
		{"update coordination.k8s.io:leases spillway", "spillway-system", false},
		{"update coordination.k8s.io:leases spillway-operator", "kube-system", false},
		{"patch " + crds + "functions/status", "shop", true},
		{"update " + crds + "functions/finalizers", "shop", true},
		{"patch " + crds + "functions", "shop", true},
		{"delete " + crds + "functions", "shop", false},
		{"invoke " + crds + "functions", "shop", false},
		{"list pods", "*", true},
		{"delete pods", "shop", true},
		{"create pods", "shop", false},
		{"list namespaces", "*", true},
		{"delete namespaces", "*", false},
		{"watch configmaps", "spillway-system", true},
		{"get configmaps", "shop", false},
		{"get secrets spillway-clouds", "spillway-system", false},
		{"list secrets", "*", false},
		{"patch events", "shop", true},
		{"watch certificates.k8s.io:certificatesigningrequests", "*", true},
		{"create certificates.k8s.io:certificatesigningrequests", "*", false},
		{"update certificates.k8s.io:certificatesigningrequests/approval", "*", true},
		{"approve certificates.k8s.io:signers kubernetes.io/kubelet-serving", "*", true},
		{"approve certificates.k8s.io:signers kubernetes.io/kube-apiserver-client", "*", false},
		{"approve certificates.k8s.io:signers kubernetes.io/kube-apiserver-client-kubelet", "*", false},
		{"sign certificates.k8s.io:signers kubernetes.io/kubelet-serving", "*", false},
	})
	s.holds(t, nodeAccount, []access{
		{"create nodes", "*", true},
		{"patch nodes spillway-offline", "*", true},
		{"patch nodes/status spillway-offline", "*", true},
		{"patch nodes worker-1", "*", false},
		{"patch nodes/status worker-1", "*", false},
		{"delete nodes spillway-offline", "*", false},
		{"get nodes/stats worker-1", "*", false},
		{"create serviceaccounts/token spillway-node-usage", "spillway-system", true},
		{"create serviceaccounts/token spillway", "spillway-system", false},
		{"get nodes/proxy worker-1", "*", false},
		{"watch pods", "*", true},
		{"create pods", "shop", true},
		{"delete pods", "shop", true},
		{"patch pods", "shop", false},
		{"update pods/status", "shop", true},
		{"get pods/log", "shop", true},
		{"create pods/exec", "shop", true},
		{"create pods/attach", "shop", true},
		{"create pods/portforward", "shop", true},
		{"create pods/eviction", "shop", false},
		{"create pods/binding", "shop", false},
		{"create events", "shop", true},
		{"create certificates.k8s.io:certificatesigningrequests", "*", true},
		{"update certificates.k8s.io:certificatesigningrequests/approval", "*", false},
		{"create authentication.k8s.io:tokenreviews", "*", true},
		{"create authorization.k8s.io:subjectaccessreviews", "*", true},
		{"admit " + crds + "offlinepods", "*", true},
		{"create coordination.k8s.io:leases", "spillway-system", true},
		{"update coordination.k8s.io:leases spillway-offline", "spillway-system", true},
		{"update coordination.k8s.io:leases spillway", "spillway-system", false},
		{"update coordination.k8s.io:leases spillway-offline", "kube-node-lease", true},
		{"update coordination.k8s.io:leases worker-1", "kube-node-lease", false},
		{"get configmaps extension-apiserver-authentication", "kube-system", true},
		{"get configmaps", "shop", false},
		{"get secrets spillway-webhook", "spillway-system", true},
		{"update secrets spillway-webhook", "spillway-system", true},
		{"get secrets spillway-clouds", "spillway-system", false},
		{"list secrets", "spillway-system", false},
		{"create secrets", "spillway-system", false},
		{"get secrets database", "shop", false},
		{"patch admissionregistration.k8s.io:mutatingwebhookconfigurations spillway-webhook", "*", true},
		{"patch admissionregistration.k8s.io:mutatingwebhookconfigurations others", "*", false},
		{"create admissionregistration.k8s.io:mutatingwebhookconfigurations", "*", false},
		{"create serviceaccounts/token default", "shop", false},
		{"impersonate users", "*", false},
	})
	s.holds(t, account("spillway-system", "spillway-node-usage"), []access{
		{"get nodes/stats worker-1", "*", true},
		{"get nodes/proxy worker-1", "*", false},
		{"get nodes worker-1", "*", false},
		{"list pods", "*", false},
		{"create pods/exec", "shop", false},
	})
	s.holds(t, dispatcherAccount, []access{{"get secrets spillway-webhook", "spillway-system", false}, {"admit " + crds + "offlinepods", "*", false}})
	s.holds(t, account("shop", "default"), []access{
		{"get secrets spillway-clouds", "spillway-system", false},
		{"get " + crds + "functions", "shop", false},
		{"invoke " + crds + "functions pay", "shop", false},
	})
}

// people have the cluster's own roles, into which a controller puts ours.
func (s *server) people(t *testing.T) {
	s.aggregate(t)
	viewer, editor, owner, root := person("viewer"), person("editor"), person("owner"), person("platform")
	for who, role := range map[string]string{viewer.name: "view", editor.name: "edit", owner.name: "admin"} {
		s.bind(t, "shop", who, role)
	}
	everywhere := &rbac.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "platform"},
		RoleRef:  rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "admin"},
		Subjects: []rbac.Subject{{APIGroup: rbac.GroupName, Kind: "User", Name: root.name}}}
	if err := s.Create(t.Context(), everywhere); err != nil {
		t.Fatal(err)
	}
	eventually(t, "edit and admin include Spillway's", func() bool {
		return s.may(t, viewer, "list "+crds+"functions", "shop") && s.may(t, editor, "create "+crds+"functions", "shop") &&
			s.may(t, root, "create "+crds+"quotas", "") && s.may(t, owner, "create "+crds+"functions", "shop")
	})
	none := []access{ // for all of them
		{"invoke " + crds + "functions pay", "shop", false},
		{"patch " + crds + "functions/status", "shop", false},
	}
	s.holds(t, viewer, append([]access{
		{"get secrets spillway-clouds", "spillway-system", false},
		{"get " + crds + "functions", "shop", true}, {"create " + crds + "functions", "shop", false}, {"list " + crds + "functions", "other", false},
	}, none...))
	s.holds(t, editor, append([]access{
		{"get secrets spillway-clouds", "spillway-system", false},
		{"get " + crds + "functions", "shop", true}, {"delete " + crds + "functions", "shop", true}, {"create " + crds + "functions", "other", false},
		{"create " + crds + "quotas", "", false}, {"bind rbac.authorization.k8s.io:clusterroles spillway-invoker", "shop", false},
	}, none...))
	s.holds(t, owner, append([]access{
		{"get secrets spillway-clouds", "spillway-system", false},
		{"update " + crds + "functions", "shop", true}, {"update " + crds + "quotas", "", false},
		{"bind rbac.authorization.k8s.io:clusterroles spillway-invoker", "shop", true},
		{"bind rbac.authorization.k8s.io:clusterroles spillway-invoker", "other", false},
		{"bind rbac.authorization.k8s.io:clusterroles cluster-admin", "shop", false},
	}, none...))
	s.holds(t, root, append([]access{
		{"update " + crds + "quotas", "", true}, {"delete " + crds + "pools", "", true}, {"patch " + crds + "quotas/status", "", false},
	}, none...))
	s.invokers(t, owner, editor)
}

// invokers are made by the admin of a namespace, and by nobody with less.
func (s *server) invokers(t *testing.T, owner, editor subject) {
	s.holds(t, account("checkout", "checkout"), []access{ // the example's
		{"invoke " + crds + "functions pay", "shop", true}, {"invoke " + crds + "functions pay", "other", false}, {"get " + crds + "functions pay", "shop", false},
	})
	caller := person("caller")
	for who, allowed := range map[*subject]bool{&editor: false, &owner: true} {
		err := s.as(t, *who).Create(t.Context(), binding("shop", caller.name, "spillway-invoker"))
		if allowed && err != nil || !allowed && !apierrors.IsForbidden(err) {
			t.Errorf("%s lets somebody invoke: %v", who.name, err)
		}
	}
	s.holds(t, caller, []access{{"invoke " + crds + "functions pay", "shop", true}, {"invoke " + crds + "functions pay", "other", false}, {"create " + crds + "functions", "shop", false}})
	if err := s.as(t, owner).Create(t.Context(), binding("shop", caller.name, "cluster-admin")); !apierrors.IsForbidden(err) {
		t.Errorf("the admin of a namespace gives away the cluster: %v", err)
	}
}

func binding(namespace, user, role string) *rbac.RoleBinding {
	return &rbac.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: user + "-" + role},
		RoleRef:  rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: role},
		Subjects: []rbac.Subject{{APIGroup: rbac.GroupName, Kind: "User", Name: user}}}
}

func (s *server) bind(t *testing.T, namespace, user, role string) {
	t.Helper()
	if err := s.Create(t.Context(), binding(namespace, user, role), &client.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// aggregate runs the one controller that puts roles together.
func (s *server) aggregate(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(s.programs, "kubebox"), "kube-controller-manager", "--kubeconfig="+s.admin(t),
		"--controllers=clusterrole-aggregation-controller", "--leader-elect=false", "--secure-port=0")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it was killed
		if t.Failed() {
			t.Log(said.String())
		}
	})
}
