package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spillway-dev/spillway/internal/kubetest"
)

const (
	virtualNode  = "spillway-offline"
	offlineAsks  = kubetest.NodeAddress + ":8082"
	nodeHealth   = kubetest.NodeAddress + ":10261"
	guestGrace   = 3 * time.Second
	idleMargin   = 10 // percent of a node, that stays free: the node's default
	offlineMilli = 100
)

const offlineObjects = `
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: spillway-guest}, value: -1000, preemptionPolicy: Never}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: night-work}, value: -10, preemptionPolicy: Never}
---
{apiVersion: v1, kind: Namespace, metadata: {name: night, labels: {spillway.dev/offline: enabled}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: online}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: spillway-node, namespace: spillway-system}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: spillway-node-admits}, rules: [{apiGroups: [spillway.dev], resources: [offlinepods], verbs: [admit]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: spillway-node-admits}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: spillway-node-admits}, subjects: [{kind: ServiceAccount, name: spillway-node, namespace: spillway-system}]}
---
{apiVersion: spillway.dev/v1alpha1, kind: Pool, metadata: {name: offline}, spec: {kind: offline, region: headquarters}}
---
{apiVersion: spillway.dev/v1alpha1, kind: Quota, metadata: {name: research}, spec: {department: research, namespaces: [night], nominal: {offline: {slots: 1000}}}}
`

// offline is a cluster with a virtual node, its dispatcher and what is seen of pods.
type offline struct {
	*bench
	work         string // image
	seen         *sightings
	server, node *process
}

// offlineSection measures what work on idle capacity does to online pods and to the
// cluster.
func offlineSection(ctx context.Context, b *bench) error {
	return offlinePart((*offline).pressures, (*offline).delays, (*offline).utilisation)(ctx, b)
}

func offlinePart(measures ...func(*offline, context.Context) error) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) (err error) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		o := &offline{bench: b}
		if err := o.begin(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.node.stop(), o.server.stop()) }()
		for _, measure := range measures {
			if err := measure(o, ctx); err != nil {
				return fmt.Errorf("%w\nthe node said: %s", err, o.node.output)
			}
		}
		return nil
	}
}

func (o *offline) begin(ctx context.Context) (err error) {
	if err := o.build(ctx, map[string]string{"spillway-node": "./cmd/spillway-node", "work": "./test/node/work"}); err != nil {
		return err
	}
	if o.work, err = o.Image(ctx, "localhost/bench/work:bench", filepath.Join(o.dir, "work")); err != nil {
		return err
	}
	if err := o.Apply(ctx, offlineObjects); err != nil {
		return err
	}
	o.runs++
	if o.server, err = o.start(ctx, "http://"+health+"/readyz", "serve", "--kubeconfig", o.Kubeconfig, "--namespace", "spillway-system",
		"--listen", front, "--admin", admin, "--metrics", health, "--nodes", offlineAsks, "--data", filepath.Join(o.dir, fmt.Sprint("data", o.runs))); err != nil {
		return err
	}
	token, err := o.accountToken(ctx)
	if err == nil {
		o.node, err = o.launch(ctx, "spillway-node", "http://"+nodeHealth+"/readyz", "--kubeconfig", o.Kubeconfig, "--namespace", "spillway-system",
			"--dispatcher", "http://"+offlineAsks, "--dispatcher-token-file", token, "--address", kubetest.NodeAddress, "--listen", kubetest.NodeAddress+":10260",
			"--health", nodeHealth, "--cert-dir", filepath.Join(o.dir, "certs"), "--kubelet-insecure-tls", "--grow-after=1s", "--notice=1s", fmt.Sprint("--margin-percent=", idleMargin))
	}
	if err != nil {
		return errors.Join(err, o.server.stop())
	}
	if o.seen, err = o.watch(ctx); err == nil {
		err = until(ctx, time.Minute, "the node offers what is idle", func() error {
			n, err := o.client.CoreV1().Nodes().Get(ctx, virtualNode, metav1.GetOptions{})
			if err == nil && n.Status.Allocatable.Cpu().MilliValue() < offlineMilli {
				err = errors.New("nothing yet")
			}
			return err
		})
	}
	if err != nil {
		return errors.Join(err, o.node.stop(), o.server.stop())
	}
	return nil
}

