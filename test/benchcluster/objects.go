package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/api/v1alpha1"
	"github.com/spillway-dev/spillway/api/v1alpha1/kube"
	"github.com/spillway-dev/spillway/config"
	"github.com/spillway-dev/spillway/config/cluster"
	"github.com/spillway-dev/spillway/internal/kubetest"
)

const (
	manyNamespaces = 1_000
	manyFunctions  = 10_000
	departments    = 10
	writers        = 16
	edits          = 9
)

// objectsSection has a server and an operator start in a cluster with very many objects.
func objectsSection(ctx context.Context, b *bench) error {
	if err := b.makeMany(ctx); err != nil {
		return err
	}
	b.headObjects()
	return errors.Join(b.serveMany(ctx), b.operateMany(ctx), b.lookUp(ctx))
}

// operatorSection is the part of it that is the operator's.
func operatorSection(ctx context.Context, b *bench) error {
	if err := b.makeMany(ctx); err != nil {
		return err
	}
	b.headObjects()
	return errors.Join(b.operateMany(ctx), b.lookUp(ctx))
}

func (b *bench) headObjects() {
	b.heading(fmt.Sprintf("%d functions in %d namespaces", manyFunctions, manyNamespaces),
		"", "start to ready ms", "RSS then MiB", "RSS after 10 s MiB", "heap in use then MiB", fmt.Sprintf("after %d edits MiB", edits), "most MiB")
}

// serveMany starts a server, and edits functions under it.
func (b *bench) serveMany(ctx context.Context) (err error) {
	s, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	text, err := b.read(ctx, "http://"+admin+"/v1/functions")
	if n := strings.Count(text, `"function"`); err == nil && n != manyFunctions {
		err = fmt.Errorf("the server has %d functions", n)
	}
	if err != nil {
		return err
	}
	var took []time.Duration
	after := func() (err error) {
		took, err = b.edit(ctx)
		return err
	}
	if err := b.memoryRow(ctx, "spillway serve", s, health, after); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\nAn edit serves after p50 %s ms, at the most %s ms (%d edits; several at a time are one).\n\n", millis(quantile(took, 50)), millis(quantile(took, 100)), len(took))
	return nil
}

// memoryRow prints how much memory a process takes.
func (b *bench) memoryRow(ctx context.Context, name string, s *process, metrics string, work func() error) error {
	then, _, err := s.memory()
	if err == nil {
		err = pause(ctx, 10*time.Second)
	}
	if err != nil {
		return err
	}
	later, _, err := s.memory()
	if err != nil {
		return err
	}
	heap, err := b.metric(ctx, metrics, "go_memstats_heap_inuse_bytes ")
	if err == nil {
		err = work()
	}
	if err != nil {
		return err
	}
	last, most, err := s.memory()
	if err != nil {
		return err
	}
	mib := func(n float64) string { return fmt.Sprintf("%.0f", n) }
	b.row(name, millis(s.took), mib(then), mib(later), mib(heap/(1<<20)), mib(last), mib(most))
	return nil
}

// metric sums the series of a metric that begin so.
func (b *bench) metric(ctx context.Context, at, begins string) (sum float64, err error) {
	text, err := b.read(ctx, "http://"+at+"/metrics")
	if err != nil {
		return 0, err
	}
	found := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begins) {
			f := strings.Fields(line)
			n, err := strconv.ParseFloat(f[len(f)-1], 64)
			if err != nil {
				return 0, err
			}
			sum, found = sum+n, true
		}
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %q", begins)
	}
	return sum, nil
}

