package kube

import (
	"testing"

	authorization "k8s.io/api/authorization/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/auth"
)

// TestNode: RBAC says who may admit, and to be allowed to invoke is not enough.
func TestNode(t *testing.T) {
	d := newDesk(t)
	d.with(func() {
		d.may = func(of *authorization.SubjectAccessReviewSpec) bool {
			a := of.ResourceAttributes
			return of.User == "node" && a.Verb == "admit" && a.Group == "spillway.dev" && a.Resource == "offlinepods" && a.Namespace == "" && a.Name == "" || a.Verb == "invoke"
		}
	})
	if id, err := d.AuthenticateNode(request(t.Context(), "Bearer "+fit("token-node"))); err != nil || id.Name != "node" {
		t.Errorf("%+v, %v", id, err)
	}
	for _, authorization := range []string{"Bearer " + fit("token-web"), "Bearer nobody", ""} {
		if id, err := d.AuthenticateNode(request(t.Context(), authorization)); err == nil {
			t.Errorf("%q may: %+v", authorization, id)
		}
	}
}

// testNodes asks a real RBAC.
func (c *cluster) testNodes(t *testing.T) {
	c.tenant(t, "nodes", "node")
	d := c.authenticator(t, quick(ofIdentities), quick(ofPermissions))
	asks := request(t.Context(), "Bearer "+c.token(t, "nodes", "node", DefaultAudience))
	if _, err := d.AuthenticateNode(asks); err == nil {
		t.Fatal("admitted without a right")
	}
	role := must[*rbac.ClusterRole](t)(c.rbac.ClusterRoles().Create(t.Context(), &rbac.ClusterRole{ObjectMeta: meta.ObjectMeta{Name: "node-admission"},
		Rules: []rbac.PolicyRule{{Verbs: []string{"admit"}, APIGroups: []string{"spillway.dev"}, Resources: []string{"offlinepods"}}}}, meta.CreateOptions{}))
	must[*rbac.ClusterRoleBinding](t)(c.rbac.ClusterRoleBindings().Create(t.Context(), &rbac.ClusterRoleBinding{ObjectMeta: meta.ObjectMeta{Name: "node-admission"},
		RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: role.Name}, Subjects: []rbac.Subject{accountOf("nodes", "node")}}, meta.CreateOptions{}))
	soon(t, "a node with the right may not admit", func() bool {
		id, err := d.AuthenticateNode(asks)
		return err == nil && id.Name == "system:serviceaccount:nodes:node"
	})
	if p, err := d.Authorise(t.Context(), must[auth.Identity](t)(d.AuthenticateNode(asks)), "nodes", "f"); err != nil || p != auth.Denied {
		t.Errorf("may invoke too: %v, %v", p, err)
	}
}
