package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/spillway-dev/spillway/internal/kubetest"
	"github.com/spillway-dev/spillway/internal/textsink"
	"github.com/spillway-dev/spillway/test/internal/testbed"
)

const steadyFor = time.Minute

// brief is what pods have on them that end by themselves: ten a second of a hundred.
var brief = map[string]string{"kwok.x-k8s.io/runs-for": "5s", "kwok.x-k8s.io/runs-at-most": "15s"}

// TestNodeMany has as many pods on the virtual node as SPILLWAY_MANY says, with guests
// on nodes that kwok plays, and measures how late their statuses are. Pods are bound to
// it by the test, and of Kubernetes there are an API server and a scheduler, for guests:
// how fast its controllers are is not measured.
func TestNodeMany(t *testing.T) {
	if os.Getenv("SPILLWAY_MANY") == "" {
		t.Skip("SPILLWAY_MANY says how many pods, for example 1000")
	}
	pods, err := strconv.Atoi(os.Getenv("SPILLWAY_MANY"))
	must(t, err)
	c := newCrowd(t, pods/75+3)
	c.wakes(pods)
	c.memory("with no pods")

	late := c.lateness(t.Context())
	began, cpu := time.Now(), c.cpu()
	c.add(pods, nil)
	made := time.Since(began)
	c.within(8*time.Minute, "all pods run", func() error {
		if n := late.count(corev1.PodRunning); n < pods {
			return errorf("%d of %d, and\n%s", n, pods, c.some())
		}
		return nil
	})
	c.complete(late)
	t.Logf("burst: %d pods, made within %s, run after %s; %s", pods, made.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond), late.told())
	t.Logf("burst: %.1f ms of processor time for each pod", (c.cpu()-cpu).Seconds()*1000/float64(pods))
	c.memory("after the burst")

	c.add(pods/10, brief)
	c.replace(late, 15*time.Second)
	late.forget()
	cpu = c.cpu()
	c.replace(late, steadyFor)
	ended := late.count(corev1.PodSucceeded)
	c.complete(late)
	t.Logf("steady: beside %d pods that run, within %s %d others ended and as many came; %s", pods, steadyFor, ended, late.told())
	used := (c.cpu() - cpu).Seconds()
	t.Logf("steady: %.1f %% of a processor, %.1f ms for each that ended", used*100/steadyFor.Seconds(), used*1000/float64(max(1, ended)))
	c.memory("after it")
}

// crowd is an API server with a virtual node, and played nodes for its guests.
type crowd struct {
	*world
	made int
}

func newCrowd(t *testing.T, nodes int) *crowd {
	t.Helper()
	env := &envtest.Environment{BinaryAssetsDirectory: kubetest.Assets(t), ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	env.ControlPlane.GetAPIServer().Configure().Append("disable-admission-plugins", "TaintNodesByCondition") // no controller would take the taint away
	config, err := env.Start()
	must(t, err)
	t.Cleanup(func() { must(t, env.Stop()) })
	config.QPS = -1
	w := &world{Cluster: &kubetest.Cluster{}, t: t, dir: t.TempDir()}
	w.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	admin, err := env.AddUser(envtest.User{Name: "admin", Groups: []string{"system:masters"}}, nil)
	must(t, err)
	file, err := admin.KubeConfig()
	must(t, err)
	w.Kubeconfig = filepath.Join(w.dir, "kubeconfig")
	must(t, os.WriteFile(w.Kubeconfig, file, 0o600))
	must(t, testbed.Build(w.dir, map[string]string{"spillway-node": "cmd/spillway-node"}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	w.gate = newGateAt(t, listener)
	c := &crowd{world: w}
	c.objects(nodes)
	return c
}

// objects makes what a cluster would have, and nodes.
func (c *crowd) objects(nodes int) {
	c.t.Helper()
	ctx := c.t.Context()
	for _, name := range []string{"spillway-system", "night"} {
		_, err := c.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(c.t, err)
	}
	_, err := c.client.SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "spillway-guest"}, Value: -1000, PreemptionPolicy: new(corev1.PreemptNever)}, metav1.CreateOptions{})
	must(c.t, err)
	for i := range nodes {
		var n corev1.Node
		must(c.t, yaml.Unmarshal([]byte(strings.TrimSuffix(kubetest.Played(64, "played-"+strconv.Itoa(i)), "---")), &n))
		_, err := c.client.CoreV1().Nodes().Create(ctx, &n, metav1.CreateOptions{})
		must(c.t, err)
	}
	c.beside(kubetest.Kwok(c.t, c.Kubeconfig))
	c.beside(exec.Command(filepath.Join(kubetest.Assets(c.t), "kubebox"), "kube-scheduler", "--kubeconfig="+c.Kubeconfig, "--authentication-kubeconfig="+c.Kubeconfig,
		"--authorization-kubeconfig="+c.Kubeconfig, "--bind-address=127.0.0.1", "--secure-port=0", "--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000"))
}