// accountToken writes the node's token for the dispatcher into a file.
func (o *offline) accountToken(ctx context.Context) (file string, err error) {
	file = filepath.Join(o.dir, "node.token")
	return file, until(ctx, 10*time.Second, "a token for the node", func() error {
		r, err := o.client.CoreV1().ServiceAccounts("spillway-system").CreateToken(ctx, "spillway-node", &authentication.TokenRequest{
			Spec: authentication.TokenRequestSpec{Audiences: []string{"spillway.dev"}, ExpirationSeconds: new(int64(4 * 3600))},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		return os.WriteFile(file, []byte(r.Status.Token), 0o600)
	})
}

// container does work and asks for so many thousandths of a core.
func (o *offline) container(milli int64, args ...string) corev1.Container {
	return corev1.Container{Name: "main", Image: o.work, Args: args, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: *resource.NewMilliQuantity(milli, resource.DecimalSI), corev1.ResourceMemory: resource.MustParse("8Mi"),
	}}}
}

// online makes a pod of somebody who comes first, and returns when that was asked for.
func (o *offline) online(ctx context.Context, name string, milli int64) (time.Time, error) {
	at := time.Now()
	_, err := o.client.CoreV1().Pods("online").Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{o.container(milli, "sleep=1h")}, TerminationGracePeriodSeconds: new(int64(0)), AutomountServiceAccountToken: new(false)},
	}, metav1.CreateOptions{})
	return at, err
}

// away removes online pods, and waits until they are gone.
func (o *offline) away(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := o.client.CoreV1().Pods("online").Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: new(int64(0))}); err != nil {
			return err
		}
	}
	return until(ctx, time.Minute, "online pods go", func() error {
		for _, name := range names {
			if o.seen.of(name).over.IsZero() {
				return fmt.Errorf("%s is there", name)
			}
		}
		return nil
	})
}

// held is what pods of the real node ask for, in thousandths of a core; of what guests do,
// starting is that of those that do not run yet.
type held struct{ allocatable, guests, starting, online, others int64 }

func (h held) free() int64 { return h.allocatable - h.guests - h.online - h.others }

// offer is what guests may have of it, together.
func (h held) offer() int64 {
	return max(0, h.allocatable-h.online-h.others-h.allocatable*idleMargin/100)
}

func (o *offline) held(ctx context.Context) (h held, err error) {
	n, err := o.client.CoreV1().Nodes().Get(ctx, kubetest.Node, metav1.GetOptions{})
	if err != nil {
		return h, err
	}
	h.allocatable = n.Status.Allocatable.Cpu().MilliValue()
	pods, err := o.client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + kubetest.Node + ",status.phase!=Succeeded,status.phase!=Failed"})
	if err != nil {
		return h, err
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		into := &h.others
		switch {
		case p.Labels["spillway.dev/guest-of"] != "":
			into = &h.guests
		case p.Namespace == "online":
			into = &h.online
		}
		for j := range p.Spec.Containers {
			milli := p.Spec.Containers[j].Resources.Requests.Cpu().MilliValue()
			*into += milli
			if into == &h.guests && p.Status.Phase != corev1.PodRunning {
				h.starting += milli
			}
		}
	}
	return h, nil
}

// calm waits until no guest is there and all that is idle is offered again.
func (o *offline) calm(ctx context.Context) error {
	return until(ctx, 2*time.Minute, "nothing is left of what was before", func() error {
		h, err := o.held(ctx)
		if err != nil {
			return err
		}
		n, err := o.client.CoreV1().Nodes().Get(ctx, virtualNode, metav1.GetOptions{})
		switch {
		case err != nil:
			return err
		case h.guests > 0 || h.online > 0:
			return fmt.Errorf("%+v", h)
		case len(n.Spec.Taints) > 1 || n.Status.Allocatable.Cpu().MilliValue() < h.offer()-2*offlineMilli:
			return fmt.Errorf("the node offers %s of %dm, taints %s", n.Status.Allocatable.Cpu(), h.offer(), taints(n))
		}
		return nil
	})
}

func taints(n *corev1.Node) string {
	var all []string
	for _, t := range n.Spec.Taints {
		all = append(all, t.Key)
	}
	return strings.Join(all, ", ")
}
