package kube

import (
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	_ "modernc.org/sqlite" // reads the ledger as any tool could
)

// TestNamespaceMadeAnew deletes a namespace and makes another of the same name: what they
// spent is told apart by UID.
func TestNamespaceMadeAnew(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", keySecret)
	c := newControl(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	endpoint := (&world{t: t}).cloudOn(l)
	token := c.caller()
	file, digest := c.zipped("report", "#!/bin/false\n") // which does not run
	function := functionOf("report", fmt.Sprintf("package: {digest: %q}", digest),
		", timeout: 10s, burst: allow, cloud: [{pool: lambda, function: report, qualifier: live, memory: 128Mi, timeout: 10s}]")
	c.apply(fmt.Sprintf(`{apiVersion: spillway.dev/v1alpha1, kind: Pool, metadata: {name: lambda}, spec: {kind: lambda, region: us-east-1, lambda: {endpoint: %q, credentials: {environment: true}}}}
---
{apiVersion: spillway.dev/v1alpha1, kind: Quota, metadata: {name: company}, spec: {namespaces: [shop], budgets: [{window: day, amount: "10"}]}}
---
{apiVersion: spillway.dev/v1alpha1, kind: BurstPolicy, metadata: {name: default}, spec: {mode: CloudOnly, order: [lambda]}}`, endpoint))
	d := c.serve("a")
	d.until("ready")
	_, err = d.run("package", "push", file)
	must(t, err)
	var uids []string
	for range 2 {
		namespace, err := c.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, metav1.CreateOptions{})
		must(t, err)
		uids = append(uids, string(namespace.UID))
		c.apply(function)
		d.says("shop/report", "", "list")
		d.called(token)
		c.removed(namespace)
	}
	d.says("", "shop/report", "list")
	must(t, d.end(syscall.SIGTERM))
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.dir, "a", "ledger.db")+"?mode=ro")
	must(t, err)
	defer db.Close()
	for _, uid := range uids {
		var lines int
		must(t, db.QueryRow("SELECT count(*) FROM line WHERE kind = 'charge' AND namespace = 'shop' AND namespace_uid = ?", uid).Scan(&lines))
		if lines != 1 {
			t.Errorf("%d lines have the UID %s", lines, uid)
		}
	}
}

// caller is a token that may invoke everything.
func (c *control) caller() string {
	c.t.Helper()
	account, err := c.client.CoreV1().ServiceAccounts("default").Create(c.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "caller"}}, metav1.CreateOptions{})
	must(c.t, err)
	named := metav1.ObjectMeta{Name: "callers"}
	_, err = c.client.RbacV1().ClusterRoles().Create(c.t.Context(), &rbac.ClusterRole{ObjectMeta: named,
		Rules: []rbac.PolicyRule{{APIGroups: []string{"spillway.dev"}, Resources: []string{"functions"}, Verbs: []string{"invoke"}}}}, metav1.CreateOptions{})
	must(c.t, err)
	_, err = c.client.RbacV1().ClusterRoleBindings().Create(c.t.Context(), &rbac.ClusterRoleBinding{ObjectMeta: named,
		RoleRef:  rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "callers"},
		Subjects: []rbac.Subject{{Kind: "ServiceAccount", Namespace: "default", Name: account.Name}}}, metav1.CreateOptions{})
	must(c.t, err)
	r, err := c.client.CoreV1().ServiceAccounts("default").CreateToken(c.t.Context(), account.Name, &authentication.TokenRequest{
		Spec: authentication.TokenRequestSpec{Audiences: []string{"spillway.dev"}}}, metav1.CreateOptions{})
	must(c.t, err)
	return r.Status.Token
}

// called has one call answered.
func (d *dispatcher) called(token string) {
	d.t.Helper()
	(&world{t: d.t}).until(waiting, "a call is answered", func() error {
		r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, "http://"+d.front+"/namespaces/shop/functions/report/invoke", strings.NewReader("{}"))
		must(d.t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK {
			err = errors.Join(err, fmt.Errorf("%s: %s", resp.Status, text))
		}
		return err
	})
}

// removed takes a namespace with its function away, as the controllers of a cluster do.
func (c *control) removed(namespace *corev1.Namespace) {
	c.t.Helper()
	c.kubectl("", "delete", "functions", "--all", "-n", namespace.Name)
	must(c.t, c.client.CoreV1().Namespaces().Delete(c.t.Context(), namespace.Name, metav1.DeleteOptions{}))
	namespace.Spec.Finalizers, namespace.ResourceVersion = nil, ""
	_, err := c.client.CoreV1().Namespaces().Finalize(c.t.Context(), namespace, metav1.UpdateOptions{})
	must(c.t, err)
}
