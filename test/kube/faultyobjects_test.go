package kube

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

// kubectl runs it with what is to be on its standard input.
func (c *control) kubectl(in string, args ...string) string {
	c.t.Helper()
	cmd := exec.CommandContext(c.t.Context(), filepath.Join(kubetest.Assets(c.t), "kubectl"), append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *control) apply(manifests string) {
	c.t.Helper()
	c.kubectl(manifests, "apply", "--server-side", "-f", "-")
}

// says tries until the command prints what is wanted, and nothing that is not.
func (d *dispatcher) says(wanted, not string, args ...string) {
	d.t.Helper()
	w := &world{t: d.t}
	w.until(waiting, fmt.Sprintf("%v says %q and not %q", args, wanted, not), func() error {
		out, err := d.run(args...)
		if err == nil && (!strings.Contains(out, wanted) || not != "" && strings.Contains(out, not)) {
			err = errors.New(out)
		}
		return err
	})
}

// served waits for a condition of a function, "STATUS REASON".
func (c *control) served(function, want string) {
	c.t.Helper()
	w := &world{t: c.t}
	w.until(waiting, function+" is "+want, func() error {
		if is := c.kubectl("", "get", "function", function, "-n", "shop", "-o", `jsonpath={.status.conditions[?(@.type=="Served")].status} {.status.conditions[?(@.type=="Served")].reason}`); is != want {
			return errors.New(is)
		}
		return nil
	})
}

const faulty = `{apiVersion: spillway.dev/v1alpha1, kind: Quota, metadata: {name: second}, spec: {namespaces: [shop]}}`

func functionOf(name, code, more string) string {
	return fmt.Sprintf("{apiVersion: spillway.dev/v1alpha1, kind: Function, metadata: {name: %s, namespace: shop}, spec: {revisions: [{name: v1, %s}]%s}}", name, code, more)
}

// TestFaultyObjects starts servers while objects have faults: what was good last serves,
// and each object says what became of it.
func TestFaultyObjects(t *testing.T) {
	c := newControl(t)
	image := fmt.Sprintf("image: registry.example/pay@sha256:%s, handler: /pay", strings.Repeat("ab", 32))
	c.apply(`{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: spillway-pool}}
---
{apiVersion: spillway.dev/v1alpha1, kind: Pool, metadata: {name: onprem}, spec: {kind: kubernetes, kubernetes: {runtimeImage: "registry.example/runtime@sha256:` + strings.Repeat("cd", 32) + `", sizes: [{memory: 128Mi, cpu: 100m, ready: 1}]}}}
---
{apiVersion: spillway.dev/v1alpha1, kind: Quota, metadata: {name: first}, spec: {namespaces: [shop]}}
---
` + functionOf("pay", image, "") + "\n---\n" + functionOf("odd", image, ""))
	a := c.serve("a")
	a.until("ready")
	a.says("shop/pay", "", "list")
	c.served("pay", "True Serving")

	t.Run("function", func(t *testing.T) {
		c.apply(functionOf("odd", image, ", burstPolicy: nowhere"))
		c.served("odd", "False LastGoodServes")
		a.says("nowhere", "REFUSED", "status")
		c.apply(functionOf("odd", image, ""))
		c.served("odd", "True Serving")
		a.says("onprem", "nowhere", "status")
		c.apply(functionOf("odd", image, ", burstPolicy: nowhere"))
		c.served("odd", "False LastGoodServes")
	})
	t.Run("package", func(t *testing.T) { packages(t, c, a) })
	t.Run("restart", func(t *testing.T) {
		named, unnamed := c.old(a)
		must(t, a.end(syscall.SIGTERM))
		c.apply(faulty)
		c.apply(functionOf("late", image, ""))
		a = c.serve("a")
		a.until("ready")
		a.says("shop/pay", "shop/late", "list")
		a.says("shop/odd", "", "list") // as it was before it had a fault
		a.says("REFUSED", "", "status")
		c.served("pay", "True Serving")
		c.served("late", "False Refused")
		(&world{t: t}).until(waiting, "the package that no function names is gone", func() error {
			if _, err := os.Stat(unnamed); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("it is there: %w", err)
			}
			return nil
		})
		if _, err := os.Stat(named); err != nil {
			t.Errorf("the package of a function with a fault: %v", err)
		}
		c.kubectl("", "delete", "quota.spillway.dev", "second")
		a.says("shop/late", "", "list")
		a.says("nowhere", "REFUSED", "status")
		c.served("late", "True Serving")
	})
	t.Run("deployed", func(t *testing.T) { a = deployedWithFaults(t, c, a) })
	t.Run("nothing was good before", func(t *testing.T) {
		must(t, a.end(syscall.SIGTERM))
		c.apply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: placement, namespace: spillway-system, labels: {spillway.dev/policy: "true"}}, data: {placement.rego: "package nonsense {"}}`)
		c.serve("b").refuses("placement.rego", "no policy was good before")
		c.serve("b").refuses("placement.rego", "no policy was good before")
		c.kubectl("", "delete", "configmap", "placement", "-n", "spillway-system")
		c.apply(faulty)
		c.serve("b").refuses("Quota second", "no objects were good before")
	})
}

// refuses waits until it has ended as for wrong input.
func (d *dispatcher) refuses(words ...string) {
	d.t.Helper()
	var exit *exec.ExitError
	if err := <-d.ended; !errors.As(err, &exit) || exit.ExitCode() != 2 {
		d.t.Errorf("it ended with %v: %s", err, d.said)
	}
	for _, w := range words {
		if !strings.Contains(d.said.String(), w) {
			d.t.Errorf("it does not say %q: %s", w, d.said)
		}
	}
}

// deployedWithFaults has a function that was deployed over the admin port, and names an
// object that is deleted: what was good last serves, after each restart.
func deployedWithFaults(t *testing.T, c *control, a *dispatcher) *dispatcher {
	c.apply(`{apiVersion: spillway.dev/v1alpha1, kind: BurstPolicy, metadata: {name: night}, spec: {}}`)
	file, _ := c.zipped("hand", "#!/bin/false\n")
	spec := filepath.Join(c.dir, "hand.yaml")
	must(t, os.WriteFile(spec, []byte("burstPolicy: night\n"), 0o600))
	(&world{t: t}).until(waiting, "it is deployed", func() error {
		_, err := a.run("deploy", "shop/hand", file, "--spec", spec)
		return err
	})
	c.kubectl("", "delete", "burstpolicy.spillway.dev", "night")
	a.says("night", "", "status")
	for range 2 {
		must(t, a.end(syscall.SIGTERM))
		a = c.serve("a")
		a.until("ready")
		a.says("shop/hand", "", "list")
		a.says("night", "", "status")
	}
	if _, err := a.run("deploy", "shop/pay", "--canary", "10"); err == nil || !strings.Contains(err.Error(), "shop/pay is an object of the cluster") {
		t.Errorf("an object was deployed over: %v", err)
	}
	_, err := a.run("delete", "shop/hand")
	must(t, err)
	a.says("shop/pay", "shop/hand", "list")
	return a
}

// zipped makes a package and returns its file and digest.
func (c *control) zipped(name, program string) (file, digest string) {
	c.t.Helper()
	var text bytes.Buffer
	z := zip.NewWriter(&text)
	header := zip.FileHeader{Name: "bootstrap"}
	header.SetMode(0o755)
	f, err := z.CreateHeader(&header)
	must(c.t, err)
	_, err = f.Write([]byte(program))
	must(c.t, errors.Join(err, z.Close()))
	file = filepath.Join(c.dir, name+".zip")
	must(c.t, os.WriteFile(file, text.Bytes(), 0o600))
	return file, fmt.Sprintf("sha256:%x", sha256.Sum256(text.Bytes()))
}

// packages has a function that is applied before its package is pushed.
func packages(t *testing.T, c *control, a *dispatcher) {
	file, digest := c.zipped("early", "#!/bin/false\n")
	c.apply(functionOf("early", fmt.Sprintf("package: {digest: %q}", digest), ""))
	c.served("early", "False PackageMissing")
	(&world{t: t}).until(waiting, "an event tells of the package", func() error {
		said := c.kubectl("", "get", "events", "-n", "shop", "--field-selector", "involvedObject.name=early,reason=PackageMissing", "-o", "jsonpath={.items[*].message}")
		if !strings.Contains(said, "Served is False. ") {
			return errors.New(said)
		}
		return nil
	})
	a.says("no such package", "", "status")
	_, err := a.run("package", "push", file)
	must(t, err)
	c.served("early", "True Serving")
	a.says("shop/early", "", "list")
}

// old pushes packages that nobody has used for hours: one that a function names which was
// never good, and one that none names.
func (c *control) old(a *dispatcher) (named, unnamed string) {
	c.t.Helper()
	for i, program := range []string{"#!/bin/true\n", "#!/bin/echo\n"} {
		file, digest := c.zipped(fmt.Sprint("old", i), program)
		_, err := a.run("package", "push", file)
		must(c.t, err)
		at := filepath.Join(c.dir, "a", "deployed", "packages", strings.TrimPrefix(digest, "sha256:")+".zip")
		before := time.Now().Add(-2 * time.Hour)
		must(c.t, os.Chtimes(at, before, before))
		if unnamed = at; i == 0 {
			named = at
			c.apply(functionOf("never", fmt.Sprintf("package: {digest: %q}", digest), ", burstPolicy: nowhere"))
		}
	}
	c.served("never", "False InvalidSpec")
	return named, unnamed
}
