package admission

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/spillway-dev/spillway/internal/kubetest/apiserver"
	"github.com/spillway-dev/spillway/internal/safetext"
	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/guest"
)

const (
	system = "spillway-system"
	node   = "spillway-offline"
)

func TestMain(m *testing.M) {
	ctrllog.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lab is an API server that calls the webhook, as the manifests have it.
type lab struct {
	*testing.T
	client  kubernetes.Interface
	own     kubernetes.Interface // with the rights of the node's account
	audit   string
	heard   *warnings
	gate    *dispatcher
	mu      sync.Mutex
	answers []Answer
}

type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

// dispatcher answers previews as it is told to.
type dispatcher struct {
	mu    sync.Mutex
	state gate.State
	asked []gate.Request
	slow  bool
}

func (d *dispatcher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked gate.Request
	if r.URL.Path != "/v1/offline/preview" || json.NewDecoder(r.Body).Decode(&asked) != nil {
		http.Error(w, "no", http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	state, slow := d.state, d.slow
	d.asked = append(d.asked, asked)
	d.mu.Unlock()
	if slow {
		<-r.Context().Done()
		return
	}
	_ = json.NewEncoder(w).Encode(gate.Answer{State: state, Pool: "idle", Reason: "denied", Text: "said the dispatcher"})
}

func (d *dispatcher) set(state gate.State, slow bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state, d.slow = state, slow
}

const auditPolicy = `{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
"rules": [{"level": "Metadata", "resources": [{"resources": ["pods"]}], "verbs": ["create"]}, {"level": "None"}]}`

func newLab(t *testing.T) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{T: t, audit: filepath.Join(dir, "audit.log"), heard: &warnings{}, gate: &dispatcher{state: gate.Admitted}}
	must(t, os.WriteFile(filepath.Join(dir, "audit.yaml"), []byte(auditPolicy), 0o600))
	config := apiserver.Start(t, func(e *envtest.Environment) {
		e.ControlPlane.GetAPIServer().Configure().Append("audit-policy-file", filepath.Join(dir, "audit.yaml")).Append("audit-log-path", l.audit).Append("audit-log-mode", "blocking")
	})
	config.QPS, config.WarningHandler = -1, l.heard
	var err error
	l.client, err = kubernetes.NewForConfig(config)
	must(t, err)
	own := rest.CopyConfig(config)
	own.Impersonate.UserName = "system:serviceaccount:" + system + ":spillway-node"
	l.own, err = kubernetes.NewForConfig(own)
	must(t, err)
	l.prepare()
	return l
}

// manifest decodes the objects of one kind of a file of the manifests.
func manifest[T any](l *lab, file, kind string) []*T {
	l.Helper()
	text, err := os.ReadFile(filepath.Join("../../manifests/base", file))
	must(l, err)
	var all []*T
	for _, one := range strings.Split(string(text), "\n---\n") {
		var is metav1.TypeMeta
		must(l, yaml.Unmarshal([]byte(one), &is))
		if is.Kind == kind {
			o := new(T)
			must(l, yaml.UnmarshalStrict([]byte(one), o))
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		l.Fatalf("%s has no %s", file, kind)
	}
	return all
}

func (l *lab) prepare() {
	ctx := l.Context()
	for name, labels := range map[string]map[string]string{system: nil, "night": {"spillway.dev/offline": "enabled"}, "day": nil} {
		_, err := l.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, metav1.CreateOptions{})
		must(l, err)
	}
	for _, o := range manifest[rbacv1.ClusterRole](l, "node-access.yaml", "ClusterRole") {
		_, err := l.client.RbacV1().ClusterRoles().Create(ctx, o, metav1.CreateOptions{})
		must(l, err)
	}
	for _, o := range manifest[rbacv1.ClusterRoleBinding](l, "node-access.yaml", "ClusterRoleBinding") {
		_, err := l.client.RbacV1().ClusterRoleBindings().Create(ctx, o, metav1.CreateOptions{})
		must(l, err)
	}
	for _, o := range manifest[rbacv1.Role](l, "node-access.yaml", "Role") {
		_, err := l.client.RbacV1().Roles(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
		must(l, err)
	}
	for _, o := range manifest[rbacv1.RoleBinding](l, "node-access.yaml", "RoleBinding") {
		_, err := l.client.RbacV1().RoleBindings(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
		must(l, err)
	}
	for _, o := range manifest[corev1.Secret](l, "webhook.yaml", "Secret") {
		_, err := l.client.CoreV1().Secrets(o.Namespace).Create(ctx, o, metav1.CreateOptions{})
		must(l, err)
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Labels: map[string]string{"type": "virtual-kubelet", Offline: "true", corev1.LabelOSStable: "linux"}}}
	n, err := l.client.CoreV1().Nodes().Create(ctx, n, metav1.CreateOptions{})
	must(l, err)
	n.Status.Conditions = readyNode().Status.Conditions
	_, err = l.client.CoreV1().Nodes().UpdateStatus(ctx, n, metav1.UpdateOptions{})
	must(l, err)
}

// serve runs the webhook, and has the API server call it at its address.
func (l *lab) serve() *Keeper {
	l.Helper()
	front := httptest.NewServer(l.gate)
	l.Cleanup(front.Close)
	asks, err := gate.New(front.URL, "", time.Minute)
	must(l, err)
	hook := &Webhook{Node: node, Dispatcher: asks, Find: Remembered(l.own.CoreV1().Nodes(), node, time.Now), Within: 10 * time.Second, Told: func(a Answer) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.answers = append(l.answers, a)
	}}
	handler, err := hook.Handler()
	must(l, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(l, err)
	k := l.keeper()
	ctx, cancel := context.WithCancel(context.Background())
	server := &http.Server{Handler: handler, TLSConfig: k.TLS(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	var all sync.WaitGroup
	all.Go(func() { k.Run(ctx) })
	all.Go(func() { k.KeepTrusted(ctx) })
	all.Go(func() { _ = server.ServeTLS(listener, "", "") })
	l.Cleanup(func() { cancel(); server.Close(); all.Wait() })

	c := manifest[admissionregistrationv1.MutatingWebhookConfiguration](l, "webhook.yaml", "MutatingWebhookConfiguration")[0]
	at := "https://" + listener.Addr().String() + *c.Webhooks[0].ClientConfig.Service.Path
	c.Webhooks[0].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &at}
	patience := int32(30) // more than Within on a busy machine
	c.Webhooks[0].TimeoutSeconds = &patience
	_, err = l.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(l.Context(), c, metav1.CreateOptions{})
	must(l, err)
	return k
}

func (l *lab) keeper() *Keeper {
	return &Keeper{Client: l.own, Namespace: system, Names: []string{"127.0.0.1"}, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
}

func (l *lab) until(what string, is func() error) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	for {
		err := is()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			l.Fatalf("not within a minute: %s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// jobPod is a pod as the Job controller makes them.
func jobPod(name string) *corev1.Pod {
	yes := true
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "night", Labels: map[string]string{"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "report", UID: "u", Controller: &yes}}},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "localhost/x:dev",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("64Mi")}}}}},
	}
}

func (l *lab) create(p *corev1.Pod) *corev1.Pod {
	l.Helper()
	made, err := l.client.CoreV1().Pods(p.Namespace).Create(l.Context(), p, metav1.CreateOptions{})
	must(l, err)
	return made
}

func placed(p *corev1.Pod) bool {
	return p.Spec.NodeSelector[Offline] == "true" && p.Annotations[AnnotationNode] == node && tolerated(p.Spec.Tolerations)
}

// audited is what the audit log says of the pod's placement, "" if the webhook was not
// called.
func (l *lab) audited(p *corev1.Pod) string {
	l.Helper()
	var said string
	l.until("the audit log has pod "+p.Name, func() error {
		file, err := os.Open(l.audit)
		if err != nil {
			return err
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e struct {
				ObjectRef   struct{ Name, Namespace string }
				Annotations map[string]string
			}
			if json.Unmarshal(lines.Bytes(), &e) == nil && e.ObjectRef.Name == p.Name && e.ObjectRef.Namespace == p.Namespace {
				said = e.Annotations["offline.spillway.dev/"+audited]
				return nil
			}
		}
		return errors.New("it has not")
	})
	return said
}

func TestOptIn(t *testing.T) {
	l := newLab(t)
	k := l.serve()
	tries := 0
	l.until("the API server calls the webhook", func() error {
		tries++
		if !placed(l.create(jobPod(fmt.Sprintf("try-%d", tries)))) {
			return errors.New("the pod is left")
		}
		return nil
	})

	t.Run("placed", func(t *testing.T) {
		p := jobPod("full")
		p.Annotations = map[string]string{"a": "b", "spillway.dev/max-wait": "90m"}
		p.Spec.NodeSelector = map[string]string{corev1.LabelOSStable: "linux"}
		p.Spec.Tolerations = []corev1.Toleration{{Key: "own", Operator: corev1.TolerationOpExists}}
		p.Spec.ActiveDeadlineSeconds = new(int64(600))
		made := l.create(p)
		if !placed(made) || made.Spec.NodeName != "" || len(made.Spec.Tolerations) < 2 || made.Spec.Tolerations[0].Key != "own" || made.Annotations["a"] != "b" || len(made.Spec.NodeSelector) != 2 {
			t.Errorf("%+v %+v", made.ObjectMeta, made.Spec)
		}
		if said := l.audited(made); !strings.HasPrefix(said, "placed: ") {
			t.Error(said)
		}
		l.gate.mu.Lock()
		asked := l.gate.asked[len(l.gate.asked)-1]
		l.gate.mu.Unlock()
		if asked.UID == "" || asked.Namespace != "night" || asked.Job != "report" || asked.Pod != "full" || asked.Node != node || asked.MilliCPU != 250 ||
			asked.MemoryMiB != 64 || asked.TimeoutSeconds != 600 || asked.MaxWaitSeconds == nil || *asked.MaxWaitSeconds != 5400 {
			t.Errorf("asked %+v", asked)
		}
	})
	t.Run("bare", func(t *testing.T) {
		p := jobPod("")
		p.GenerateName, p.OwnerReferences, p.Labels = "bare-", nil, map[string]string{Offline: "true"}
		if made := l.create(p); !placed(made) {
			t.Errorf("%+v", made.Spec)
		}
	})
	t.Run("bound", func(t *testing.T) {
		p := jobPod("burst")
		p.Annotations = map[string]string{guest.AnnotationBurst: "crunch"}
		if made := l.create(p); !placed(made) || made.Spec.NodeName != node {
			t.Errorf("%+v", made.Spec)
		}
	})
	t.Run("not called", func(t *testing.T) { l.notCalled() })
	t.Run("left", func(t *testing.T) { l.left() })
	t.Run("certificates", func(t *testing.T) { l.certificates(k) })
}

// notCalled are pods of which the webhook never hears.
func (l *lab) notCalled() {
	for name, change := range map[string]func(*corev1.Pod){
		"elsewhere": func(p *corev1.Pod) { p.Namespace = "day" },
		"guest":     func(p *corev1.Pod) { p.Labels["spillway.dev/guest-of"] = "u" },
		"bound":     func(p *corev1.Pod) { p.Spec.NodeName = "real" },
		"bare":      func(p *corev1.Pod) { p.OwnerReferences, p.Labels = nil, nil },
		"deployed":  func(p *corev1.Pod) { p.OwnerReferences[0].Kind = "ReplicaSet"; p.Labels[Offline] = "true" },
		"no-batch":  func(p *corev1.Pod) { p.OwnerReferences[0].APIVersion = "example.dev/v1" },
	} {
		p := jobPod("not-" + name)
		change(p)
		l.mu.Lock()
		before := len(l.answers)
		l.mu.Unlock()
		made := l.create(p)
		l.mu.Lock()
		after := len(l.answers)
		l.mu.Unlock()
		if placed(made) || after != before || l.audited(made) != "" {
			l.Errorf("%s: placed %v, the webhook was called %d times", name, placed(made), after-before)
		}
	}
}

// left are pods that stay as they are, and why.
func (l *lab) left() {
	selects := func(key, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
	}
	for _, one := range []struct {
		name   string
		change func(*corev1.Pod)
		state  gate.State
		slow   bool
		why    string
		warned string
	}{
		{"wish", func(p *corev1.Pod) { p.Labels[Offline] = "false" }, gate.Admitted, false, "left: ", ""},
		{"refused", nil, gate.Refused, false, "refused: denied: said the dispatcher", ""},
		{"odd", nil, "perhaps", false, "refused: ", ""},
		{"slow", nil, gate.Admitted, true, "unanswered: ", ""},
		{"label", selects("disk", "ssd"), gate.Admitted, false, "left: spec.nodeSelector asks for disk=ssd", ""},
		{"affinity", func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
				{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "type", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"virtual-kubelet"}}}}}}}}
		}, gate.Admitted, false, "left: spec.affinity.nodeAffinity asks for other nodes", ""},
		{"host", func(p *corev1.Pod) {
			p.Spec.HostNetwork = true
			p.Spec.Volumes = []corev1.Volume{{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/var"}}}}
		}, gate.Admitted, false, "unfit: ", "does not run on idle capacity: spec.volumes[0].hostPath: "},
		{"deadline", func(p *corev1.Pod) { p.Annotations = map[string]string{"spillway.dev/deadline": "soon"} }, gate.Admitted, false, "unfit: ", `"soon" is no time`},
	} {
		p := jobPod("left-" + one.name)
		if one.change != nil {
			one.change(p)
		}
		l.gate.set(one.state, one.slow)
		before := p.DeepCopy()
		made := l.create(p)
		if placed(made) || made.Annotations[AnnotationNode] != "" || len(made.Spec.NodeSelector) != len(before.Spec.NodeSelector) {
			l.Errorf("%s is placed", one.name)
		}
		if said := l.audited(made); !strings.HasPrefix(said, one.why) {
			l.Errorf("%s: audited %q, want %q", one.name, said, one.why)
		} else if told := made.Annotations[AnnotationLeft]; told != safetext.Line(said) && one.name != "wish" {
			l.Errorf("%s: the pod says %q, and the audit log %q", one.name, told, said)
		}
		l.heard.mu.Lock()
		warned := strings.Join(l.heard.said, "\n")
		l.heard.said = nil
		l.heard.mu.Unlock()
		if one.warned == "" && warned != "" || !strings.Contains(warned, one.warned) {
			l.Errorf("%s: the client is warned %q", one.name, warned)
		}
	}
	l.gate.set(gate.Waiting, false)
	if made := l.create(jobPod("waits")); !placed(made) {
		l.Error("a pod that would wait is not placed")
	}
	must(l, l.client.CoreV1().Nodes().Delete(l.Context(), node, metav1.DeleteOptions{}))
	seen := 0
	l.until("a node that is gone is noticed", func() error {
		seen++
		if made := l.create(jobPod(fmt.Sprintf("gone-%d", seen))); placed(made) {
			return errors.New("still placed")
		}
		return nil
	})
}

// certificates are one authority's, whoever asks, and what others write is put right.
func (l *lab) certificates(k *Keeper) {
	ctx := l.Context()
	other := l.keeper()
	refresh := func(k *Keeper) { // another writes at the same time now and then
		l.until("the certificates are read", func() error { return k.Refresh(ctx) })
	}
	refresh(other)
	if string(other.bundle()) != string(k.bundle()) {
		l.Error("two processes have different authorities")
	}
	configurations := l.client.AdmissionregistrationV1().MutatingWebhookConfigurations()
	c, err := configurations.Get(ctx, Name, metav1.GetOptions{})
	must(l, err)
	before := c.DeepCopy()
	c.Webhooks[0].ClientConfig.CABundle = nil
	_, err = configurations.Update(ctx, c, metav1.UpdateOptions{})
	must(l, err)
	must(l, k.trusted(ctx))
	c, err = configurations.Get(ctx, Name, metav1.GetOptions{})
	must(l, err)
	if string(c.Webhooks[0].ClientConfig.CABundle) != string(k.bundle()) || len(c.Webhooks) != 1 || len(c.Webhooks[0].MatchConditions) != len(before.Webhooks[0].MatchConditions) {
		l.Errorf("%+v", c.Webhooks)
	}

	secrets := l.client.CoreV1().Secrets(system)
	s, err := secrets.Get(ctx, Name, metav1.GetOptions{})
	must(l, err)
	s.Data[secretKey] = []byte("broken")
	_, err = secrets.Update(ctx, s, metav1.UpdateOptions{})
	must(l, err)
	refresh(other)
	refresh(l.keeper())
	if string(other.bundle()) == string(before.Webhooks[0].ClientConfig.CABundle) {
		l.Error("what is broken was taken")
	}
	later := l.keeper()
	later.Now = func() time.Time { return time.Now().Add(authorityLife * 3 / 4) }
	refresh(later)
	if len(later.all) != 2 || !later.by.cert.Equal(later.all[1].cert) {
		l.Errorf("%d authorities towards the end of one", len(later.all))
	}
	if _, err := l.own.CoreV1().Secrets(system).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "another"}}, metav1.CreateOptions{}); err == nil {
		l.Error("the node's account makes Secrets")
	}
}
