package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
)

// inCluster is an object made from the text of a file, as a cluster would hand it over.
type inCluster struct{ text string }

func (o inCluster) Written() any {
	var faults Faults
	l := &loading{paths: map[string]string{}}
	docs, fault := parse("a.yaml", []byte(o.text))
	if fault != nil {
		panic(fault)
	}
	l.document(docs[0], "a.yaml")
	if faults = l.faults; len(faults) > 0 {
		panic(faults)
	}
	for _, all := range [][]any{effective(l.all.functions), effective(l.all.pools), effective(l.all.quotas), effective(l.all.policies), effective(l.all.books)} {
		if len(all) > 0 {
			return all[0]
		}
	}
	panic("no object in " + o.text)
}

func clustered(texts ...string) []Object {
	var all []Object
	for _, text := range texts {
		all = append(all, inCluster{"apiVersion: spillway.dev/v1alpha1\n" + text})
	}
	return all
}

var someDigest = "sha256:" + strings.Repeat("ab", 32)

const podPool = "kind: Pool\nmetadata: {name: pods}\nspec: {kind: kubernetes, kubernetes: {runtimeImage: 'localhost/runtime:dev', allowTags: true, sizes: [{memory: 1Gi, cpu: 1}, {memory: 256Mi, cpu: 250m, ready: 3}]}}\n"

func podFunction(name, revision, rest string) string {
	return "kind: Function\nmetadata: {name: " + name + ", namespace: shop}\nspec: {revisions: [{name: v1, " + revision + "}], " + rest + "}\n"
}

func packageRevision() string { return "package: {digest: '" + someDigest + "'}" }

func TestClusterObjects(t *testing.T) {
	objects := clustered(podPool, podFunction("pay", packageRevision(), "kubernetes: {serviceAccountName: payer}"),
		podFunction("cart", "image: 'registry.example/cart@"+someDigest+"', handler: /app/cart", "minWarm: 1"))
	var c Cluster
	checks := testChecks
	checks.Package = func(digest string) (string, bool) { return "/packages/" + digest, digest == someDigest }
	checks.NamespaceUIDs = map[string]string{"shop": "uid-of-shop"}
	l, faults, err := c.Load("", objects, testDay, checks)
	if err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
	p := l.Platform
	pool, pay, cart := p.Pools[0], p.Function(spillway.FunctionKey{Namespace: "shop", Name: "pay"}), p.Function(spillway.FunctionKey{Namespace: "shop", Name: "cart"})
	if pool.Kind != spillway.PoolKubernetes || pool.Kind.Cloud() || pool.Class() != spillway.ClassOnPrem || pool.Capacity.Slots != spillway.Unlimited {
		t.Errorf("pool %+v", pool)
	}
	k := pool.Kubernetes
	small, large := spillway.PodSize{Resources: spillway.Resources{Slots: 1, MilliCPU: 250, MiB: 256}, Ready: 3}, spillway.PodSize{Resources: spillway.Resources{Slots: 1, MilliCPU: 1000, MiB: 1024}}
	if k.RuntimeImage != "localhost/runtime:dev" || k.Namespace != "spillway-pool" || !k.AllowTags || !slices.Equal(k.Sizes, []spillway.PodSize{small, large}) {
		t.Errorf("pods %+v", k)
	}
	if pay.ServiceAccount != "payer" || pay.Image != "" || pay.Package != (spillway.Package{Path: "/packages/" + someDigest, Digest: someDigest}) || pay.Handler != "bootstrap" {
		t.Errorf("pay %+v", pay)
	}
	if cart.Image != "registry.example/cart@"+someDigest || cart.Handler != "/app/cart" || cart.Package != (spillway.Package{}) || !cart.Permitted.Has(0) {
		t.Errorf("cart %+v", cart)
	}
	if uid := p.Namespaces[0].UID; uid != "uid-of-shop" {
		t.Errorf("namespace %s", uid)
	}
}

