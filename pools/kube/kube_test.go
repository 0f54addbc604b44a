package kube_test

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/kube"
	"github.com/spillway-dev/spillway/pools/pooltest"
	"github.com/spillway-dev/spillway/pools/process/pkgdigest"
)

// bench is one cluster for all tests, with the images that they need.
type bench struct {
	*kubetest.Cluster
	client kubernetes.Interface
	dir    string
	agent  string // image by digest
	probe  string // image of the suite's probe, by digest
	zip    string // package of the probe
	runs   atomic.Int64
}

var (
	shared    *bench
	sharedErr error
	begin     sync.Once
)

func TestMain(m *testing.M) {
	code := m.Run()
	if shared != nil {
		if err := errors.Join(shared.Down(), os.RemoveAll(shared.dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	err := left()
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// connections are goroutines that end when their connection notices that the cluster is down.
var connections = []goleak.Option{
	goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"),
	goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
	goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
	goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*clientStream).doRequest"),
}

// left is what goroutines are left, of which only connections have time to end.
func left() error {
	if err := goleak.Find(connections...); err != nil {
		return err
	}
	err := goleak.Find()
	for tries := 0; err != nil && tries < 60; tries++ {
		time.Sleep(time.Second)
		err = goleak.Find()
	}
	return err
}

// onCluster returns the cluster, started by the first test that asks.
func onCluster(t testing.TB) *bench {
	t.Helper()
	kubetest.Need(t)
	begin.Do(func() {
		kubetest.Assets(t)
		shared, sharedErr = newBench(context.Background())
	})
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return shared
}

func newBench(ctx context.Context) (*bench, error) {
	dir, err := os.MkdirTemp("", "kube-test")
	if err != nil {
		return nil, err
	}
	c, err := kubetest.Start(ctx)
	if err != nil {
		return nil, err
	}
	b := &bench{Cluster: c, dir: dir}
	if err := b.fill(ctx); err != nil {
		return nil, errors.Join(err, c.Down())
	}
	return b, nil
}

func (b *bench) fill(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", b.Kubeconfig)
	if err != nil {
		return err
	}
	config.Dial, config.QPS = b.Dial, -1
	if b.client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	agent, probe := filepath.Join(b.dir, "spillway-agent"), filepath.Join(b.dir, "bootstrap")
	if err := errors.Join(build(agent, "github.com/spillway-dev/spillway/cmd/spillway-agent"),
		build(probe, "github.com/spillway-dev/spillway/pools/pooltest/probe/main")); err != nil {
		return err
	}
	if b.agent, err = b.Image(ctx, "localhost/spillway/agent:test", agent, "serve"); err != nil {
		return err
	}
	if b.probe, err = b.Image(ctx, "localhost/spillway/probe:test", probe); err != nil {
		return err
	}
	if b.zip, err = zipOf(probe); err != nil {
		return err
	}
	for _, ns := range []string{"spillway-pool", "shop"} {
		o := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
		if _, err := b.client.CoreV1().Namespaces().Create(ctx, o, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func build(to, what string) error {
	command := exec.Command("go", "build", "-trimpath", "-o", to, what)
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", what, err, out)
	}
	return nil
}

// zipOf packs a program as bootstrap.
func zipOf(program string) (path string, err error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	path = program + ".zip"
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := zip.NewWriter(f)
	head := &zip.FileHeader{Name: "bootstrap", Method: zip.Store}
	head.SetMode(0o755)
	to, err := w.CreateHeader(head)
	if err == nil {
		_, err = to.Write(content)
	}
	return path, errors.Join(err, w.Close(), f.Close())
}

// open makes a pool with pods of 192 MiB that wait for a package, so many of them.
func (b *bench) open(t testing.TB, ready int) *kube.Pool {
	t.Helper()
	return b.openAs(t, "onprem", ready)
}

func (b *bench) openAs(t testing.TB, name string, ready int, changes ...func(*kube.Config)) *kube.Pool {
	t.Helper()
	ca, err := remote.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	c := kube.Config{
		Client: b.client, CA: ca, Owner: fmt.Sprintf("run-%d", b.runs.Add(1)), Dial: b.Dial,
		Pool: &spillway.Pool{Name: name, Kind: spillway.PoolKubernetes, Region: "local", InitTimeout: 30 * time.Second, Capacity: unlimited, Kubernetes: spillway.KubernetesPods{
			RuntimeImage: b.agent, Namespace: "spillway-pool",
			Sizes: []spillway.PodSize{{Resources: spillway.Resources{Slots: 1, MilliCPU: 50, MiB: 192}, Ready: ready}},
		}},
	}
	for _, change := range changes {
		change(&c)
	}
	p, err := kube.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
		b.empty(t, kube.LabelPool+"="+name)
	})
	return p
}

// function is the probe as a package.
func (b *bench) function(t testing.TB) *spillway.Function {
	t.Helper()
	digest, err := pkgdigest.Digest(b.zip)
	if err != nil {
		t.Fatal(err)
	}
	size := spillway.Resources{Slots: 1, MilliCPU: 50, MiB: 192}
	return &spillway.Function{
		FunctionKey: spillway.FunctionKey{Namespace: "shop", Name: "probe"}, Revision: "v1", Handler: "bootstrap", Concurrency: 1,
		Package: spillway.Package{Path: b.zip, Digest: digest}, Resources: size, Instance: size, Timeout: time.Minute,
	}
}

// image is the probe as an image.
func (b *bench) image(t testing.TB) *spillway.Function {
	f := b.function(t)
	f.Package, f.Image, f.Handler = spillway.Package{}, b.probe, "/bootstrap"
	return f
}

// TestConformance runs packages in pods that waited for them.
func TestConformance(t *testing.T) {
	b := onCluster(t)
	p, f := b.open(t, 3), b.function(t)
	hasty, web := *f, *f
	hasty.Timeout = 2 * time.Second
	web.Contract = spillway.ContractHTTP
	pooltest.Run(t, pooltest.Fixture{Pool: p, Probe: f, Hasty: &hasty, MiB: 192, Web: &web, Listen: b.listen})
}

func (b *bench) listen() (net.Listener, error) {
	return b.Listen(context.Background(), "tcp", kubetest.NodeAddress+":0")
}

// TestImage runs an image: the agent is copied beside its program.
func TestImage(t *testing.T) {
	b := onCluster(t)
	p, f := b.open(t, 0), b.image(t)
	started(t, p, 1, f)
	invoke := func(payload string) pools.Result {
		return p.Invoke(t.Context(), pools.Request{Invocation: "i", Attempt: 1, Function: f, Payload: []byte(payload), Deadline: time.Now().Add(time.Minute), Instance: 1})
	}
	if r := invoke(`{"n":1}`); r.Outcome.Class != spillway.Executed || r.Outcome.Cause != spillway.CauseNone || string(r.Payload) != `{"n":1}` {
		t.Fatalf("got %+v %s", r.Outcome, r.Payload)
	}
	if r := invoke(`{"do":"exit"}`); r.Outcome.Cause != spillway.CauseCrashed || !r.InstanceGone {
		t.Errorf("a program that exits: %+v", r)
	}
	b.awaitPods(t, kube.LabelPool+"=onprem", 0)
}

// TestSteps: no part of a cold start is told twice.
func TestSteps(t *testing.T) {
	b := onCluster(t)
	p := b.open(t, 1)
	b.awaitPods(t, kube.LabelPool+"=onprem", 1)
	at := time.Now()
	cold := started(t, p, 1, b.function(t))
	took := time.Since(at)
	if sum := cold.Unpack + cold.Start + cold.Init; sum > took || cold.Unpack <= 0 || cold.Start <= 0 || cold.Init <= 0 {
		t.Errorf("%+v make %s of %s", cold, sum, took)
	}
}

// waiting bounds what the cluster has to do; reaching it is a failure.
const waiting = 3 * time.Minute

// slow reports a start that says nothing but that the machine is busy: its pod was not
// taken in time, or not made.
func slow(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "is not taken within") ||
		strings.Contains(err.Error(), "make a pod in") && errors.Is(err, context.DeadlineExceeded))
}

// begun is how a start ends on a machine that is quick enough.
func begun(ctx context.Context, p *kube.Pool, id spillway.InstanceID, f *spillway.Function) (pools.ColdStart, error) {
	for {
		cold, err := p.StartInstance(ctx, id, f)
		if !slow(err) || ctx.Err() != nil {
			return cold, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// started starts an instance that ends with the test.
func started(t testing.TB, p *kube.Pool, id spillway.InstanceID, f *spillway.Function) pools.ColdStart {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waiting)
	defer cancel()
	cold, err := begun(ctx, p, id, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.StopInstance(context.Background(), id) })
	return cold
}

// awaitPods waits until so many pods match a selector and are ready.
func (b *bench) awaitPods(t testing.TB, selector string, n int) []corev1.Pod {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	for {
		all, err := b.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			t.Fatalf("%d pods of %s: %v", n, selector, err)
		}
		running := 0
		for i := range all.Items {
			if all.Items[i].Status.Phase == corev1.PodRunning {
				running++
			}
		}
		if running == n && len(all.Items) == n {
			return all.Items
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d pods of %s run, want %d", running, selector, n)
		}
	}
}

// TestNoRoom: a pod that no node has a place for, and one that a ResourceQuota refuses,
// fail at once and for what they are.
func TestNoRoom(t *testing.T) {
	b := onCluster(t)
	p := b.open(t, 0)
	huge := b.image(t)
	huge.Instance = spillway.Resources{Slots: 1, MilliCPU: 1_000_000, MiB: 128}
	ctx, cancel := context.WithTimeout(t.Context(), waiting)
	defer cancel()
	if _, err := begun(ctx, p, 1, huge); !errors.Is(err, pools.ErrNoRoom) || !strings.Contains(err.Error(), "nsufficient cpu") {
		t.Errorf("a pod of a thousand cores: %v", err)
	}
	if err := b.Apply(ctx, `{apiVersion: v1, kind: ResourceQuota, metadata: {name: none, namespace: shop}, spec: {hard: {pods: "0"}}}`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := b.Kubectl(context.Background(), "delete", "resourcequota", "none", "-n", "shop"); err != nil {
			t.Error(err)
		}
	})
	b.refusedByQuota(t)
	if _, err := begun(ctx, p, 2, b.image(t)); !errors.Is(err, pools.ErrQuota) || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("a pod beyond a ResourceQuota: %v", err)
	}
	started(t, p, 3, b.function(t)) // in the pool's own namespace
	bad := b.image(t)
	bad.Image = strings.Replace(bad.Image, "localhost/", "localhost:1/", 1)
	bad.FunctionKey.Namespace = "spillway-pool"
	var failed *pools.StartError
	if _, err := begun(ctx, p, 4, bad); !errors.As(err, &failed) || failed.Type != "Spillway.ImageError" {
		t.Errorf("an image that is nowhere: %v", err)
	}
	bad.FunctionKey.Namespace = "nowhere"
	if _, err := begun(ctx, p, 5, bad); !errors.As(err, &failed) || failed.Type != "Spillway.PodRefused" {
		t.Errorf("a namespace that is not there: %v", err)
	}
}