// beside runs a program until the test ends.
func (c *crowd) beside(cmd *exec.Cmd) {
	c.t.Helper()
	said := new(textsink.Sink)
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(c.t, cmd.Start())
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if c.t.Failed() {
			text := said.String()
			c.t.Logf("%s said at the end:\n%s", cmd.Path, text[max(0, len(text)-3000):])
		}
	})
}

// wakes starts the node and waits until it offers room for so many pods.
func (c *crowd) wakes(pods int) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.dir, "spillway-node"), "--kubeconfig", c.Kubeconfig, "--namespace", "spillway-system", "--dispatcher", c.gate.address,
		"--address", "127.0.0.1", "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0", "--cert-dir", filepath.Join(c.dir, "certs"), "--grow-after=500ms", "--notice=500ms", "--nodes=type=kwok")
	c.output = new(textsink.Sink)
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	must(c.t, cmd.Start())
	c.node, c.stopped = cmd, make(chan error, 1)
	go func() { c.stopped <- cmd.Wait() }()
	c.t.Cleanup(func() {
		c.kill()
		if c.t.Failed() {
			c.t.Logf("the node said:\n%s", c.output)
		}
	})
	c.until("the node has room", func() error {
		n, err := c.client.CoreV1().Nodes().Get(c.t.Context(), name, metav1.GetOptions{})
		if err == nil && n.Status.Allocatable.Pods().Value() < int64(pods) {
			err = errorf("for %s pods", n.Status.Allocatable.Pods())
		}
		return err
	})
}

// add makes pods on the virtual node.
func (c *crowd) add(pods int, annotations map[string]string) {
	c.t.Helper()
	var makers errgroup.Group
	makers.SetLimit(16)
	for range pods {
		c.made++
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "many-" + strconv.Itoa(c.made), Annotations: annotations}}
		p.Spec = corev1.PodSpec{NodeName: name, RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{container("print=done")}}
		opted(&p.Spec)
		makers.Go(func() error {
			_, err := c.client.CoreV1().Pods("night").Create(c.t.Context(), p, metav1.CreateOptions{})
			return err
		})
	}
	must(c.t, makers.Wait())
}

// some says how two pods and their guests are.
func (c *crowd) some() string {
	all, err := c.client.CoreV1().Pods("night").List(c.t.Context(), metav1.ListOptions{Limit: 4})
	if err != nil {
		return err.Error()
	}
	var text strings.Builder
	for i := range all.Items {
		p := &all.Items[i]
		fmt.Fprintf(&text, "%s on %q: %s %s %s\n", p.Name, p.Spec.NodeName, p.Status.Phase, p.Status.Reason, p.Status.Message)
	}
	return text.String()
}

// replace removes pods that have ended and makes others, for some time.
func (c *crowd) replace(late *lateness, length time.Duration) {
	c.t.Helper()
	for end := time.Now().Add(length); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		over := late.over()
		for _, pod := range over {
			must(c.t, c.client.CoreV1().Pods("night").Delete(c.t.Context(), pod, metav1.DeleteOptions{}))
		}
		c.add(len(over), brief)
	}
}

