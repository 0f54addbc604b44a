package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/kube"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// stock is how many pods wait for a package.
const stock = 4

const poolSelector = kube.LabelPool + "=onprem"

// podsAndQuota is an on-prem pool of pods for small functions, and a quota.
func (w *world) podsAndQuota(ready int, cpu, keepAlive, more string) string {
	return fmt.Sprintf(`
apiVersion: spillway.dev/v1alpha1
kind: Pool
metadata: {name: onprem}
spec: {kind: kubernetes, keepAlive: %s, kubernetes: {runtimeImage: %q, sizes: [{memory: 64Mi, cpu: %s, ready: %d}]}%s}
---
apiVersion: spillway.dev/v1alpha1
kind: Quota
metadata: {name: company}
spec: {department: retail, namespaces: [shop], nominal: {cloud: {slots: 1000}}, budgets: [{window: day, amount: "100"}]}
`, keepAlive, w.agent, cpu, ready, more)
}

// functionOf is one whose revision has what code says.
func functionOf(namespace, name, code, rest string) string {
	return fmt.Sprintf(`
apiVersion: spillway.dev/v1alpha1
kind: Function
metadata: {name: %s, namespace: %s}
spec: {revisions: [{name: v1, %s}], resources: {cpu: 10m, memory: 64Mi}, timeout: 30s, deadline: 5m, maxWait: 5m%s}
`, name, namespace, code, rest)
}

func packaged(digest string) string { return fmt.Sprintf("package: {digest: %q}", digest) }

// coldStartSection calls functions that have no instance, one after another, each when
// pods wait again.
func coldStartSection(ctx context.Context, b *bench) (err error) {
	steps, err := b.steps(ctx)
	if err != nil {
		return err
	}
	server, err := b.begin(ctx, platform{pools: b.podsAndQuota(stock, "100m", "10s", ""), functions: func(digest map[string]string) (all []string) {
		for i := range b.samples {
			all = append(all, functionOf("shop", "cold"+strconv.Itoa(i), packaged(digest["echo"]), ""))
		}
		for i := range b.samples / 2 {
			all = append(all, functionOf("shop", "image"+strconv.Itoa(i), fmt.Sprintf("image: %q, handler: /bootstrap", b.echo), ""))
		}
		return all
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	specialised, err := b.specialised(ctx, "cold", b.samples)
	if err != nil {
		return err
	}
	images, plain, err := b.imageStarts(ctx, b.samples/2)
	if err != nil {
		return err
	}
	b.heading("Cold start from the package pool", spreadColumns...)
	b.spread("request to answer, through the server", specialised)
	for _, s := range steps {
		b.spread(s.name, s.times)
	}
	b.heading("Cold start of an image", append(spreadColumns, "× plain pod, p50")...)
	b.spread("request to answer, through the server", images, times(quantile(images, 50), quantile(plain, 50)))
	b.spread("plain pod of one container, create to Running", plain, "")
	return nil
}

// supply counts the pods of the package pool that have been seen to run, of which each
// start uses up one.
type supply struct {
	*world
	seen map[types.UID]bool
	used int
}

func (w *world) supply() *supply { return &supply{w, map[types.UID]bool{}, 0} }

// await returns when n pods wait for a package. used is how many starts there were.
func (s *supply) await(ctx context.Context, n int) error {
	err := until(ctx, 3*time.Minute, "pods wait for a package", func() error {
		all, err := s.client.CoreV1().Pods("spillway-pool").List(ctx, metav1.ListOptions{LabelSelector: poolSelector, ResourceVersion: "0"})
		if err != nil {
			return err
		}
		for i := range all.Items {
			if all.Items[i].Status.Phase == corev1.PodRunning {
				s.seen[all.Items[i].UID] = true
			}
		}
		if waiting := len(s.seen) - s.used; waiting < n {
			return fmt.Errorf("%d of %d do", waiting, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return pause(ctx, 200*time.Millisecond) // the server sees them, and that their agents answer
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// specialised calls n functions that have no instance, each in a pod that waits.
func (b *bench) specialised(ctx context.Context, prefix string, n int) (all []time.Duration, err error) {
	s := b.supply()
	for i := range n {
		if err := s.await(ctx, stock); err != nil {
			return nil, err
		}
		took, err := b.good(ctx, prefix+strconv.Itoa(i), fmt.Sprintf(`{"n":%d}`, i), "onprem")
		if err != nil {
			return nil, err
		}
		s.used++
		all = append(all, took)
	}
	return all, nil
}

// imageStarts calls functions that are images, in turn with plain pods of that image.
func (b *bench) imageStarts(ctx context.Context, n int) (images, plain []time.Duration, err error) {
	for i := range n {
		took, err := b.plainPod(ctx)
		if err != nil {
			return nil, nil, err
		}
		plain = append(plain, took)
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return nil, nil, err
		}
		if took, err = b.good(ctx, "image"+strconv.Itoa(i), `{}`, "onprem"); err != nil {
			return nil, nil, err
		}
		images = append(images, took)
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	return images, plain, nil
}

// plainPod makes a pod and returns how long it took until it was seen to run. The pod is
// deleted.
func (b *bench) plainPod(ctx context.Context) (time.Duration, error) {
	pods := b.client.CoreV1().Pods("jobs")
	watch, err := pods.Watch(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	defer watch.Stop()
	at := time.Now()
	made, err := pods.Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "plain-"}, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(0)), AutomountServiceAccountToken: new(false),
		Containers: []corev1.Container{{Name: "c", Image: b.agent, ImagePullPolicy: corev1.PullNever, Command: []string{"/spillway-agent", "serve", "--listen", "127.0.0.1:0"},
			Env: []corev1.EnvVar{{Name: remote.AuthorityVariable, Value: b.authority}}}},
	}}, metav1.CreateOptions{})
	if err != nil {
		return 0, err
	}
	for event := range watch.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if ok && pod.UID == made.UID && pod.Status.Phase == corev1.PodRunning {
			took := time.Since(at)
			return took, pods.Delete(ctx, made.Name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))})
		}
	}
	return 0, fmt.Errorf("pod %s has not run: %w", made.Name, ctx.Err())
}