// refusedByQuota waits until a ResourceQuota of namespace shop holds, which its controller
// and the API server's cache see to.
func (b *bench) refusedByQuota(t testing.TB) {
	t.Helper()
	try := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "try-"}, Spec: corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
		Containers:      []corev1.Container{{Name: "c", Image: b.agent, SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}}},
	}}
	for limit := time.Now().Add(waiting); ; time.Sleep(50 * time.Millisecond) {
		_, err := b.client.CoreV1().Pods("shop").Create(t.Context(), try, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), "exceeded quota") {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("the quota does not hold: %v", err)
		}
	}
}

// TestCapacityFollows: what others take is missing, and comes back.
func TestCapacityFollows(t *testing.T) {
	b := onCluster(t)
	p := b.open(t, 0)
	all, changes := p.Capacity()
	if all.Slots < 10 || all.MilliCPU < 500 || all.MiB < 500 {
		t.Fatalf("an empty node has %v", all)
	}
	until := func(what string, good func(spillway.Resources) bool) {
		t.Helper()
		timeout := time.After(waiting)
		for {
			select {
			case now := <-changes:
				if good(now) {
					return
				}
			case <-timeout:
				t.Fatal(what)
			}
		}
	}
	if err := b.Apply(t.Context(), fmt.Sprintf(`{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: default}, spec: {
  restartPolicy: Never, terminationGracePeriodSeconds: 0, containers: [{name: c, image: %q, command: [/spillway-agent, serve, --listen, "127.0.0.1:1"], resources: {requests: {cpu: 200m, memory: 100Mi}}}]}}`, b.agent)); err != nil {
		t.Fatal(err)
	}
	until("another pod takes nothing", func(now spillway.Resources) bool {
		return now == all.Sub(spillway.Resources{Slots: 1, MilliCPU: 200, MiB: 100})
	})
	if _, err := b.Kubectl(t.Context(), "delete", "pod", "other", "--wait=false"); err != nil {
		t.Fatal(err)
	}
	until("its room does not come back", func(now spillway.Resources) bool { return now == all })
	if _, err := b.Kubectl(t.Context(), "cordon", kubetest.Node); err != nil {
		t.Fatal(err)
	}
	until("a cordoned node offers room", func(now spillway.Resources) bool { return now == spillway.Resources{} })
	if _, err := b.Kubectl(t.Context(), "uncordon", kubetest.Node); err != nil {
		t.Fatal(err)
	}
	until("an uncordoned node offers none", func(now spillway.Resources) bool { return now == all })
}

var unlimited = spillway.Resources{Slots: spillway.Unlimited, MilliCPU: spillway.Unlimited, MiB: spillway.Unlimited}
