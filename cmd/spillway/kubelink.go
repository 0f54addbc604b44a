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
	"github.com/spillway-dev/spillway/durable"
	"github.com/spillway-dev/spillway/pools"
	"github.com/spillway-dev/spillway/pools/kube"
)

// kubeLink is how a server reaches the cluster that its kubernetes pools are in.
type kubeLink struct {
	config func() (*rest.Config, error)
	data   string // data directory, where the agents' CA is
	owner  string // of pods, for the life of this process
	// priority is the PriorityClass of instance pods; "" is the default of the cluster.
	priority string

	mu     sync.Mutex
	client kubernetes.Interface
	ca     *remote.CA
}

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
	if err := l.connect(); err != nil {
		return nil, fmt.Errorf("pool %s: %w", p.Name, err)
	}
	pool, err := kube.Open(ctx, kube.Config{Client: l.client, Pool: p, CA: l.ca, Owner: l.owner, PriorityClass: l.priority, Log: a.log})
	if err != nil {
		return nil, err
	}
	has, _ := pool.Capacity()
	a.note("pool "+p.Name, "pods of a Kubernetes cluster, which has room for %s", has)
	forget := a.onPrem.add(pool)
	a.onClose(func() error {
		forget()
		ctx, cancel := context.WithTimeout(context.Background(), closeWithin)
		defer cancel()
		return pool.Close(ctx)
	})
	return pool, nil
}

func (l *kubeLink) connect() error {
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
	l.client, err = kubernetes.NewForConfig(c)
	return err
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
