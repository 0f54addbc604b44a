package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway"
	"github.com/spillway-dev/spillway/agent/remote"
	"github.com/spillway-dev/spillway/config/deployed"
	"github.com/spillway-dev/spillway/durable"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/kube"
	"github.com/spillway-dev/spillway/pools/offline"
)

// kubeLink is how a server reaches the cluster that its kubernetes pools are in.
type kubeLink struct {
	config func() (*rest.Config, error)
	data   string // data directory, where the agents' CA is
	owner  string // of pods, for the life of this process
	// priority is the PriorityClass of instance pods; "" is the default of the cluster.
	priority string
	// hold makes sure that this dispatcher has its seat, since a pool that is opened deletes
	// the pods of others. Nil: there is none.
	hold func(context.Context) error

	mu     sync.Mutex
	client kubernetes.Interface
	ca     *remote.CA
	packs  *deployed.Packs // nil until a pool is open
}

var _, _ startFailer = (*kube.Pool)(nil), (*offline.Pool)(nil)

// agentCAFile is the certificate and key by which agents in pods know the dispatcher.
const agentCAFile = "agent-ca.pem"

func newKubeLink(data string, config func() (*rest.Config, error)) *kubeLink {
	run := make([]byte, 6)
	_, _ = rand.Read(run) // does not fail
	return &kubeLink{config: config, data: data, owner: hex.EncodeToString(run)}
}

// clusterAt is the cluster of a kubeconfig file; "" is $KUBECONFIG, and in a pod its own.
func clusterAt(kubeconfig string) func() (*rest.Config, error) {
	return func() (*rest.Config, error) {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = kubeconfig
		c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
		if err != nil {
			return nil, wrongInput("find the cluster: %w; run in a pod, set KUBECONFIG, or name a file with --kubeconfig", err)
		}
		c.QPS, c.Burst = 200, 400 // pods are made as fast as calls ask for them
		return c, nil
	}
}

// open makes a pool of pods.
func (l *kubeLink) open(ctx context.Context, a *app, p *spillway.Pool) (pools.Pool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.prepare(ctx, a); err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	pool, err := kube.Open(ctx, l.podsOf(a, p))
	if err != nil {
		return nil, err
	}
	has, _ := pool.Capacity()
	a.note("pool "+p.Name, "pods of a Kubernetes cluster, which has room for %s", has)
	a.closePods(pool, a.onPrem.add(pool))
	return pool, nil
}

// openOffline makes a pool of pods in idle capacity.
func (l *kubeLink) openOffline(ctx context.Context, a *app, p *spillway.Pool) (pools.Pool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.prepare(ctx, a); err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	pool, err := offline.Open(ctx, l.podsOf(a, p))
	if err != nil {
		return nil, err
	}
	a.closePods(pool, a.onPrem.add(pool))
	return pool, nil
}

func (l *kubeLink) podsOf(a *app, p *spillway.Pool) kube.Config {
	return kube.Config{Client: l.client, Pool: p, CA: l.ca, Owner: l.owner, PriorityClass: l.priority, Packed: l.packs, Log: a.log}
}

// closePods has a pool of pods closed with the app, and its logs forgotten.
func (a *app) closePods(pool interface{ Close(context.Context) error }, forget func()) {
	a.onClose(func() error {
		forget()
		ctx, cancel := a.closing()
		defer cancel()
		return pool.Close(ctx)
	})
}

// prepare has the cluster reached, and pods made by nobody else.
func (l *kubeLink) prepare(ctx context.Context, a *app) error {
	if err := l.connect(a); err != nil || l.hold == nil {
		return err
	}
	return l.hold(ctx)
}

func (l *kubeLink) connect(a *app) error {
	if l.client != nil {
		return nil
	}
	c, err := l.config()
	if err != nil {
		return err
	}
	if l.ca, err = agentCA(filepath.Join(l.data, agentCAFile)); err != nil {
		return err
	}
	if l.packs == nil {
		if l.packs, err = a.deployed.Packs(deployed.DefaultPacked, a.log); err != nil {
			return err
		}
		packs := l.packs
		a.onClose(func() error {
			ctx, cancel := a.closing()
			defer cancel()
			return packs.Close(ctx)
		})
	}
	l.client, err = kubernetes.NewForConfig(c)
	return err
}

// arrived prepares a package for its first instance, if there are pools of pods.
func (l *kubeLink) arrived(p spillway.Package) {
	l.mu.Lock()
	packs := l.packs
	l.mu.Unlock()
	if packs != nil {
		packs.Pack(p)
	}
}

// agentCA reads the agents' CA, or makes it.
func agentCA(path string) (*remote.CA, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return remote.ParseCA(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the agents' CA: %w", err)
	}
	ca, err := remote.NewCA()
	if err != nil {
		return nil, err
	}
	secret, err := ca.Secret()
	if err != nil {
		return nil, err
	}
	err = durable.Write(path, ".next-*", func(w io.Writer) error { _, err := w.Write(secret); return err })
	if err != nil {
		return nil, fmt.Errorf("keep the agents' CA: %w", err)
	}
	return ca, nil
}
