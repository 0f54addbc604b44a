package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/spillway-dev/spillway/provider/gate"
	"github.com/spillway-dev/spillway/provider/kubeletapi"
	"github.com/spillway-dev/spillway/provider/node"
	"github.com/spillway-dev/spillway/provider/usage"
)

// How the Lease is held: another node process goes on at most leaseFor + retryEvery
// after one that was killed, before the cluster takes the node for lost.
const (
	leaseFor   = 15 * time.Second
	renewFor   = 10 * time.Second
	retryEvery = 2 * time.Second
)

const (
	askDispatcherWithin = 10 * time.Second
	endWithin           = 10 * time.Second // when the Lease is lost, or the process is told to end
)

func (f *flags) run(ctx context.Context, log *slog.Logger) error {
	if err := f.check(); err != nil {
		return err
	}
	config, err := f.cluster()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	terms := newTerms()
	health, err := f.serveHealth(terms.registry)
	if err != nil {
		return err
	}
	defer health.close()
	hook, stop, err := f.serveWebhook(ctx, client, terms.registry, log)
	if err != nil {
		return err
	}
	defer stop()
	health.webhook.Store(hook)
	return f.lead(ctx, client, log, func(ctx context.Context) error {
		if hook != nil {
			go hook.KeepTrusted(ctx)
		}
		return f.serve(ctx, config, client, terms, health, log)
	})
}

// lead runs work while this process holds the Lease, and returns what it returns. A
// Lease that is lost ends the process: what it knew may be old.
func (f *flags) lead(ctx context.Context, client kubernetes.Interface, log *slog.Logger, work func(context.Context) error) error {
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name this process: %w", err)
	}
	identity := fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano())
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, f.namespace, f.name, client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: identity})
	if err != nil {
		return fmt.Errorf("make the Lease: %w", err)
	}
	leading, cancel := context.WithCancel(ctx)
	defer cancel()
	var led atomic.Bool
	done := make(chan error, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, Name: f.name, LeaseDuration: leaseFor, RenewDeadline: renewFor, RetryPeriod: retryEvery, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { led.Store(true); done <- work(ctx); cancel() },
			OnStoppedLeading: func() {},
			OnNewLeader: func(who string) {
				if who != identity {
					log.Info("another process is the node; this one waits", "holder", who)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("hold the Lease: %w", err)
	}
	elector.Run(leading)
	if !led.Load() {
		return nil
	}
	if err := ending(done, endWithin); err != nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("the Lease %s/%s was lost", f.namespace, f.name)
}

// ending waits for the end of work that was told to end, and returns what it returns.
func ending(done <-chan error, within time.Duration) error {
	select {
	case err := <-done:
		return err
	case <-time.After(within):
		return fmt.Errorf("what the node does has not ended within %s", within)
	}
}

func (f *flags) serve(ctx context.Context, config *rest.Config, client kubernetes.Interface, terms *terms, health *health, log *slog.Logger) error {
	o, err := f.options(client, log)
	if err != nil {
		return err
	}
	o.Terms = terms.set
	n, err := node.New(o)
	if err != nil {
		return err
	}
	api, err := f.serveKubelet(ctx, config, client, n, log)
	if err != nil {
		return err
	}
	defer api.Close()
	health.node.Store(n)
	defer health.node.Store(nil)
	return n.Run(ctx)
}

func (f *flags) options(client kubernetes.Interface, log *slog.Logger) (node.Options, error) {
	o := node.Options{Client: client, Workers: f.workers, Log: log}
	var err error
	if o.Eligible, err = f.eligible(); err != nil {
		return o, err
	}
	if o.Idle, err = f.idle(); err != nil {
		return o, err
	}
	dispatcher, err := gate.New(f.dispatcher, f.dispatcherToken, askDispatcherWithin)
	if err != nil {
		return o, inputError{err}
	}
	o.Gate, o.Meter = dispatcher, dispatcher
	server, err := client.Discovery().ServerVersion()
	if err != nil {
		return o, fmt.Errorf("ask the API server's version: %w", err)
	}
	o.Identity = node.Identity{Name: f.name, Address: f.address, Version: server.GitVersion}
	_, port, err := net.SplitHostPort(f.listen)
	if err != nil {
		return o, wrongInput("--listen: %w", err)
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return o, wrongInput("--listen: %w", err)
	}
	o.Port = int32(number) //nolint:gosec // a port
	return o, nil
}

// serveKubelet serves what the API server asks of a kubelet, to those who may.
func (f *flags) serveKubelet(ctx context.Context, config *rest.Config, client kubernetes.Interface, n *node.Node, log *slog.Logger) (*http.Server, error) {
	cas, err := f.clientCAs(ctx, client)
	if err != nil {
		return nil, err
	}
	guard, err := kubeletapi.NewGuard(ctx, client, f.name, cas, f.anonymous, log)
	if err != nil {
		return nil, err
	}
	cert, err := f.certificate(ctx, client)
	if err != nil {
		return nil, err
	}
	kubelets, err := f.kubeletTLS(config)
	if err != nil {
		return nil, err
	}
	how := usage.Config{Node: f.name, Guests: n.Guests, TLS: kubelets, Log: log, Now: time.Now}
	if config.BearerTokenFile != "" { // this process's own token may do far more than ask
		how.Tokens = &usage.Token{Client: client, Namespace: f.namespace, Now: time.Now}
	}
	measured := usage.New(how)
	n.Measure(measured)
	handler, err := kubeletapi.NewHandler(config, n, measured)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return nil, wrongInput("--listen: %w", err)
	}
	api := &http.Server{Handler: guard.Wrap(handler), TLSConfig: kubeletapi.TLS(cert), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	api.Protocols = new(http.Protocols)
	api.Protocols.SetHTTP1(true) // streams are upgraded connections
	go func() {
		if err := api.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the kubelet API has ended", "err", err)
		}
	}()
	return api, nil
}

func (f *flags) certificate(ctx context.Context, client kubernetes.Interface) (kubeletapi.Certificate, error) {
	if f.certFile != "" {
		return kubeletapi.FromFiles(ctx, f.certFile, f.keyFile)
	}
	dir := f.certDir
	if dir == "" {
		own, err := os.MkdirTemp("", "spillway-node-")
		if err != nil {
			return nil, fmt.Errorf("keep the serving certificate: %w", err)
		}
		context.AfterFunc(ctx, func() { _ = os.RemoveAll(own) })
		dir = own
	}
	return kubeletapi.FromCluster(ctx, client, f.name, net.ParseIP(f.address), dir)
}

// kubeletTLS is how the certificates of real kubelets are checked, and whom this process
// shows itself as where a kubeconfig has a client certificate instead of a token.
func (f *flags) kubeletTLS(config *rest.Config) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.kubeletInsecure} //nolint:gosec // asked for by a flag
	file, text := f.kubeletCA, config.CAData
	if file == "" && len(text) == 0 {
		file = config.CAFile
	}
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, wrongInput("--kubelet-ca-file: %w", err)
		}
	}
	if len(text) > 0 {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, wrongInput("--kubelet-ca-file: no certificate in it")
		}
	}
	own, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the client certificate: %w", err)
	}
	if own != nil {
		c.Certificates, c.GetClientCertificate = own.Certificates, own.GetClientCertificate
	}
	return c, nil
}

func (f *flags) clientCAs(ctx context.Context, client kubernetes.Interface) (dynamiccertificates.CAContentProvider, error) {
	if f.clientCA != "" {
		return kubeletapi.ClientCAsFromFile(ctx, f.clientCA)
	}
	return kubeletapi.ClientCAsFromCluster(ctx, client)
}