// TestOnlyPodsRunImages: process pools run neither images nor service accounts.
func TestOnlyPodsRunImages(t *testing.T) {
	process := "kind: Pool\nmetadata: {name: machine}\nspec: {kind: process}\n"
	strict := strings.NewReplacer("localhost/runtime:dev", "r@"+someDigest, ", allowTags: true", "", "pods}", "strict}").Replace(podPool)
	l, faults, err := new(Cluster).Load("", clustered(process, podPool, strict, podFunction("a", "image: 'localhost/a:dev', handler: /a", ""),
		podFunction("b", packageRevision(), "kubernetes: {serviceAccountName: b}"), podFunction("c", packageRevision(), "")), testDay, testChecks)
	if err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
	want := map[string]string{"a": "machine:needs_pods pods: strict:image_tag", "b": "machine:needs_pods pods: strict:", "c": "machine: pods: strict:"}
	for _, f := range l.Platform.Functions {
		var got []string
		for i, pool := range l.Platform.Pools {
			got = append(got, pool.Name+":"+f.Excluded[i].String())
		}
		if s := strings.Join(got, " "); s != want[f.Name] {
			t.Errorf("%s: %s, want %s", f.Name, s, want[f.Name])
		}
	}
	for _, pools := range [][]string{{process}, {process, strict}} {
		l, faults, _ := new(Cluster).Load("", clustered(append(pools, podFunction("a", "image: 'localhost/a:dev', handler: /a", ""))...), testDay, testChecks)
		if l == nil || len(faults) != 1 || faults[0].File != "Function shop/a" || faults[0].Field != "spec.revisions[0].image" {
			t.Errorf("%d pools: %v", len(pools), faults)
		}
	}
}

// TestClusterKeepsTheLastGood edits a function to nonsense, and mends it.
func TestClusterKeepsTheLastGood(t *testing.T) {
	good, never := podFunction("pay", packageRevision(), "timeout: 5s"), podFunction("cart", packageRevision(), "burstPolicy: none")
	bad := podFunction("pay", packageRevision(), "timeout: 5h")
	var c Cluster
	load := func(texts ...string) (*Loaded, Faults) {
		t.Helper()
		l, faults, err := c.Load("", clustered(append(texts, podPool)...), testDay, testChecks)
		if err != nil {
			t.Fatal(err)
		}
		return l, faults
	}
	timeout := func(l *Loaded) string {
		return l.Platform.Function(spillway.FunctionKey{Namespace: "shop", Name: "pay"}).Timeout.String()
	}
	const cart = `Function shop/cart: spec.burstPolicy: there is no BurstPolicy "none"; allowed: default`
	if l, faults := load(good, never); faults.Error() != cart || timeout(l) != "5s" || len(l.Platform.Functions) != 1 {
		t.Fatalf("%v", faults)
	}
	l, faults := load(bad, never)
	if want := cart + "\nFunction shop/pay: spec.timeout: 5h is out of range; allowed: 1ms to 15m"; faults.Error() != want || timeout(l) != "5s" {
		t.Fatalf("%v", faults)
	}
	if l, _ := load(bad); timeout(l) != "5s" {
		t.Error("the second time, the last good one is forgotten")
	}
	if l, faults := load(podFunction("pay", packageRevision(), "timeout: 6s")); timeout(l) != "6s" || len(faults) > 0 {
		t.Error("not mended", faults)
	}
	if l, faults := load(good, "kind: Quota\nmetadata: {name: q}\nspec: {parent: none}\n"); l != nil || len(faults) != 1 || faults[0].File != "Quota q" {
		t.Errorf("a faulty quota: %v", faults)
	}
	if l, _ := load(); len(l.Platform.Functions) != 0 {
		t.Error("a function that was deleted is there")
	}
}