// step is a part of a cold start.
type step struct {
	name  string
	times []time.Duration
}

// steps starts instances in a pool of pods, without a server before it.
func (b *bench) steps(ctx context.Context) (steps []step, err error) {
	ca, err := remote.NewCA()
	if err != nil {
		return nil, err
	}
	packs, err := deployed.Open(filepath.Join(b.dir, "packed")).Packs(deployed.DefaultPacked, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, packs.Close(context.WithoutCancel(ctx))) }()
	b.authority = string(ca.Certificate())
	size := spillway.Resources{Slots: 1, MilliCPU: 100, MiB: 64}
	p, err := kube.Open(ctx, kube.Config{Client: b.client, CA: ca, Owner: "bench", Dial: b.Dial, Packed: packs, Pool: &spillway.Pool{
		Name: "onprem", Kind: spillway.PoolKubernetes, Region: "local", InitTimeout: time.Minute,
		Kubernetes: spillway.KubernetesPods{RuntimeImage: b.agent, Namespace: "spillway-pool", Sizes: []spillway.PodSize{{Resources: size, Ready: stock}}},
	}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.Close(context.WithoutCancel(ctx))) }()
	archive, digest, err := zipOf(filepath.Join(b.dir, "functions", "echo", "bootstrap"))
	if err != nil {
		return nil, err
	}
	f := &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "echo"}, Revision: "v1", Handler: "bootstrap", Concurrency: 1,
		Package: spillway.Package{Path: archive, Digest: digest}, Resources: size, Instance: size, Timeout: time.Minute,
	}
	steps = []step{{name: "of it: pod, package sent and unpacked"}, {name: "process started"}, {name: "process asks for work"}, {name: "first call, in the pool"}}
	s := b.supply()
	packs.Pack(f.Package)
	for i := range b.samples {
		if err := s.await(ctx, stock); err != nil {
			return nil, err
		}
		id := spillway.InstanceID(i + 1)
		cold, err := p.StartInstance(ctx, id, f)
		if err != nil {
			return nil, err
		}
		s.used++
		at := time.Now()
		r := p.Invoke(ctx, pools.Request{Invocation: "i", Attempt: 1, Function: f, Payload: []byte("{}"), Deadline: at.Add(time.Minute), Instance: id})
		if r.Outcome.Class != spillway.Executed || r.Outcome.Cause != spillway.CauseNone {
			return nil, fmt.Errorf("a call after a cold start: %+v", r.Outcome)
		}
		for i, d := range []time.Duration{cold.Unpack, cold.Start, cold.Init, time.Since(at)} {
			steps[i].times = append(steps[i].times, d)
		}
		p.StopInstance(ctx, id)
	}
	return steps, nil
}

// zipOf packs a program as bootstrap, as 'spillway package push' does.
func zipOf(program string) (path, digest string, err error) {
	from, err := os.Open(program)
	if err != nil {
		return "", "", err
	}
	defer from.Close()
	path = program + ".zip"
	file, err := os.Create(path)
	if err != nil {
		return "", "", err
	}
	w := zip.NewWriter(file)
	head := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	head.SetMode(0o755)
	to, err := w.CreateHeader(head)
	if err == nil {
		_, err = io.Copy(to, from)
	}
	if err := errors.Join(err, w.Close(), file.Close()); err != nil {
		return "", "", err
	}
	digest, err = pkgdigest.Digest(path)
	return path, digest, err
}