// edit changes functions one after another and returns how long each change took to serve.
func (b *bench) edit(ctx context.Context) (all []time.Duration, err error) {
	for i := range edits {
		before, err := b.metric(ctx, health, "spillway_config_generation ")
		if err != nil {
			return nil, err
		}
		f := &kube.Function{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("team-%d", i), Name: "f0"}}
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"timeout":"%ds"}}`, 1+i)) // it was 10
		at := time.Now()
		if err := b.objects.Patch(ctx, f, patch); err != nil {
			return nil, err
		}
		if err := until(ctx, time.Minute, "the edit serves", func() error {
			if now, err := b.metric(ctx, health, "spillway_config_generation "); err != nil || now == before {
				return errors.Join(err, errors.New("not yet"))
			}
			return nil
		}); err != nil {
			return nil, err
		}
		all = append(all, time.Since(at))
	}
	return all, nil
}

// operateMany starts an operator twice: once everything has to be judged, and then
// nothing is left to be written.
func (b *bench) operateMany(ctx context.Context) error {
	const at = kubetest.NodeAddress + ":9091"
	for _, name := range []string{"spillway operator, ready when all is written into 10,000 statuses", "spillway operator, started again"} {
		s, err := b.start(ctx, "http://"+at+"/metrics", "operator", "--kubeconfig", b.Kubeconfig, "--namespace", "spillway-system", "--health", "", "--metrics", at)
		if err != nil {
			return err
		}
		began := time.Now().Add(-s.took)
		err = until(ctx, 10*time.Minute, "the operator has done a round", func() error {
			n, err := b.metric(ctx, at, `controller_runtime_reconcile_total{controller="spillway-operator",result="requeue_after"}`)
			if err == nil && n == 0 {
				return errors.New("not yet")
			}
			return errors.Join(err, b.judged(ctx))
		})
		s.took = time.Since(began)
		if err == nil {
			err = b.memoryRow(ctx, name, s, at, func() error { return nil })
		}
		if err := errors.Join(err, s.stop()); err != nil {
			return fmt.Errorf("%w\nit said: %s", err, s.output)
		}
	}
	return nil
}

// judged is nil when all functions have been judged, and will be cleaned up behind.
func (b *bench) judged(ctx context.Context) error {
	var list kube.FunctionList
	if err := b.objects.List(ctx, &list); err != nil {
		return err
	}
	for i := range list.Items {
		if f := &list.Items[i]; f.Status.ObservedGeneration == 0 || len(f.Finalizers) == 0 {
			return fmt.Errorf("function %s/%s is not judged yet", f.Namespace, f.Name)
		}
	}
	return nil
}

// lookUp times what a call does to find its function, in this process.
func (b *bench) lookUp(ctx context.Context) error {
	following, end := context.WithCancel(ctx)
	defer end()
	at := time.Now()
	source, err := cluster.Open(following, b.config, "spillway-system")
	if err != nil {
		return err
	}
	seen := time.Since(at)
	objects, err := source.Objects(ctx)
	if err != nil {
		return err
	}
	var c config.Cluster
	at = time.Now()
	loaded, faults, err := c.Load("", objects, time.Now(), config.Checks{InCluster: true, WithoutCode: true})
	if err != nil || len(faults) > 0 {
		return errors.Join(err, errors.New("faults: "+fmt.Sprint(faults)))
	}
	compiled := time.Since(at)
	keys := make([]spillway.FunctionKey, len(loaded.Platform.Functions))
	for i, f := range loaded.Platform.Functions {
		keys[i] = f.FunctionKey
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	const rounds = 200
	at = time.Now()
	for range rounds {
		for _, k := range keys {
			if loaded.Platform.Function(k) == nil {
				return fmt.Errorf("function %s is not found", k)
			}
		}
	}
	each := time.Since(at) / time.Duration(rounds*len(keys))
	fmt.Fprintf(b.out, "\nAll objects seen after %s ms, loaded and compiled in %s ms; a function is found by its name in %d ns.\n", millis(seen), millis(compiled), each)
	return nil
}

// makeMany makes namespaces, a quota tree and functions of images.
func (b *bench) makeMany(ctx context.Context) error {
	if _, err := b.Kubectl(ctx, "delete", "functions,pools,quotas,burstpolicies", "--all", "-A", "--wait=true"); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	err := errors.Join(kube.AddToScheme(scheme), corev1.AddToScheme(scheme))
	if err == nil {
		b.objects, err = client.New(b.config, client.Options{Scheme: scheme})
	}
	if err != nil {
		return err
	}
	var tree strings.Builder
	tree.WriteString(`
{apiVersion: spillway.dev/v1alpha1, kind: Quota, metadata: {name: company}, spec: {nominal: {cloud: {slots: 5000}}, budgets: [{window: month, amount: "10000"}]}}
---
{apiVersion: spillway.dev/v1alpha1, kind: Pool, metadata: {name: lambda}, spec: {kind: lambda, region: us-east-1, lambda: {endpoint: "http://127.0.0.1:9", credentials: {environment: true}}}}
---
{apiVersion: spillway.dev/v1alpha1, kind: BurstPolicy, metadata: {name: default}, spec: {order: [onprem, lambda]}}
---
`)
	fmt.Fprintf(&tree, "{apiVersion: spillway.dev/v1alpha1, kind: Pool, metadata: {name: onprem}, spec: {kind: kubernetes, kubernetes: {runtimeImage: %q, sizes: [{memory: 128Mi, cpu: 100m, ready: 0}]}}}\n", b.agent)
	for d := range departments {
		var names []string
		for i := d; i < manyNamespaces; i += departments {
			names = append(names, teamOf(i))
		}
		fmt.Fprintf(&tree, "---\n{apiVersion: spillway.dev/v1alpha1, kind: Quota, metadata: {name: dept-%d}, spec: {parent: company, department: d%d, namespaces: [%s], nominal: {onPrem: {slots: 100}, cloud: {slots: 500}}}}\n", d, d, strings.Join(names, ", "))
	}
	at := time.Now()
	if err := b.all(ctx, manyNamespaces, func(i int) client.Object {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: teamOf(i)}}
	}); err != nil {
		return err
	}
	if err := b.Apply(ctx, tree.String()); err != nil {
		return err
	}
	if err := b.all(ctx, manyFunctions, func(i int) client.Object { return b.oneOfMany(i) }); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\n%d namespaces and %d functions made in %.0f s.\n", manyNamespaces, manyFunctions, time.Since(at).Seconds())
	return nil
}

func teamOf(i int) string { return "team-" + strconv.Itoa(i) }

func (b *bench) oneOfMany(i int) *kube.Function {
	timeout := v1alpha1.Duration(10 * time.Second)
	return &kube.Function{
		ObjectMeta: metav1.ObjectMeta{Namespace: teamOf(i % manyNamespaces), Name: "f" + strconv.Itoa(i/manyNamespaces)},
		Spec: v1alpha1.FunctionSpec{
			Revisions: []v1alpha1.Revision{{Name: "v1", Image: b.echo, Handler: "/bootstrap"}},
			Timeout:   &timeout, Burst: "allow", Env: map[string]string{"STAGE": "production", "NUMBER": strconv.Itoa(i)},
			Cloud: []v1alpha1.Binding{{Pool: "lambda", Function: "f" + strconv.Itoa(i), Qualifier: "live", Timeout: &timeout}},
		},
	}
}

// all makes n objects, some at once.
func (b *bench) all(ctx context.Context, n int, object func(i int) client.Object) error {
	var next atomic.Int64
	failed := make([]error, writers)
	var making sync.WaitGroup
	for w := range writers {
		making.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed[w] == nil; i = int(next.Add(1)) - 1 {
				failed[w] = client.IgnoreAlreadyExists(b.objects.Create(ctx, object(i)))
			}
		})
	}
	making.Wait()
	return errors.Join(failed...)
}