func TestClusterFaults(t *testing.T) {
	pool := func(spec string) string { return "kind: Pool\nmetadata: {name: p}\nspec: {" + spec + "}\n" }
	for _, c := range []struct{ text, want string }{
		{podFunction("f", "package: {path: ../fn}", ""), "Function shop/f: spec.revisions[0].package.path: means nothing in a cluster; allowed: digest alone, of a package that was uploaded"},
		{podFunction("f", "package: {digest: 'sha256:1'}", ""), `Function shop/f: spec.revisions[0].package.digest: "sha256:1" is not a digest; allowed: sha256: and 64 hex digits`},
		{podFunction("f", "handler: x", ""), "Function shop/f: spec.revisions[0].package.digest: is required; allowed: sha256: and 64 hex digits"},
		{podFunction("f", "package: {digest: '"+strings.ReplaceAll(someDigest, "ab", "cd")+"'}", ""), "Function shop/f: spec.revisions[0].package.digest: there is no such package here; allowed: one that was uploaded, which 'spillway package push' does"},
		{podFunction("f", packageRevision()+", image: 'a@"+someDigest+"', handler: /a", ""), "Function shop/f: spec.revisions[0].image: stands beside package; allowed: one of package and image"},
		{podFunction("f", "image: 'docker.io/library/nginx:latest', handler: /a", ""), `Function shop/f: spec.revisions[0].image: "docker.io/library/nginx:latest" is not an image that cannot change; allowed: NAME@sha256: and 64 hex digits, or localhost/NAME:TAG of the nodes' own store`},
		{podFunction("f", "image: 'a@"+someDigest+"', handler: a", ""), `Function shop/f: spec.revisions[0].handler: "a" is not an absolute path; allowed: the program in the image, such as /app/serve`},
		{podFunction("f", packageRevision(), "kubernetes: {serviceAccountName: A_b}"), `Function shop/f: spec.kubernetes.serviceAccountName: "A_b" is not a name; allowed: 1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit`},
		{pool("kind: kubernetes"), "Pool p: spec.kubernetes.runtimeImage: is required; allowed: NAME@sha256: and 64 hex digits, or localhost/NAME:TAG of the nodes' own store"},
		{pool("kind: kubernetes, kubernetes: {runtimeImage: 'localhost/a:dev'}"), "Pool p: spec.kubernetes.runtimeImage: is named by tag; allowed: NAME@sha256: and 64 hex digits, or allowTags: true beside it"},
		{pool("kind: process, kubernetes: {runtimeImage: 'localhost/a:dev'}"), "Pool p: spec.kubernetes: means nothing for this kind of pool; allowed: only with spec.kind: kubernetes or offline"},
		{pool("kind: lambda, region: us-east-1, lambda: {credentials: {file: key}}"), "Pool p: spec.lambda.credentials.file: is not an absolute path, and objects of a cluster are in no directory; allowed: where the Secret is mounted, such as /etc/spillway/secrets/NAME"},
		{pool("kind: kubernetes, kubernetes: {runtimeImage: 'localhost/a:dev', allowTags: true, sizes: [{memory: 1Gi, cpu: 1}, {cpu: 1000m, memory: 1024Mi}]}"), "Pool p: spec.kubernetes.sizes[1]: is as large as spec.kubernetes.sizes[0]; allowed: each size once"},
		{pool("kind: kubernetes, kubernetes: {runtimeImage: 'localhost/a:dev', allowTags: true, sizes: [{cpu: 1}]}"), "Pool p: spec.kubernetes.sizes[0].memory: is required; allowed: 1Mi to 1Ti"},
		{pool("kind: kubernetes, kubernetes: {runtimeImage: 'localhost/a:dev', allowTags: true, nodeSelector: {a b: c}}"), `Pool p: spec.kubernetes.nodeSelector.a b: "a b: c" is not a label of a node; allowed: a key and value as Kubernetes has them`},
	} {
		checks := testChecks
		checks.Package = func(digest string) (string, bool) { return "", digest == someDigest }
		objects := clustered(c.text)
		if !strings.HasPrefix(c.text, "kind: Pool") {
			objects = append(objects, clustered(podPool)...)
		}
		if _, faults, err := new(Cluster).Load("", objects, testDay, checks); err != nil || faults.Error() != c.want || faults[0].PackageMissing() != strings.Contains(c.want, "no such package") {
			t.Errorf("%v %v\nwant %s", faults, err, c.want)
		}
	}
	if _, _, err := new(Cluster).Load("testdata/malformed", clustered(podPool), testDay, Checks{Deployed: []string{"none"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// created is an object of a cluster whose age is known.
type created struct {
	inCluster
	at time.Time
}

func (c created) Made() time.Time { return c.at }

// TestTheYoungerHasTheFault: of two quotas that claim one namespace.
func TestTheYoungerHasTheFault(t *testing.T) {
	quota := func(name string, at time.Time) Object {
		return created{inCluster{"apiVersion: spillway.dev/v1alpha1\nkind: Quota\nmetadata: {name: " + name + "}\nspec: {namespaces: [shop]}\n"}, at}
	}
	for _, c := range []struct {
		older, younger string
		apart          time.Duration
	}{{"b", "a", time.Hour}, {"a", "b", time.Hour}, {"a", "b", 0}} {
		_, faults, err := new(Cluster).Load("", append(clustered(podPool), quota(c.younger, testDay.Add(c.apart)), quota(c.older, testDay)), testDay, testChecks)
		want := fmt.Sprintf("Quota %s: spec.namespaces[0]: namespace \"shop\" already belongs to Quota %q; allowed: each namespace in one Quota", c.younger, c.older)
		if err != nil || faults.Error() != want {
			t.Errorf("%v %v\nwant %s", faults, err, want)
		}
	}
}

// TestClusterLeavesObjectsAlone: informers share them.
func TestClusterLeavesObjectsAlone(t *testing.T) {
	o := &shared{Function: inCluster{"apiVersion: spillway.dev/v1alpha1\n" + podFunction("f", packageRevision(), "")}.Written().(*v1alpha1.Function)}
	var c Cluster
	for range 2 {
		if _, faults, err := c.Load("", append(clustered(podPool), o), testDay, testChecks); err != nil || len(faults) > 0 || o.Function.Spec.Timeout != nil {
			t.Fatal(faults, err, o.Function.Spec.Timeout)
		}
	}
}

type shared struct{ Function *v1alpha1.Function }

func (s *shared) Written() any { return s.Function.DeepCopy() }

// BenchmarkCluster loads 10,000 functions of 1,000 namespaces again, one of which has
// changed to nonsense.
func BenchmarkCluster(b *testing.B) {
	objects := clustered(podPool)
	for i := range 10_000 {
		f := &v1alpha1.Function{Header: v1alpha1.Header{APIVersion: v1alpha1.APIVersion, Kind: v1alpha1.KindFunction,
			Metadata: v1alpha1.Metadata{Name: fmt.Sprintf("f%d", i/1000), Namespace: fmt.Sprintf("ns%d", i%1000)}},
			Spec: v1alpha1.FunctionSpec{Revisions: []v1alpha1.Revision{{Name: "v1", Package: v1alpha1.Package{Digest: someDigest}}}}}
		objects = append(objects, &shared{f})
	}
	var c Cluster
	if _, faults, err := c.Load("", objects, testDay, testChecks); err != nil || len(faults) > 0 {
		b.Fatal(faults, err)
	}
	changed := objects[77].(*shared).Function.DeepCopy()
	changed.Spec.Burst = "maybe"
	objects[77] = &shared{changed}
	b.ReportAllocs()
	for b.Loop() {
		if l, faults, err := c.Load("", objects, testDay, testChecks); err != nil || len(faults) != 1 || len(l.Platform.Functions) != 10_000 {
			b.Fatal(faults, err)
		}
	}
}

// TestInCluster: nothing is made up there, and the cluster knows the callers.
func TestInCluster(t *testing.T) {
	l, err := Load("", time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Checks{InCluster: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Platform.Pools) != 0 || l.Server.Anonymous || len(l.Warnings) != 0 {
		t.Errorf("%d pools, anonymous %t, warnings %q", len(l.Platform.Pools), l.Server.Anonymous, l.Warnings)
	}
	dir := t.TempDir()
	pool := "apiVersion: spillway.dev/v1alpha1\nkind: Pool\nmetadata: {name: here}\nspec: {kind: process, region: hq, capacity: {slots: 1}}\n"
	if err := os.WriteFile(filepath.Join(dir, "pool.yaml"), []byte(pool), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Checks{InCluster: true}); err == nil || !strings.Contains(err.Error(), "in the server's own container") {
		t.Errorf("a pool of processes: %v", err)
	}
}

// TestExamplesOfClusters loads the objects of examples/cluster and examples/offline as a
// cluster has them, together.
func TestExamplesOfClusters(t *testing.T) {
	var objects []Object
	for _, pattern := range []string{"../examples/cluster/*.yaml", "../examples/offline/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%d files %s, %v", len(files), pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for one := range strings.SplitSeq(string(text), "\n---\n") {
				if strings.Contains(one, "apiVersion: spillway.dev/v1alpha1\n") {
					objects = append(objects, inCluster{one})
				}
			}
		}
	}
	var c Cluster
	l, faults, err := c.Load("", objects, testDay, testChecks)
	if err != nil || len(faults) > 0 {
		t.Fatal(faults, err)
	}
	crunch := l.Platform.Function(spillway.FunctionKey{Namespace: "night", Name: "crunch"})
	for _, pool := range l.Platform.Pools {
		if may := crunch.Permitted.Has(pool.Index); may != (pool.Name == "lambda") {
			t.Errorf("night/crunch may use %s: %t", pool.Name, may)
		}
	}
}