// lateness is how long after a guest's status its pod's was seen to say the same.
type lateness struct {
	mu     sync.Mutex
	guests map[told]time.Time
	seen   map[told]bool
	lags   map[corev1.PodPhase][]time.Duration
	ended  []string // names of pods
}

// told is a phase that a pod has reached.
type told struct {
	of    types.UID
	phase corev1.PodPhase
}

func (c *crowd) lateness(ctx context.Context) *lateness {
	c.t.Helper()
	l := &lateness{guests: map[told]time.Time{}, seen: map[told]bool{}}
	l.forget()
	factory := informers.NewSharedInformerFactoryWithOptions(c.client, 0, informers.WithNamespace("night"))
	pods := factory.Core().V1().Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { l.note(o.(*corev1.Pod), time.Now()) },
		UpdateFunc: func(_, o any) { l.note(o.(*corev1.Pod), time.Now()) },
	})
	must(c.t, err)
	ctx, cancel := context.WithCancel(ctx)
	factory.Start(ctx.Done())
	c.t.Cleanup(func() { cancel(); factory.Shutdown() })
	factory.WaitForCacheSync(ctx.Done())
	return l
}

func (l *lateness) note(p *corev1.Pod, now time.Time) {
	if p.Status.Phase != corev1.PodRunning && p.Status.Phase != corev1.PodSucceeded {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if of := p.Labels["spillway.dev/guest-of"]; of != "" {
		k := told{types.UID(of), p.Status.Phase}
		if _, ok := l.guests[k]; !ok {
			l.guests[k] = now
		}
		return
	}
	k := told{p.UID, p.Status.Phase}
	if at, ok := l.guests[k]; ok && !l.seen[k] {
		l.seen[k] = true
		l.lags[k.phase] = append(l.lags[k.phase], now.Sub(at))
		if k.phase == corev1.PodSucceeded {
			l.ended = append(l.ended, p.Name)
		}
	}
}

// over names the pods that have ended since it was asked last.
func (l *lateness) over() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := l.ended
	l.ended = nil
	return ended
}

// forget begins to measure anew.
func (l *lateness) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lags = map[corev1.PodPhase][]time.Duration{}
}

func (l *lateness) count(phase corev1.PodPhase) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lags[phase])
}

// complete waits until no guest has a status that its pod does not show: one that never
// comes is late by more than any that is counted.
func (c *crowd) complete(l *lateness) {
	c.t.Helper()
	c.until("each status of a guest is shown by its pod", func() error {
		if n := l.missing(); n > 0 {
			return errorf("%d are not", n)
		}
		return nil
	})
}

// missing counts what guests have reached and their pods have not; who has ended has run.
func (l *lateness) missing() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for k := range l.guests {
		if !l.seen[k] && !l.seen[told{k.of, corev1.PodSucceeded}] {
			n++
		}
	}
	return n
}

func (l *lateness) told() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []time.Duration
	for _, some := range l.lags {
		all = append(all, some...)
	}
	if len(all) == 0 {
		return "no status changed"
	}
	slices.Sort(all)
	at := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1].Round(time.Millisecond) }
	return fmt.Sprintf("%d statuses, late by p50 %s, p90 %s, p99 %s, most %s", len(all), at(50), at(90), at(99), at(100))
}

// cpu is the processor time that the node's process has had.
func (c *crowd) cpu() time.Duration {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.node.Process.Pid))
	must(c.t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		must(c.t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memory says what the node's process has, and what else the machine does.
func (c *crowd) memory(when string) {
	c.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.node.Process.Pid))
	must(c.t, err)
	var memory []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmHWM:") {
			memory = append(memory, strings.Join(strings.Fields(line), " "))
		}
	}
	load, err := os.ReadFile("/proc/loadavg")
	must(c.t, err)
	c.t.Logf("%s: %s; load %s", when, strings.Join(memory, ", "), strings.Fields(string(load))[0])
}
