package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/spillway-dev/spillway/provider/idle"
)

const (
	systemNamespace  = "spillway-system"
	accountToken     = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path
	accountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	dispatcherToken  = "/var/run/secrets/spillway.dev/dispatcher/token" //nolint:gosec // a path
)

type flags struct {
	kubeconfig, namespace, name          string
	dispatcher, dispatcherToken          string
	address, listen                      string
	clientCA, certFile, keyFile, certDir string
	anonymous                            bool
	nodes, rule, logFormat               string
	marginPercent, keptPercent           int64
	growAfter, notice                    time.Duration
	kubeletCA                            string
	kubeletInsecure                      bool
	health                               string
	workers                              int
	webhook                              string
}

func (f *flags) register(set *pflag.FlagSet) {
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "`file` that says where the cluster is; by default $KUBECONFIG, and in a pod its own cluster")
	set.StringVar(&f.namespace, "namespace", "", "system `namespace`, where the Lease is; by default the pod's own, else "+systemNamespace)
	set.StringVar(&f.name, "node-name", "spillway-offline", "`name` of the node")
	set.StringVar(&f.dispatcher, "dispatcher", "http://spillway-offline."+systemNamespace+":8082", "`address` at which the dispatcher takes offline admissions")
	set.StringVar(&f.dispatcherToken, "dispatcher-token-file", "", "`file` with the token for the dispatcher; by default "+dispatcherToken+" where there is one")
	set.StringVar(&f.address, "address", os.Getenv("POD_IP"), "`IP` at which the API server reaches this process; by default $POD_IP")
	set.StringVar(&f.listen, "listen", ":10250", "`address` of the kubelet API")
	set.StringVar(&f.clientCA, "client-ca-file", "", "`file` with the CA of the API server's client certificate; by default what the API server says of itself")
	set.StringVar(&f.certFile, "tls-cert-file", "", "`file` with the serving certificate; by default one is asked of the cluster")
	set.StringVar(&f.keyFile, "tls-private-key-file", "", "`file` with its key")
	set.StringVar(&f.certDir, "cert-dir", "", "`directory` that keeps a certificate asked of the cluster over restarts; by default one that ends with this process")
	set.BoolVar(&f.anonymous, "anonymous-auth", false, "let requests without credentials ask as system:anonymous, which by default may do nothing")
	set.StringVar(&f.nodes, "nodes", "", "label `selector` of the real nodes whose idle capacity counts; by default all that take pods")
	set.StringVar(&f.rule, "rule", "requests", "`what` online work holds: requests, usage (what it is expected to use) or larger (of both)")
	set.Int64Var(&f.marginPercent, "margin-percent", 10, "`percent` of each node that stays free")
	set.Int64Var(&f.keptPercent, "margin-kept-percent", 50, "`percent` of the margin that must be free always; with less, guests go")
	set.DurationVar(&f.growAfter, "grow-after", 30*time.Second, "`how long` capacity must have been idle before it is offered")
	set.DurationVar(&f.notice, "notice", 5*time.Second, "`how long` the node is tainted before its capacity falls")
	set.StringVar(&f.kubeletCA, "kubelet-ca-file", "", "`file` with the CA of the real kubelets' certificates; by default the cluster's")
	set.BoolVar(&f.kubeletInsecure, "kubelet-insecure-tls", false, "do not check the certificates of real kubelets when they are asked for usage")
	set.StringVar(&f.health, "health", "0.0.0.0:8081", "`address` of /healthz, /readyz and /metrics; \"\" for none")
	set.StringVar(&f.webhook, "webhook", "", "`address` of the webhook that sends pods of namespaces that opted in to the node; \"\" for none")
	set.IntVar(&f.workers, "workers", 8, "`how many` pods are looked at at once")
	set.StringVar(&f.logFormat, "log-format", "text", "form of the log on standard error: text, json")
}

func (f *flags) logger(w io.Writer) *slog.Logger {
	if f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// check fills in defaults and finds what is wrong.
func (f *flags) check() error {
	if f.namespace == "" {
		f.namespace = systemNamespace
		if own, err := os.ReadFile(accountNamespace); err == nil {
			f.namespace = strings.TrimSpace(string(own))
		}
	}
	if f.dispatcherToken == "" {
		if _, err := os.Stat(dispatcherToken); err == nil {
			f.dispatcherToken = dispatcherToken
		}
	}
	switch {
	case net.ParseIP(f.address) == nil:
		return wrongInput("--address: %q is no IP address: say at which one the API server reaches this process, or set POD_IP", f.address)
	case f.logFormat != "text" && f.logFormat != "json":
		return wrongInput("--log-format: %q; allowed: text, json", f.logFormat)
	case (f.certFile == "") != (f.keyFile == ""):
		return wrongInput("--tls-cert-file and --tls-private-key-file go together")
	case f.workers < 1 || f.workers > 256:
		return wrongInput("--workers: %d; allowed: 1 to 256", f.workers)
	}
	return nil
}

func (f *flags) cluster() (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = f.kubeconfig
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return nil, wrongInput("find the cluster: %w; run in a pod, set KUBECONFIG, or name a file with --kubeconfig", err)
	}
	c.QPS = -1 // bounded by the workers; a limit of the client's would hold the Lease back behind a thousand pods
	c.UserAgent = "spillway-node"
	return c, nil
}

func (f *flags) eligible() (labels.Selector, error) {
	s, err := labels.Parse(f.nodes)
	if err != nil {
		return nil, wrongInput("--nodes: %w", err)
	}
	return s, nil
}

// idle is the policy by which capacity counts as idle.
func (f *flags) idle() (idle.Config, error) {
	c := idle.Defaults()
	rules := map[string]idle.Rule{"requests": idle.RuleRequests, "usage": idle.RuleUsage, "larger": idle.RuleLarger}
	rule, ok := rules[f.rule]
	if !ok {
		return c, wrongInput("--rule: %q; allowed: requests, usage, larger", f.rule)
	}
	c.Rule, c.Margin.Percent, c.Margin.KeptPercent = rule, f.marginPercent, f.keptPercent
	c.Damping.GrowAfter, c.Damping.Notice = f.growAfter, f.notice
	if err := c.Check(); err != nil {
		return c, inputError{fmt.Errorf("flags: %w", err)}
	}
	return c, nil
}
